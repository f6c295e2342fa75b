"""Report: what the integers of a program changed, for every population and projection."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2
from typing import Any

import numpy as np

from neuroprompt.compiler.fit import Fitted, Task
from neuroprompt.compiler.lists import Lists, mixed
from neuroprompt.compiler.measure import bits_of, delivered, likeness, rounded_inputs, rounding_noise
from neuroprompt.loihi.arithmetic import MANTISSA, Array
from neuroprompt.spiking.program import GRADED, Projection


def population_report(task: Task, fitted: Fitted) -> dict[str, Any]:
    """Scale, threshold, decays and biases of a population, and what rounding them changed."""
    population, fixed, trace, spikes = task.population, fitted.population, fitted.trace, task.wanted.spikes
    exact = population.bias * fitted.scale
    moved = 0 in dict(fixed.currents) and 0 not in dict(population.currents)  # the bias, to the currents
    saturated = ((exact > MANTISSA[1]) | (exact < MANTISSA[0])) & (not moved)
    same = (trace.spikes == spikes).all(axis=0)
    bias = dict(fixed.currents)[0] if moved else fixed.bias
    within = np.abs(bias / fitted.scale - population.bias)[~saturated]
    return {
        "scale": fitted.scale,
        "vth": int(fixed.vth),
        "du": _plain(fixed.du),
        "dv": _plain(fixed.dv),
        "bias_bits": bits_of(bias),
        "clipped": int((saturated & ~same).sum()),
        "saturated_harmless": int((saturated & same).sum()),
        "zeroed": int(((population.bias != 0) & (bias == 0)).sum()),
        "overflow_u": trace.wrapped,
        "overflow_v": trace.clipped,
        "sums_beyond_loihi1": trace.beyond,
        "dead": int((spikes.any(axis=0) & ~trace.spikes.any(axis=0)).sum()),
        "max_error": float(within.max(initial=0.0)),
        "spike_match": fitted.match,
        "jaccard": likeness(task, fitted),
    }


def projection_report(projection: Projection, lists: Lists, scale: float) -> dict[str, Any]:
    """Bits and exponents of a projection's weights, and what rounding them changed."""
    values, exponent = projection.weights.values, lists.projections[-1].exponent
    one = len(lists.projections) == 1 and lists.projections[0].weights.values.size == values.size
    whole = lists.projections[0].weights.values if one else lists.whole
    signed = mixed(values) and one
    low, high = (-256, 254) if signed else (-255, 255)
    over = (np.rint(lists.exact) > high + signed) | (np.rint(lists.exact) < low)
    return {
        "scale": scale,
        "bits": bits_of(whole),
        "lists": len(lists.projections),
        "clipped": int(over.sum()) if one else lists.changed,
        "zeroed": int(((values != 0) & (whole == 0)).sum()),
        "odd_to_even": int((np.rint(lists.exact) % 2 != 0).sum()) if signed else 0,
        "exponent": exponent,
        "max_error": float(np.abs(whole * 2.0**lists.exponent / scale - values).max()),
    }


def numbers_report(task: Task, index: int, fitted: Fitted, inputs: Array) -> dict[str, Any]:
    """The same of a projection that carries numbers: bits of both, how far from overflow, and what rounding changed."""
    projection, lists = task.incoming[index], fitted.lists[index]
    sent = task.sent(projection, inputs)
    reach = float(np.abs(delivered(lists, sent)).max(initial=0))
    return {
        **projection_report(projection, lists, fitted.scale),
        "input_scale": task.input_scale,
        "input_bits": bits_of(sent),
        "headroom_bits": log2(GRADED / max(reach, 1.0)),
        "inputs_zeroed": int(((inputs != 0) & (sent == 0)).sum()),
        "rounding": rounding_noise(task, fitted.lists, fitted.scale),
        "input_rounding": rounded_inputs(task, projection, inputs),
        "max_error": 0.5 / task.input_scale,
    }


def number_bits(report: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Of every projection that carries numbers: the bits of its weights, in how many lists, and of its inputs."""
    return {
        name: {"weights": q["bits"], "lists": q["lists"], "inputs": q["input_bits"]}
        for name, q in report.get("projections", {}).items()
        if "input_bits" in q
    }


def bits_words(bits: Mapping[str, Mapping[str, int]]) -> list[str]:
    """`number_bits` in words, a line for every projection."""
    return [
        f"{name}: inputs of {each['inputs']} bits, weights of {each['weights']}"
        + (f" in {each['lists']} lists of synapses" if each["lists"] > 1 else "")
        for name, each in bits.items()
    ]


def rounding_words(report: Mapping[str, Any]) -> str:
    """What the integers round, and where numbers are on the lines by how much, the larger part first."""
    words = []
    for name, q in report.get("projections", {}).items():
        if "input_rounding" in q:
            of_inputs, both = q["input_rounding"], q["rounding"]
            of_weights = max(0.0, both**2 - of_inputs**2) ** 0.5
            parts = [(of_inputs, f"inputs to {q['input_bits']} bits"), (of_weights, f"weights to {q['bits']} bits")]
            changes = ", ".join(f"{what} ({share:.2%})" for share, what in sorted(parts, reverse=True))
            words.append(f"what {name} delivers changes by {both:.2%} when rounding {changes}")
    return "; ".join([*words, f"{'other ' if words else ''}weights, decays and thresholds are rounded to the chip's"])


def label(projection: Projection, incoming: tuple[Projection, ...]) -> str:
    """Source and target, and what tells it from others between the same."""
    lags = [q.lag for q in incoming if q.source == projection.source]
    name = f"{projection.source} -> {projection.target}"
    if len(set(lags)) > 1:
        name += f" (lag {projection.lag})"
    if lags.count(projection.lag) > 1:
        name += " (below 0)" if projection.weights.values.max(initial=0) <= 0 else " (above 0)"
    return name


def _plain(decay: Any) -> int | list[int]:
    """One number, or the smallest and largest of several."""
    array = np.asarray(decay)
    return int(array) if array.ndim == 0 else [int(array.min()), int(array.max())]
