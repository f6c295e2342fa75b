"""A fixed program as blocks of nengo-loihi's emulator, its integers set directly; the rules stand in its target."""

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # it says that it was not tried with this nengo, of which the emulator takes nothing
    from nengo_loihi.block import Axon, LoihiBlock, Synapse
    from nengo_loihi.emulator.interface import EmulatorInterface
    from nengo_loihi.inputs import SpikeInput

SHIFT = 6
"""What synaptic weights and thresholds are shifted by."""
LARGEST = 2**23 - 1
"""The end of v's range, on both sides."""

ALONE = True


def run(program: dict[str, Any], inputs: Any) -> dict[str, dict[str, Any]]:
    """Run from rest on spikes (T, n_in): spikes, u and v of every population, (T, n) each, its depth taken out."""
    steps, populations = len(inputs), program["populations"]
    chip_steps = steps + max(p["depth"] for p in populations)
    blocks = {p["name"]: block_of(p) for p in populations}
    relays: dict[Any, Any] = {}
    sources = []
    for p in populations:
        for onset, values in from_host(p):
            every = SpikeInput(1)
            for step in range(onset, steps):
                every.add_spikes(p["depth"] + step, [0])  # it arrives a step later, and its steps are counted from 1
            connect(every, 1, blocks[p["name"]], values[:, None] << SHIFT)
            sources.append(every)
    for q in program["projections"]:
        weights = q["weights"]
        weights = np.diag(weights) if weights.ndim == 1 else weights
        dense = np.asarray(weights if isinstance(weights, np.ndarray) else weights.toarray(), np.int64)
        columns = dense << (SHIFT + q["exponent"])
        if q["source"] == "input":
            lines = SpikeInput(inputs.shape[1])
            for step, row in enumerate(inputs):
                lines.add_spikes(step + 1 + q["delay"], np.flatnonzero(row))
            sources.append(lines)
        else:
            lines = delayed(blocks[q["source"]], q["source"], q["delay"], relays)
        connect(lines, dense.shape[1], blocks[q["target"]], columns)
    everything = [*blocks.values(), *relays.values()]
    model = SimpleNamespace(blocks=everything, inputs=sources, probes=[], dt=0.001)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of overflows, which are the point
        emulator = EmulatorInterface(model, seed=0)
        kept: dict[str, list[Any]] = {"spiked": [], "current": [], "voltage": []}
        for _ in range(chip_steps):
            emulator.step()
            for key, rows in kept.items():
                rows.append(getattr(emulator.compartment, key).copy())
    places = emulator.block_info.slices
    names = {"spikes": "spiked", "u": "current", "v": "voltage"}
    return {
        kind: {
            p["name"]: np.array(kept[key])[p["depth"] : p["depth"] + steps, places[blocks[p["name"]]]]
            for p in populations
        }
        for kind, key in names.items()
    }


def block_of(p: dict[str, Any]) -> Any:
    """The neurons of a population, with their own bias where nothing is in front of them."""
    n = p["size"]
    block = LoihiBlock(n, p["name"])
    of = block.compartment
    of.scale_u = of.scale_v = False
    of.decay_u, of.decay_v = (np.broadcast_to(p[key], n).astype(np.int32) for key in ("du", "dv"))
    of.vth = np.broadcast_to(p["vth"], n).astype(np.int32) << SHIFT
    own = np.zeros(n) if p["depth"] else np.asarray(p["bias"])
    of.bias = own.astype(np.int32) << p["bias_exp"]
    of.refract_delay = np.full(n, 2 if p["hold"] else 1, np.int32)
    of.vmin, of.vmax = -LARGEST, LARGEST
    of.noise_exp = np.int32(0)
    return block


def from_host(p: dict[str, Any]) -> list[tuple[int, Any]]:
    """What the host sends in every step from a step of the graph on, as (step, integers (n,))."""
    bias = np.asarray(p["bias"], np.int64)
    late = [(0, bias)] if p["depth"] and bias.any() else []
    return late + [(onset, np.asarray(values, np.int64)) for onset, values in p["currents"]]


def connect(source: Any, lines: int, target: Any, matrix: Any) -> None:
    """Synapses from `lines` axons of a source to a block, with weights (out, in); zeros are left out."""
    synapse = Synapse(lines)
    places = [np.flatnonzero(column) for column in matrix.T]
    synapse.weights = [matrix[rows, j][None].astype(np.int32) for j, rows in enumerate(places)]
    synapse.indices = [rows[None] for rows in places]
    target.add_synapse(synapse)
    axon = Axon(lines)
    axon.target = synapse
    source.add_axon(axon)


def delayed(block: Any, name: str, delay: int, relays: dict[Any, Any]) -> Any:
    """A block that fires what `block` did `delay` steps ago: a chain of relays, since the emulator has no delays."""
    for step in range(1, delay + 1):
        if (name, step) not in relays:
            n = block.n_neurons
            relay = block_of(
                {"name": f"{name} {step} later", "size": n, "du": 4095, "dv": 0, "vth": 0}
                | {"bias": np.zeros(n), "bias_exp": 0, "depth": 0, "hold": False}
            )
            connect(block, n, relay, np.eye(n, dtype=np.int64) << SHIFT)
            relays[name, step] = relay
        block = relays[name, step]
    return block
