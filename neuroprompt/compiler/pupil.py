"""Pupil: one population that learns from its float twin, and what is behind its integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.backward import (
    Gradient,
    back_through_time,
    forced_potentials,
    of_weights,
    teacher_potentials,
)
from neuroprompt.compiler.fit import Fitted, Task, matched, runner
from neuroprompt.compiler.latent import Latent, LatentWeights, Vector
from neuroprompt.compiler.lists import Lists
from neuroprompt.compiler.measure import delivered
from neuroprompt.loihi.arithmetic import MANTISSA, SHIFT, VTH_MAX, Array
from neuroprompt.spiking.program import GRADED, Population

NEAR = 0.15
"""How near to the threshold a potential matters most, in thresholds."""
LARGE = 0.3
"""Errors of a potential beyond so many thresholds count by their size, not its square."""
SHARPEST = 1e-3
"""Of the spike's logistic loss, in thresholds."""


class Pupil:
    """A population with its inputs, the integers as they are now (`fitted`), and what is learned behind them."""

    def __init__(self, task: Task, fitted: Fitted, bits: int) -> None:
        self.task, self.fitted = task, fitted
        p, chip, scale = task.population, fitted.population, fitted.scale
        self.weights = [
            LatentWeights(q, lists, bits, task.carries_numbers(q))
            for q, lists in zip(task.incoming, fitted.lists, strict=True)
        ]
        own = dict(p.currents)
        self.currents = {
            onset: Latent.of(exact := own.get(onset, p.bias), exact * scale, values.astype(np.float64))
            for onset, values in chip.currents
        }
        has_bias = bool(chip.bias.any())
        self.bias = Latent.of(p.bias, p.bias * scale, chip.bias.astype(np.float64)) if has_bias else None
        fires = p.emits == "spikes" and np.isfinite(p.vth)
        self.vth = Latent(np.array([float(chip.vth)]), np.zeros(1, np.int64)) if fires else None
        self.potentials = teacher_potentials(task)
        self.fired: NDArray[np.bool_] = task.wanted.spikes.reshape(self.potentials.shape)
        self.sent = [self._sent(i) for i in range(len(task.incoming))]
        self.error = NEAR

    @property
    def latents(self) -> list[Latent]:
        """All that learn."""
        return [*self.weights, *self.currents.values(), *(each for each in (self.bias, self.vth) if each is not None)]

    def hears(self, task: Task) -> None:
        """Take what other populations send now."""
        self.task = task
        self.sent = [self._sent(i) for i in range(len(task.incoming))]

    def _sent(self, i: int) -> Array:
        """What projection i carries, (B, T, in); the population's own spikes are those of its float twin."""
        q, x = self.task.incoming[i], self.task.arriving[i]
        if x is not None:
            return self.task.sent(q, x).reshape(*self.fired.shape[:2], -1)
        late: NDArray[np.bool_] = np.zeros_like(self.fired)
        late[:, q.lag :] = self.fired[:, : max(0, late.shape[1] - q.lag)]
        return late

    def integers(self) -> tuple[Population, tuple[Lists, ...]]:
        """The population and its lists, rounded from what is behind them now."""
        currents = tuple(
            (onset, np.clip(np.rint(each.exact), -GRADED, GRADED).astype(np.int64))
            for onset, each in self.currents.items()
        )
        chip = replace(self.fitted.population, currents=currents)
        if self.bias is not None:
            chip = replace(chip, bias=np.clip(np.rint(self.bias.exact), *MANTISSA).astype(np.int32))
        if self.vth is not None:
            chip = replace(chip, vth=int(np.clip(np.rint(self.vth.exact[0]), 0, VTH_MAX)))
        return chip, tuple(each.lists() for each in self.weights)

    def rounded(self) -> Fitted:
        """`integers` as they run behind the task's inputs."""
        chip, lists = self.integers()
        changed = sum(each.changed for each in lists)
        trace = runner(self.task, lists)(chip)
        return matched(self.task, Fitted(chip, lists, trace, self.fitted.scale, 0.0, changed))

    def learned(self, of_spikes: Array | None = None) -> tuple[list[Vector], Gradient]:
        """The gradient for each of `latents`, and that of what arrives.

        Of a potential v before resets, in thresholds theta of the float twin's w: the loss of potentials is
        (v - w)^2 / (1 + ((w - theta) / NEAR)^2), linear beyond LARGE, and that of spikes the logistic one of v - vth,
        as sharp as errors are large. `of_spikes` (B, T, n) is what later populations say of the spikes, which have
        the logistic's slope.
        """
        p, chip = self.task.population, self.fitted.population
        v = forced_potentials(chip, self._arriving(), self.fired) / (self.fitted.scale * 2.0**SHIFT)
        theta = float(p.vth) if self.vth is not None else max(float(np.abs(self.potentials).max()), 1e-300)
        size = theta or 1.0
        unit = self.fitted.scale * size  # weight units of a threshold
        far = (v - self.potentials) / size
        near = np.ones_like(far) if self.vth is None else 1 / (1 + ((self.potentials - theta) / (NEAR * size)) ** 2)
        of_v = near * far / np.maximum(1.0, np.abs(far) / LARGE)
        of_vth = 0.0
        if self.vth is not None:
            margin = v / size - (chip.vth + 0.5) / unit
            sharp = max(SHARPEST, 0.5 * self.error)
            fires = 1 / (1 + np.exp(np.clip(-margin / sharp, -50, 50)))
            of_margin = fires - self.fired
            if of_spikes is not None:
                of_margin = of_margin + of_spikes * fires * (1 - fires) / sharp
            of_v = of_v + of_margin
            of_vth = -float(of_margin.sum()) / unit
        self.error = float(np.sqrt((near * far**2).sum() / near.sum()))
        back = back_through_time(chip, of_v / (unit * 2.0**SHIFT), self.fired)
        gradients = [
            each.summed(of_weights(each.projection.weights, back.of_sums, x))
            for each, x in zip(self.weights, self.sent, strict=True)
        ]
        gradients += [each.summed(back.of_sums[:, onset:].sum(axis=(0, 1))) for onset, each in self.currents.items()]
        if self.bias is not None:
            gradients.append(self.bias.summed(back.of_sums.sum(axis=(0, 1)) if chip.depth else back.of_bias))
        if self.vth is not None:
            gradients.append(np.array([of_vth]))
        return gradients, back

    def of_source(self, i: int, back: Gradient) -> Array:
        """dL/dx (B, T, in) of the spikes x that projection i carries, at the step in which they are sent."""
        q, lists = self.task.incoming[i], self.fitted.lists[i]
        rows = q.weights.with_values(lists.whole * 2.0**lists.exponent).rows()
        late = (rows.T @ back.of_sums.reshape(-1, rows.shape[0]).T).T.reshape(*back.of_sums.shape[:2], -1)
        result: NDArray[np.float64] = np.zeros_like(late)
        result[:, : max(0, late.shape[1] - q.lag)] = late[:, q.lag :]
        return result

    def _arriving(self) -> Array:
        shape = self.fired.shape
        a = np.zeros(shape)
        for lists, x in zip(self.fitted.lists, self.sent, strict=True):
            a += delivered(lists, x.reshape(-1, x.shape[-1])).reshape(shape)
        for onset, values in self.fitted.population.currents:
            a[:, onset:] += values
        return a
