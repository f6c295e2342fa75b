"""Climb: steps along a gradient that are kept where the integers, as they run, get nearer to float."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from neuroprompt.compiler.latent import Latent, Vector

RATE = 0.1
"""Of the first step, in steps of rounding."""
LONGER, SHORTER = 1.2, 0.85
"""What a step that was kept, or undone, makes of the rate."""
LEAST = 0.02
"""The smallest rate: below it hardly a number would round otherwise."""
PATIENCE = 15
"""Steps undone in a row after which no other is tried."""
SHARES = 1 / 64
"""A step moves from this share of all numbers up to all, drawn anew for each: many that jump at once jump too far."""
BETA1, BETA2 = 0.9, 0.99


class Climb:
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1) on latents, a random share of them at a time; steps can be undone.

    Straight through rounding a gradient is only a guess: whether a step is kept is for the integers to say.
    """

    def __init__(self, latents: Sequence[Latent], seed: int) -> None:
        self.latents = latents
        self.rng = np.random.default_rng(seed)
        self.rate, self.count, self.undone = RATE, 0, 0
        self.mean = [np.zeros_like(each.update) for each in latents]
        self.square = [np.zeros_like(each.update) for each in latents]
        self.direction: list[Vector] = []
        self.before: list[Vector] = []

    @property
    def stuck(self) -> bool:
        """Whether no step helps any more."""
        return self.undone >= PATIENCE

    def step(self, gradients: Callable[[], Sequence[Vector]]) -> None:
        """Move; `gradients` are asked for where the last step was kept."""
        if not self.direction:
            self._turn(gradients())
        self.before = [each.update for each in self.latents]
        share = SHARES ** self.rng.random()
        for each, way in zip(self.latents, self.direction, strict=True):
            chosen = self.rng.random(way.shape) < share
            each.update = each.update - self.rate * each.step * way * chosen

    def _turn(self, gradients: Sequence[Vector]) -> None:
        self.count += 1
        for i, gradient in enumerate(gradients):
            self.mean[i] = BETA1 * self.mean[i] + (1 - BETA1) * gradient
            self.square[i] = BETA2 * self.square[i] + (1 - BETA2) * gradient**2
            size = np.sqrt(self.square[i] / (1 - BETA2**self.count))
            mean = self.mean[i] / (1 - BETA1**self.count)
            self.direction.append(np.divide(mean, size, out=np.zeros_like(mean), where=size > 0))

    def keep(self) -> None:
        """The last step was good."""
        self.rate *= LONGER
        self.undone = 0
        self.direction = []

    def undo(self) -> None:
        """It was not."""
        self.undone += 1
        self.rate = max(self.rate * SHORTER, LEAST)
        for each, update in zip(self.latents, self.before, strict=True):
            each.update = update
