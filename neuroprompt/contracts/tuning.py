"""Tuning: how long the float net teaches its integers, and on which of the calibration runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import BadSetting

HELD_OUT = 0.25
"""Share of the calibration runs that nothing is trained on, at least one."""


@dataclass(frozen=True)
class Tuning:
    """`rounds` of steps for each population, then for all together; `seed` says which runs are held out."""

    rounds: int
    seed: int = 0

    @classmethod
    def of(cls, rounds: int | None, seed: int = 0) -> Tuning | None:
        """None without rounds; raises BadSetting for fewer than one."""
        if rounds is not None and rounds < 1:
            raise BadSetting(f"--tune {rounds}", "1 round or more", "--tune 30")
        return None if rounds is None else cls(rounds, seed)

    def split(self, runs: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The runs to train on, and those that are held out; raises BadSetting for fewer than two in all."""
        if runs < 2:
            got = "--tune with a single calibration run"
            fix = "--calibrate FILE with several runs, or --input poisson:RATE"
            raise BadSetting(got, "2 runs or more: some are held out", fix)
        order = np.random.default_rng(self.seed).permutation(runs)
        count = max(1, round(runs * HELD_OUT))
        return np.sort(order[count:]), np.sort(order[:count])
