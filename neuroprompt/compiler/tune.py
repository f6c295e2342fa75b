"""Tune: the float net teaches its integers on what it does itself, without labels; held-out runs say what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neuroprompt.compiler.assemble import assembled
from neuroprompt.compiler.balance import balanced
from neuroprompt.compiler.climb import Climb
from neuroprompt.compiler.fit import Fitted, Task, matched, one_after_another, runner, with_lists
from neuroprompt.compiler.latent import Vector
from neuroprompt.compiler.lists import Lists, mixed
from neuroprompt.compiler.measure import jaccard, likeness
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
    best on the held-out runs is taken, and of all together only what makes none worse there. Populations behind it are
    fitted and tuned on the spikes of what was taken.
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
            fitted = max(_begun(task, fitted), key=lambda option: likeness(held, _as_it_runs(held, option)))
            fitted = self._alone(task, held, fitted)
        self.held.done[p.name] = _as_it_runs(held, fitted).trace.spikes
        return fitted

    def _alone(self, task: Task, held: Task, fitted: Fitted) -> Fitted:
        name = task.population.name
        pupil = self.pupils[name] = Pupil(task, fitted, self.bits)
        climb = Climb(pupil.latents, self.tuning.seed)
        most = likeness(held, _as_it_runs(held, fitted))
        for _ in self.progress.track(range(self.tuning.rounds), f"tuning {name}"):
            if likeness(task, pupil.fitted) == 1 or climb.stuck:
                break
            climb.step(lambda: pupil.learned()[0])
            option = pupil.rounded()
            if likeness(task, option) <= likeness(task, pupil.fitted):
                climb.undo()
                continue
            climb.keep()
            pupil.fitted = option
            now = likeness(held, _as_it_runs(held, option))
            if now > most:
                fitted, most = option, now
        self.pupils[name] = Pupil(task, fitted, self.bits)
        return fitted

    def together(
        self, tasks: Tasks, tasks_of: dict[str, Task], fits: dict[str, Fitted], share: Share | None
    ) -> tuple[dict[str, Task], dict[str, Fitted]]:
        """All populations at once, where that brings them nearer; and their tasks, with what arrives then."""
        if len(self.pupils) < 2:
            return tasks_of, fits
        line_scale = share.input_scale if share else 0.0
        fits = _running(tasks, fits, line_scale)
        pupils = [self.pupils[name] for name in fits if name in self.pupils]
        climb = Climb([latent for pupil in pupils for latent in pupil.latents], self.tuning.seed)
        best, least = fits, _each(self.held, _running(self.held, fits, line_scale))
        now = _each(tasks, fits).mean()
        self._hear(tasks, fits, share)
        for _ in self.progress.track(range(self.tuning.rounds), "tuning all together"):
            if now == 1 or climb.stuck:
                break
            climb.step(lambda: _of_all(pupils))
            rounded = {pupil.task.population.name: pupil.integers() for pupil in pupils}
            changed = {
                name: replace(fits[name], population=chip, lists=lists) for name, (chip, lists) in rounded.items()
            }
            option = _running(tasks, fits | changed, line_scale)
            if _each(tasks, option).mean() <= now:
                climb.undo()
                continue
            climb.keep()
            fits, now = option, _each(tasks, option).mean()
            self._hear(tasks, fits, share)
            others = _each(self.held, _running(self.held, fits, line_scale))
            if (others >= least).all():
                best, least = fits, others
        _emit(tasks, best)
        _emit(self.held, _running(self.held, best, line_scale))
        tasks_of = {p.name: tasks.of(p, share) for p in tasks.program.populations}
        return tasks_of, {name: _as_it_runs(task, best[name]) for name, task in tasks_of.items()}

    def _hear(self, tasks: Tasks, fits: dict[str, Fitted], share: Share | None) -> None:
        """Every pupil has these integers, and hears what those before it send now."""
        _emit(tasks, fits)
        for p in tasks.program.populations:
            if p.name in self.pupils:
                self.pupils[p.name].fitted = fits[p.name]
                self.pupils[p.name].hears(tasks.of(p, share))


def _as_it_runs(task: Task, fitted: Fitted) -> Fitted:
    """The same integers on the inputs of a task."""
    return matched(task, replace(fitted, trace=runner(task, fitted.lists)(fitted.population)))


def _running(tasks: Tasks, fits: dict[str, Fitted], line_scale: float) -> dict[str, Fitted]:
    """The same integers as the emulator runs them all, on the inputs of the tasks."""
    runs = tasks.inputs.reshape(tasks.runs, -1, tasks.inputs.shape[1])
    fixed = replace(assembled(tasks.program, fits, line_scale), steps=runs.shape[1])
    traces = simulate(fixed, runs)
    return {name: replace(fitted, trace=one_after_another(traces[name])) for name, fitted in fits.items()}


def _each(tasks: Tasks, fits: dict[str, Fitted]) -> Vector:
    """The Jaccard index of every population that fires."""
    firing = [p.name for p in tasks.program.populations if p.emits == "spikes"]
    return np.array([jaccard(fits[name].trace.spikes, tasks.wanted[name].spikes) for name in firing])


def _emit(tasks: Tasks, fits: dict[str, Fitted]) -> None:
    tasks.done |= {name: fitted.trace.spikes for name, fitted in fits.items()}


def _of_all(pupils: list[Pupil]) -> list[Vector]:
    """The gradients of all pupils' latents: that of the last goes back to those before it through their spikes."""
    of_spikes: dict[str, Array] = {}
    gradients: list[list[Vector]] = []
    before = [pupil.task.population.name for pupil in pupils]
    for pupil in reversed(pupils):
        own, back = pupil.learned(of_spikes.get(before.pop()))
        gradients.append(own)
        for i, q in enumerate(pupil.task.incoming):
            if q.source in before:  # in a cycle those that come later are taken as they are
                of_source = pupil.of_source(i, back)
                of_spikes[q.source] = of_spikes[q.source] + of_source if q.source in of_spikes else of_source
    return [gradient for own in reversed(gradients) for gradient in own]


def _begun(task: Task, fitted: Fitted) -> list[Fitted]:
    """What tuning may begin with: where weights are one list of 8 bits also ones whose errors balance out."""
    plain = [len(lists.projections) == 1 and not lists.exponent for lists in fitted.lists]
    if not all(plain) or any(map(task.carries_numbers, task.incoming)):
        return [fitted]
    options = [fitted]
    for factor in BALANCED:
        scale = fitted.scale * factor
        options.append(with_lists(task, scale, _balanced_lists(task, fitted, scale)))
    return options


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
