"""Tuned: what tuning an integer program on its float twin changed, on inputs that it was not tuned on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Tuned:
    """How often integers fire as float does on held-out runs, before and after: the Jaccard index of every population.

    rounds           asked for
    runs, held_out   calibration runs that were trained on, and that were not
    kept             whether the tuned integers are the program's: they are where that is more on average
    seconds          spent, both searches included
    """

    rounds: int
    runs: int
    held_out: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    kept: bool
    seconds: float

    def json(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self) | {"before": dict(self.before), "after": dict(self.after)}

    def untimed(self) -> dict[str, Any]:
        """Without the seconds: what files keep, the same each time."""
        return {key: value for key, value in self.json().items() if key != "seconds"}

    def words(self) -> list[str]:
        """A line for every population that fires, and one for what was kept."""
        lines = [f"{name}: Jaccard {self.before[name]:.4f}, tuned {value:.4f}" for name, value in self.after.items()]
        kept = "the tuned integers are kept" if self.kept else "the integers are kept as they were before"
        of = f"{self.runs} runs to learn from, {self.held_out} held out"
        return [*lines, f"tuning: {kept} ({of}, {self.rounds} rounds, {self.seconds:.0f} s)"]
