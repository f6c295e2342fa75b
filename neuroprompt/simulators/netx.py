"""The HDF5 form in which lava-dl's netx takes a network: layers in a row, in Loihi's integers."""

from __future__ import annotations

import io
from dataclasses import replace

import h5py
import numpy as np

from neuroprompt.errors import ParityError, Unsupported
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

LONGEST = 62
"""The longest delay that netx takes; it clips others with a warning."""


def to_netx(program: Program) -> bytes:
    """The `.net` file of a fixed program; raises Unsupported, naming the node, where netx would run something else.

    /layer/0  type "input", shape
    /layer/i  type "dense" or "dense_rec", shape, inFeatures, outFeatures, weight (out, in), weight_rec, delay (in,),
              neuron/{type "CUBA", iDecay = du + 1, vDecay = dv, vThMant = vth, refDelay 1, gradedSpike false}

    Read in lava-dl 0.6.0 (netx/hdf5.py): du = iDecay - 1, dv = vDecay, bias_exp = 6. What it cannot say: a bias behind
    synapses (LIF's own begins at chip step 0, before the layer's inputs), per-neuron decays, joins, numbers
    as inputs, populations that never fire, weights that are all 0 (its optimize_weight_bits divides by them).
    """
    layers = _layers(program)
    file = io.BytesIO()
    with h5py.File(file, "w") as net:
        head = net.create_group("layer/0")
        _type(head, "input")
        head["shape"] = np.array([program.inputs])
        for i, (p, forward, own) in enumerate(layers, start=1):
            group = net.create_group(f"layer/{i}")
            _type(group, "dense" if own is None else "dense_rec")
            weight, rec = _matrix(forward, p.size), _matrix(own, p.size) if own is not None else None
            _check_odd(p.name, weight if rec is None else np.hstack([weight, rec]))
            group["shape"] = np.array([p.size])
            group["inFeatures"], group["outFeatures"] = weight.shape[1], weight.shape[0]
            group["weight"] = weight
            if rec is not None:
                group["weight_rec"] = rec
            if forward.delay:
                group["delay"] = np.full(weight.shape[1], forward.delay)
            neuron = group.create_group("neuron")
            _type(neuron, "CUBA")
            neuron["iDecay"], neuron["vDecay"], neuron["vThMant"] = int(p.du) + 1, int(p.dv), int(p.vth)
            neuron["refDelay"], neuron["gradedSpike"] = 1, False
    return file.getvalue()


def read_back(program: Program, data: bytes) -> Program:
    """`program` with the integers that stand in the `.net` file `data`; raises ParityError where its layers differ."""
    layers = _layers(program)
    populations: list[Population] = []
    projections: list[Projection] = []
    with h5py.File(io.BytesIO(data), "r") as net:
        if sorted(net["layer"], key=int) != [str(i) for i in range(len(layers) + 1)]:
            raise ParityError(f"layers {sorted(net['layer'])} in the file", f"{len(layers)} behind the input")
        for i, (p, forward, own) in enumerate(layers, start=1):
            group = net[f"layer/{i}"]
            neuron = {key: int(group[f"neuron/{key}"][()]) for key in ("iDecay", "vDecay", "vThMant")}
            populations.append(replace(p, du=neuron["iDecay"] - 1, dv=neuron["vDecay"], vth=neuron["vThMant"]))
            delays = np.unique(group["delay"][()]) if "delay" in group else np.zeros(1)
            for projection, key in ((forward, "weight"), (own, "weight_rec")):
                if (projection is None) == (key in group):
                    raise ParityError(
                        f"layer {i} of the file {'has' if key in group else 'has no'} {key}", "as written"
                    )
                if projection is None:
                    continue
                matrix = np.asarray(group[key][()])
                if matrix.shape != projection.weights.shape or delays.size != 1:
                    raise ParityError(f"{key} of shape {matrix.shape} in the file", f"{projection.weights.shape}")
                projections.append(replace(projection, weights=Weights(matrix), delay=int(delays[0])))
    return replace(program, populations=tuple(populations), projections=tuple(projections))


def _layers(program: Program) -> list[tuple[Population, Projection, Projection | None]]:
    """Every population with what drives it from the layer before, and from itself."""
    if program.precision != "fixed" or program.input_scale:
        raise Unsupported("a program of numbers", "integers, with spikes as inputs", "fit it on spikes")
    before, layers = "input", []
    for p in program.populations:
        into = program.into(p.name)
        forward = [q for q in into if q.source == before]
        own = [q for q in into if q.source == p.name]
        if len(forward) != 1 or len(own) > 1 or len(forward) + len(own) != len(into):
            raise Unsupported(f"node {p.name!r} is driven by {len(into)} projections", "one, from the layer before it")
        _check(p, forward[0], own[0] if own else None)
        layers.append((p, forward[0], own[0] if own else None))
        before = p.name
    return layers


def _check(p: Population, forward: Projection, own: Projection | None) -> None:
    wrong = ""
    if p.emits != "spikes":
        wrong = "never fires"
    elif np.any(p.bias) or p.currents:
        wrong = "has a bias, which netx begins before the layer's inputs"
    elif any(np.ndim(value) for value in (p.du, p.dv, p.vth)):
        wrong = "has decays or thresholds that differ from neuron to neuron"
    elif p.hold:
        wrong = "rests in the step after a spike"
    elif own is not None and (own.delay or forward.delay):
        wrong = "drives itself beside a delay, which netx gives to both"
    elif forward.exponent or (own is not None and own.exponent):
        wrong = "has weights with an exponent"
    elif forward.delay > LONGEST:
        wrong = f"waits {forward.delay} steps, more than {LONGEST}"
    elif not all(np.any(q.weights.values) for q in (forward, own) if q is not None):
        wrong = "has weights that are all 0"
    if wrong:
        raise Unsupported(
            f"node {p.name!r} {wrong}", "what a file of lava-dl's netx can say", "use --target lava, which can"
        )


def _matrix(projection: Projection, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    dense = projection.weights.dense()
    assert dense.shape[0] == size
    return dense.astype(np.int64)


def _check_odd(name: str, matrix: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    """Netx takes a layer's forward and recurrent weights as one matrix, and one with a zero and a negative for mixed.

    Of mixed weights the lowest bit is dropped.
    """
    if matrix.min() < 0 <= matrix.max() and np.any(matrix % 2):
        raise Unsupported(
            f"odd weights into {name!r}", "even ones beside a 0 or one of the other sign", "another scale"
        )


def _type(group: h5py.Group, name: str) -> None:
    group.create_dataset("type", (1,), "S10", [name.encode("ascii")])
