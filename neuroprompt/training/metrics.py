"""What training measures: every epoch, and the run as a whole. It is read without torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images, `epoch` from 1: mean loss of its steps, then accuracies in [0, 1].

    `density` is the share of prompt bits that are 1, where neurons make the prompt.
    """

    epoch: int
    train_loss: float
    val_accuracy: float | None = None
    density: float | None = None

    def json(self) -> dict[str, float]:
        """The figures there are."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True)
class TrainingMetrics:
    """A training run in figures; `finished` is false where it stopped before its last epoch.

    The parameters are those that learn. `epochs`, `train_loss`, `val_accuracy` and `density` are those of the last
    epoch of `history`; no epoch is picked by its accuracy.
    """

    finished: bool = False
    images_per_second: float = 0.0
    prompt_parameters: int = 0
    head_parameters: int = 0
    backbone_parameters: int = 0
    device: str = ""
    history: tuple[Epoch, ...] = ()

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return self.history[-1].epoch if self.history else 0

    @property
    def train_loss(self) -> float | None:
        """The last epoch's mean loss; None before its end."""
        return self.history[-1].train_loss if self.history else None

    @property
    def val_accuracy(self) -> float | None:
        """The last epoch's accuracy on the validation images; None where there are none."""
        return self.history[-1].val_accuracy if self.history else None

    @property
    def density(self) -> float | None:
        """The last epoch's share of prompt bits that are 1."""
        return self.history[-1].density if self.history else None

    def summary(self) -> dict[str, Any]:
        """All but the history, as JSON-able values."""
        last = self.history[-1].json() if self.history else {}
        return {
            "finished": self.finished,
            "epochs": self.epochs,
            **{key: value for key, value in last.items() if key != "epoch"},
            "images_per_second": self.images_per_second,
            "prompt_parameters": self.prompt_parameters,
            "head_parameters": self.head_parameters,
            **({"backbone_parameters": self.backbone_parameters} if self.backbone_parameters else {}),
            "device": self.device,
        }

    def json(self) -> dict[str, Any]:
        """All of it as JSON-able values."""
        return {**self.summary(), "history": [epoch.json() for epoch in self.history]}

    def repeatable(self) -> dict[str, Any]:
        """What is the same each time: all but the speed. Files hold this."""
        return {key: value for key, value in self.json().items() if key != "images_per_second"}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainingMetrics:
        """The metrics that `json` wrote, or of a `summary`, whose history is its last epoch.

        Raises KeyError, TypeError, ValueError or OverflowError for other values.
        """
        epochs = values.get("history", [{**values, "epoch": values["epochs"]}] if "train_loss" in values else [])
        return cls(
            finished=bool(values.get("finished", False)),
            images_per_second=float(values.get("images_per_second", 0)),
            prompt_parameters=int(values.get("prompt_parameters", 0)),
            head_parameters=int(values.get("head_parameters", 0)),
            backbone_parameters=int(values.get("backbone_parameters", 0)),
            device=str(values.get("device", "")),
            history=tuple(
                Epoch(int(e["epoch"]), float(e["train_loss"]), e.get("val_accuracy"), e.get("density")) for e in epochs
            ),
        )
