"""Tune: the float net teaches its integers on what it does itself, without labels; held-out runs say what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neuroprompt.compiler.balance import balanced
from neuroprompt.compiler.climb import Climb
from neuroprompt.compiler.fit import Fitted, Task, one_after_another, runner, with_lists
from neuroprompt.compiler.lists import Lists, mixed
from neuroprompt.compiler.measure import likeness
from neuroprompt.compiler.pupil import Pupil
from neuroprompt.compiler.shares import Share
from neuroprompt.compiler.tasks import Tasks
from neuroprompt.compiler.wide import spans
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.loihi.arithmetic import Array, simulate
from neuroprompt.loihi.synapses import stored
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.program import Program

BALANCED = (1.0, 1.1)
"""Scales at which 8 bits are also tried with errors that balance out, over that which was found."""


class Lessons:
    """Tuning of one program: population after population as each is fitted, then all together.

    A step is kept where the integers, run freely on the training runs, fire more as float does; of what was kept the
    best on the held-out runs is taken. Populations behind it are fitted and tuned on the spikes of what was taken.
    """

    def __init__(
        self, floats: Program, held_out: Array, tuning: Tuning, wide: Wide | None, progress: Progress = SILENT
    ) -> None:
        self.tuning, self.bits, self.progress = tuning, (wide or Wide()).bits, progress
        runs, steps, lines = held_out.shape
        wanted = simulate(replace(floats, steps=steps), held_out)
        traces = {name: one_after_another(trace) for name, trace in wanted.items()}
        self.held = Tasks(floats, held_out.reshape(runs * steps, lines), traces, runs)
        self.pupils: dict[str, Pupil] = {}

    def of(self, program: Program) -> None:
        """Begin with the float program as it is fitted, where its signs are split."""
        self.held.program = program

    def tuned(self, task: Task, fitted: Fitted, share: Share | None) -> Fitted:
        """One population, better by what it learned."""
        p = task.population
        held = self.held.of(p, share)
        if task.incoming and p.emits == "spikes":
            fitted = self._alone(task, held, _begun(task, fitted))
        self.held.done[p.name] = _on(held, fitted).trace.spikes
        return fitted

    def _alone(self, task: Task, held: Task, fitted: Fitted) -> Fitted:
        name = task.population.name
        pupil = self.pupils[name] = Pupil(task, fitted, self.bits)
        climb = Climb(pupil.latents, self.tuning.seed)
        best, most = fitted, likeness(held, _on(held, fitted))
        for _ in self.progress.track(range(self.tuning.rounds), f"tuning {name}"):
            if likeness(task, pupil.fitted) == 1:
                break
            climb.step(lambda: pupil.learned()[0])
            option = pupil.rounded()
            if likeness(task, option) <= likeness(task, pupil.fitted):
                climb.undo()
                continue
            climb.keep()
            pupil.fitted = option
            now = likeness(held, _on(held, option))
            if now > most:
                best, most = option, now
        self.pupils[name] = Pupil(task, best, self.bits)
        return best


def _on(held: Task, fitted: Fitted) -> Fitted:
    """The same integers on other runs."""
    return replace(fitted, trace=runner(held, fitted.lists)(fitted.population))


def _begun(task: Task, fitted: Fitted) -> Fitted:
    """What tuning begins with: where weights are one list of 8 bits perhaps one whose errors balance out."""
    plain = [len(lists.projections) == 1 and not lists.exponent for lists in fitted.lists]
    if not all(plain) or any(map(task.carries_numbers, task.incoming)):
        return fitted
    options = [fitted]
    for factor in BALANCED:
        scale = fitted.scale * factor
        options.append(with_lists(task, scale, _balanced_lists(task, fitted, scale)))
    return max(options, key=lambda option: likeness(task, option))


def _balanced_lists(task: Task, fitted: Fitted, scale: float) -> tuple[Lists, ...]:
    bias = task.population.bias * scale
    left: Array = np.rint(bias) - bias
    result = []
    for q, arriving, lists in zip(task.incoming, task.arriving, fitted.lists, strict=True):
        exact = q.weights.with_values(q.weights.values * scale)
        rates = (task.wanted.spikes if arriving is None else arriving).mean(axis=0)
        whole, left = balanced(exact, 2 if mixed(exact.values) else 1, rates, spans(task), left)
        weights = stored(q.weights.with_values(whole))
        part = replace(lists.projections[0], weights=weights)
        changed = int((weights.values != whole).sum())
        result.append(Lists((part,), exact.values, weights.values, changed))
    return tuple(result)
