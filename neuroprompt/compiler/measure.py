"""Measure: how much of its float twin a fitted population is, and what rounding changed of what reaches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neuroprompt.compiler.fit import Fitted, Task
from neuroprompt.compiler.lists import Lists
from neuroprompt.loihi.arithmetic import Array, simulate
from neuroprompt.loihi.synapses import shifted, weighted_sums
from neuroprompt.spiking.program import Projection, SpikingModel


def likeness(task: Task, fitted: Fitted) -> float:
    """The Jaccard index of a population's spikes with its float twin's; of one that never fires its `match`."""
    if task.population.emits == "v":
        return fitted.match
    return jaccard(fitted.trace.spikes, task.wanted.spikes)


def jaccard(a: Array, b: Array) -> float:
    """The entries that are in both over those that are in either; 1 where there are none."""
    either = int(np.sum(a | b))
    return int(np.sum(a & b)) / either if either else 1.0


def rounding_noise(task: Task, lists: Sequence[Lists], scale: float) -> float:
    """What rounding weights and inputs changes of what numbers deliver, over that itself, each as root mean square."""
    numbers = [
        (q.weights.apply(x), delivered(each, task.sent(q, x)) / scale)
        for q, x, each in zip(task.incoming, task.arriving, lists, strict=True)
        if x is not None and task.carries_numbers(q)
    ]
    return changed_share(*map(np.stack, zip(*numbers, strict=True))) if numbers else 0.0


def rounded_inputs(task: Task, projection: Projection, inputs: Array) -> float:
    """The part of `rounding_noise` of one projection that rounding its inputs alone makes."""
    sent = task.sent(projection, inputs) / task.input_scale
    return changed_share(projection.weights.apply(inputs), projection.weights.apply(sent))


def changed_share(exact: Array, rounded: Array) -> float:
    """The root mean square of a difference, over that of what is exact."""
    size = float((exact**2).sum())
    return (float(((rounded - exact) ** 2).sum()) / size) ** 0.5 if size else 0.0


def delivered(lists: Lists, sent: Array) -> Array:
    """What the lists of a projection deliver together, (T, out)."""
    return np.asarray(sum(shifted(weighted_sums(q.weights, sent), q.exponent) for q in lists.projections))


def bits_of(values: Any) -> int:
    """Bits of the largest magnitude, and one for the sign where there is one."""
    return int(np.abs(values).max(initial=0)).bit_length() + int((np.asarray(values) < 0).any())


def jaccard_by_layer(model: SpikingModel, inputs: Array) -> dict[str, float]:
    """The Jaccard index of every population that fires, on one run or on all of a batch; of silent ones 1."""
    floats, fixed = (simulate(program, inputs) for program in (model.float_program, model.fixed_program))
    firing = [p.name for p in model.float_program.populations if p.emits == "spikes"]
    return {name: jaccard(floats[name].spikes, fixed[name].spikes) for name in firing}
