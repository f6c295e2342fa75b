"""Accuracies of one run, as `neuroprompt.training.evaluation.evaluate` gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Accuracy:
    """Accuracies in [0, 1] on `images` test images: clean, by noise, and the mean of each type of corruption."""

    clean: float
    noise: Mapping[str, float]
    images: int
    types: Mapping[str, float] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, float]:
        """Clean, and every noise."""
        return {"clean": self.clean, **self.noise}

    @property
    def mean_noise(self) -> float | None:
        """The mean over the noises; None where there are none."""
        return sum(self.noise.values()) / len(self.noise) if self.noise else None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `evaluate` gave, or `neuroprompt eval --json` printed; raises KeyError, TypeError, ValueError."""
        clean, noise, images = float(values["clean"]), dict(values["noise"]), int(values["images"])
        if not all(0 <= value <= 1 for value in (clean, *noise.values())) or images < 1:
            raise ValueError("a number out of range")
        return cls(clean, noise, images, values.get("corruption", {}).get("types", {}))

    def json(self) -> dict[str, object]:
        """What `from_json` reads."""
        values: dict[str, object] = {"clean": self.clean, "noise": dict(self.noise), "images": self.images}
        return values | ({"corruption": {"types": dict(self.types)}} if self.types else {})
