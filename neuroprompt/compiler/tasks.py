"""Tasks: what every population of a program is fitted on."""

from __future__ import annotations

import numpy as np

from neuroprompt.compiler.fit import Task, one_threshold
from neuroprompt.compiler.shares import Share
from neuroprompt.loihi.arithmetic import Array
from neuroprompt.loihi.neurons import Trace
from neuroprompt.spiking.program import Population, Program, Projection


class Tasks:
    """The inputs of a float program, what it does on them, and in `done` the integer spikes of what was fitted.

    Steps are those of `runs` runs of equal length, one after the other, each from rest.
    """

    def __init__(self, program: Program, inputs: Array, wanted: dict[str, Trace], runs: int = 1) -> None:
        self.program, self.inputs, self.wanted, self.runs = program, inputs, wanted, runs
        self.done: dict[str, Array] = {}

    def of(self, population: Population, share: Share | None = None) -> Task:
        """The task of one population, with one threshold."""
        incoming = tuple(self.program.into(population.name))
        arriving = tuple(self._arriving(q) for q in incoming)
        input_scale = share.input_scale if share else 0.0
        return one_threshold(Task(population, incoming, arriving, self.wanted[population.name], input_scale, self.runs))

    def that_numbers_reach(self) -> list[Task]:
        """The tasks of all populations that the input lines reach."""
        reached = {q.target for q in self.program.projections if q.source == "input"}
        return [self.of(p) for p in self.program.populations if p.name in reached]

    def _arriving(self, q: Projection) -> Array | None:
        if q.source == q.target:
            return None
        known = self.inputs if q.source == "input" else self.done.get(q.source, self.wanted[q.source].spikes)
        of_runs = known.reshape(self.runs, len(known) // self.runs, known.shape[1])
        late = np.zeros_like(of_runs)
        late[:, q.lag :] = of_runs[:, : max(0, of_runs.shape[1] - q.lag)]
        return late.reshape(known.shape)
