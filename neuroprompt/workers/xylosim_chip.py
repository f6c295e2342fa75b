"""A program with Xylo's integers as one layer of xylosim's module v2; what it computes stands in neuroprompt/xylo."""

from typing import Any

import numpy as np
from xylosim.v2 import XyloLayer, XyloSynapse

ALONE = True
READOUTS = 8
KEPT: list[Any] = []
"""A layer holds pointers to its synapses, which Python would free."""


def run(program: dict[str, Any], inputs: Any) -> dict[str, dict[str, Any]]:
    """Run from rest on spikes (T, n_in): counts, i and v of every population, (T, n) each, its depth taken out."""
    steps, populations, projections = program["steps"], program["populations"], program["projections"]
    last = readouts(populations, projections)
    hidden = [p for p in populations if p["name"] not in last]
    final = [p for p in populations if p["name"] in last]
    place = {p["name"]: sum(q["size"] for q in side[:i]) for side in (hidden, final) for i, p in enumerate(side)}
    neurons = sum(p["size"] for p in hidden)
    kinds: dict[str, list[Any]] = {
        "in": [[] for _ in range(program["inputs"])],
        "rec": [[] for _ in range(neurons)],
        "out": [[] for _ in range(neurons)],
    }
    shifts = dict.fromkeys(kinds, 0)
    for q in projections:
        kind = "in" if q["source"] == "input" else "out" if q["target"] in last else "rec"
        shifts[kind] = q["exponent"]
        weights = np.diag(q["weights"]) if q["weights"].ndim == 1 else q["weights"]
        dense = weights if isinstance(weights, np.ndarray) else weights.toarray()
        first, before = place[q["target"]], 0 if kind == "in" else place[q["source"]]
        for target, source in zip(*np.nonzero(dense), strict=True):
            synapse = XyloSynapse(int(first + target), 0, int(dense[target, source]))
            kinds[kind][before + source].append(synapse)
    vth, bias, mem, syn = (both(hidden, key) for key in ("vth", "bias", "dv", "du"))
    vth_out, bias_out, mem_out, syn_out = (both(final, key) for key in ("vth", "bias", "dv", "du"))
    layer = XyloLayer(
        kinds["in"], kinds["rec"], kinds["out"], [[] for _ in vth], vth, vth_out, any(bias) or any(bias_out),
        bias, bias_out, shifts["in"], shifts["rec"], shifts["out"], mem, mem_out,
        [[dash] for dash in syn], [[dash] for dash in syn_out], "layer",
    )  # fmt: skip
    KEPT.append((layer, kinds))
    depth = max(p["depth"] for p in populations)
    silence = np.zeros((depth, program["inputs"]), np.int64)
    layer.evolve(np.concatenate([inputs.astype(np.int64), silence]).tolist())
    recorded = {
        "counts": (np.array(layer.rec_recurrent_spikes), np.array(layer.rec_out_spikes)),
        "i": (np.array(layer.rec_i_syn).T, np.array(layer.rec_i_syn_out).T),
        "v": (np.array(layer.rec_v_mem).T, np.array(layer.rec_v_mem_out).T),
    }
    traces: dict[str, dict[str, Any]] = {}
    for kind, sides in recorded.items():
        traces[kind] = {}
        for p in populations:
            side = sides[p["name"] in last]
            rows = slice(p["depth"], p["depth"] + steps)
            traces[kind][p["name"]] = side[rows, place[p["name"]] : place[p["name"]] + p["size"]].astype(np.int64)
    return traces


def readouts(populations: list[dict[str, Any]], projections: list[dict[str, Any]]) -> set[str]:
    """The names of `neuroprompt.xylo.arithmetic.readouts`."""
    sources = {q["source"] for q in projections}
    heard = {p["name"]: {q["source"] for q in projections if q["target"] == p["name"]} for p in populations}
    ends = [p for p in populations if p["name"] not in sources]
    last = [p for p in ends if heard[p["name"]] and "input" not in heard[p["name"]]]
    return {p["name"] for p in last} if sum(p["size"] for p in last) <= READOUTS else set()


def both(populations: list[dict[str, Any]], key: str) -> list[int]:
    """A number for every neuron, of one for all of a population or one for each."""
    return [int(x) for p in populations for x in np.broadcast_to(p[key], p["size"])]
