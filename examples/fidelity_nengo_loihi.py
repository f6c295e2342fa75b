"""A float program in nengo-loihi's own integers, on its own emulator; `neuroprompt/workers/side_packages.py` runs this.

Its `discretize_block` chooses all of them: weights, decays, threshold, bias.
"""

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it was not tried with this nengo, of which the emulator takes nothing
    from nengo_loihi.block import Axon, LoihiBlock, Synapse
    from nengo_loihi.builder.discretize import discretize_block
    from nengo_loihi.emulator.interface import EmulatorInterface
    from nengo_loihi.inputs import SpikeInput


def run(program: dict[str, Any], inputs: Any) -> dict[str, dict[str, Any]]:
    """Spikes of every population for inputs (B, T, n), each item from rest: {"spikes": {name: (B, T, n)}}."""
    populations, items, steps = program["populations"], len(inputs), inputs.shape[1]
    depths = {p["name"]: p["depth"] for p in populations}
    span = steps + max(depths.values())
    blocks = {p["name"]: block_of(p) for p in populations}
    sources = []
    for q in program["projections"]:
        weights = q["weights"]
        matrix = csr_matrix(np.diag(weights) if weights.ndim == 1 else weights)
        source = blocks.get(q["source"])
        if source is None:
            source = SpikeInput(inputs.shape[2])
            for i, t in np.argwhere(inputs.any(axis=2)):
                source.add_spikes(int(i) * span + int(t) + 1 + q["delay"], np.flatnonzero(inputs[i, t]))
            sources.append(source)
        connect(source, blocks[q["target"]], matrix)
    for p in populations:
        for onset, values in p["currents"]:
            every = SpikeInput(1)
            for i in range(items):
                for t in range(onset, steps):
                    every.add_spikes(i * span + t + p["depth"], [0])
            sources.append(every)
            connect(every, blocks[p["name"]], csr_matrix(values[:, None]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of bits that it loses and sums that overflow
        for block in blocks.values():
            discretize_block(block)
        model = SimpleNamespace(blocks=list(blocks.values()), inputs=sources, probes=[], dt=0.001)
        emulator = EmulatorInterface(model, seed=0)
        rows = []
        for chip_step in range(items * span):
            if chip_step % span == 0:
                rest(emulator)
            emulator.step()
            rows.append(emulator.compartment.spiked.copy())
    spikes = np.array(rows).reshape(items, span, -1)
    places = emulator.block_info.slices
    return {"spikes": {n: spikes[:, d : d + steps, places[blocks[n]]] for n, d in depths.items()}}


def rest(emulator: Any) -> None:
    """All states as before the first step."""
    neurons = emulator.compartment
    for state in (neurons.input, neurons.current, neurons.voltage, neurons.ref_count, neurons.spiked):
        state[...] = 0
    for waiting in emulator.synapses.spikes_in.values():
        waiting.clear()


def block_of(p: dict[str, Any]) -> Any:
    """The neurons of a population in floating point; a bias is its own where nothing is in front of them."""
    block = LoihiBlock(p["size"], p["name"])
    of = block.compartment
    of.scale_u = of.scale_v = False
    for key, value in (("decay_u", p["du"]), ("decay_v", p["dv"]), ("vth", p["vth"]), ("bias", p["bias"])):
        getattr(of, key)[:] = value
    of.refract_delay[:] = 1
    of.vmin = -np.inf
    return block


def connect(source: Any, target: Any, matrix: Any) -> None:
    """Synapses of weights (out, in) from a source to a block."""
    synapse = Synapse(matrix.shape[1])
    by_line = csr_matrix(matrix.T, dtype=np.float32)
    synapse.set_weights(by_line)
    target.add_synapse(synapse)
    axon = Axon(matrix.shape[1])
    axon.target = synapse
    source.add_axon(axon)
