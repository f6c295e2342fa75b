"""A placed fixed program as a network of SANA-FE's Loihi: spikes, potentials, and its own joules and seconds."""

from typing import Any

import numpy as np
import sanafe

SHIFT = 6
"""Potentials count in 64ths of a weight here."""
LINES = 1024
"""Input lines of a core."""
DECAY_ONE = 4096
ALONE = True
PARTS = ("synapse", "dendrite", "soma", "network", "total")


def run(program: dict[str, Any], inputs: Any) -> dict[str, dict[str, Any]]:
    """Run from rest on spikes (T, n_in): spikes and v of every population, (T, n) each, its depth taken out.

    `cost` holds "joules.PART" and "seconds" of all chip steps, which are T and the depth of the program.
    """
    steps, populations, placement = len(inputs), program["populations"], program["placement"]
    chip_steps = steps + max(p["depth"] for p in populations)
    chip, network = sanafe.load_loihi(), sanafe.Network()
    cores = cores_of(chip, [core["tile"] for core in placement["cores"]] + placement["lines"])
    own = len(placement["cores"])
    groups = {p["name"]: neurons_of(network, group_name(i), p) for i, p in enumerate(populations)}
    for number, core in enumerate(placement["cores"]):
        for name, (first, count) in core["holds"].items():
            for i in range(first, first + count):
                groups[name][i].map_to_core(cores[number])
    lines = network.create_neuron_group("input", inputs.shape[1])
    for i, line in enumerate(lines):
        spikes = [*map(int, inputs[:, i]), *[0] * (chip_steps - steps)]
        line.set_attributes(soma_hw_name=f"loihi_inputs[{i % LINES}]", model_attributes={"spikes": spikes})
        line.map_to_core(cores[own + i // LINES])
    groups["input"] = lines
    for q in program["projections"]:
        connect(groups, q)
    simulated = sanafe.SpikingChip(chip)
    simulated.load(network)
    result = simulated.sim(chip_steps, spike_trace=True, potential_trace=True)
    cost = {f"joules.{part}": np.array(result["energy"][part]) for part in PARTS}
    traces = recorded(result, populations, steps)
    return traces | {"cost": {**cost, "seconds": np.array(result["sim_time"])}}


def cores_of(chip: Any, tiles: list[Any]) -> list[Any]:
    """A core for each of these tiles (column, row), the next free one of it; SANA-FE numbers tiles by column."""
    used: dict[tuple[int, int], int] = {}
    cores = []
    for column, row in tiles:
        number = used[column, row] = used.get((column, row), -1) + 1
        cores.append(chip.tiles[column * 4 + row].cores[number])
    return cores


def neurons_of(network: Any, name: str, p: dict[str, Any]) -> Any:
    """A group of its neurons, which count in weights: an integer potential v is v / 64."""
    n = p["size"]
    group = network.create_neuron_group(name, n)
    decay, threshold, bias = (np.broadcast_to(p[key], n) for key in ("dv", "vth", "bias"))
    exponent = SHIFT if p["depth"] else p["bias_exp"]
    for i, neuron in enumerate(group):
        added = int(bias[i]) << exponent
        keeps = DECAY_ONE - int(decay[i])
        attributes = {
            "threshold": float(threshold[i]) if p["emits"] == "spikes" else 1e9,
            "leak_decay": keeps / DECAY_ONE,
            "input_decay": 0.0,
            "bias": added / 2**SHIFT,
            "potential": rest(added, keeps, p["depth"]) / 2**SHIFT,
            "reset_mode": "hard",
            "refractory_delay": 2 if p["hold"] else 0,
        }
        neuron.set_attributes(
            soma_hw_name="loihi_lif", model_attributes=attributes, log_spikes=True, log_potential=True
        )
    return group


def rest(bias: int, keeps: int, depth: int) -> int:
    """The potential at the start with which it is 0 before chip step `depth`, though its bias is added from step 0 on.

    Backwards: before it is added it is -bias, and that is what remained of the potential before. A step keeps
    trunc0(v keeps / 4096), the first one all of it.
    """
    v = 0
    for step in range(depth, 0, -1):
        v -= bias
        if step > 1:
            v = int(np.sign(v)) * -(-abs(v) * DECAY_ONE // keeps)
    return v


def connect(groups: dict[str, Any], q: dict[str, Any]) -> None:
    """The synapses of a projection that are not 0."""
    weights = q["weights"]
    dense = np.diag(weights) if weights.ndim == 1 else weights
    dense = np.asarray(dense if isinstance(dense, np.ndarray) else dense.toarray(), np.int64)
    source, target = groups[q["source"]], groups[q["target"]]
    for i, j in np.argwhere(dense):
        attributes = {"weight": float(int(dense[i, j]) << q["exponent"])}
        source[int(j)].connect_to_neuron(target[int(i)], attributes)


def recorded(result: dict[str, Any], populations: list[dict[str, Any]], steps: int) -> dict[str, dict[str, Any]]:
    """Spikes and v of the graph's steps; SANA-FE gives potentials group by group, in the order of their names."""
    numbers = {group_name(i): i for i in range(len(populations))}
    chip_steps = len(result["spike_trace"])
    fired = [np.zeros((chip_steps, p["size"]), bool) for p in populations]
    for t, spikes in enumerate(result["spike_trace"]):
        for spike in spikes:
            group, neuron = str(spike).split(".")
            fired[numbers[group]][t, int(neuron)] = True
    ends = np.cumsum([p["size"] for p in populations])
    potentials = np.split(np.rint(np.array(result["potential_trace"]) * 2**SHIFT).astype(np.int64), ends[:-1], axis=1)
    rows = [slice(p["depth"], p["depth"] + steps) for p in populations]
    return {
        kind: {p["name"]: traces[i][rows[i]] for i, p in enumerate(populations)}
        for kind, traces in (("spikes", fired), ("v", potentials))
    }


def group_name(number: int) -> str:
    """The group of a population, in an order that names keep too."""
    return f"p{number:05d}"
