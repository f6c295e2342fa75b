"""How far a training run is, saved into its run folder so that a killed one goes on with the same result."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

from neuroprompt.training.checkpoint import drop_state, load_tensors, save_prompt, save_state
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import Epoch, TrainingMetrics
from neuroprompt.training.model import PromptedModel
from neuroprompt.training.optimiser import PREFIX, flat_state, make_optimiser, restore
from neuroprompt.training.run_files import BEST, STATE, begin, save_metrics
from neuroprompt.training.stopping import out_of_patience


@dataclass
class Position:
    """How far training is: `step` steps of `epoch` are done; sums are over them, `history` over whole epochs."""

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    images: int = 0
    seconds: float = 0.0
    history: list[Epoch] = field(default_factory=list)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Position:
        """The position that `dataclasses.asdict` gave."""
        return cls(**{**values, "history": [Epoch(**epoch) for epoch in values["history"]]})


class Saver:
    """What changes while a run is trained: model, optimiser, position; only the first process writes.

    `every` seconds a checkpoint is due.
    """

    def __init__(self, fabric: Fabric, config: RunConfig, model: PromptedModel, out: Path, every: float) -> None:
        self.fabric, self.config, self.model, self.out, self.every = fabric, config, model, out, every
        fabric.to_device(model)
        self.optimiser = make_optimiser(config, model.learned())
        self.position = Position()
        self.saved_at = time.monotonic()

    def start(self, state: tuple[Mapping[str, Tensor], Mapping[str, Any]] | None) -> None:
        """Take up the tensors and numbers of `load_state`, or begin a new run folder; raises BadCheckpoint."""
        if state is not None:
            tensors, info = state
            restore(self.optimiser, {k: v for k, v in tensors.items() if k.startswith(PREFIX)})
            own = {k: v for k, v in tensors.items() if not k.startswith(PREFIX)}
            load_tensors(self.model, own, self.out / STATE)
            self.fabric.strategy.precision.load_state_dict(info["precision"])
            self.position = Position.from_json(info["done"])
        elif self.fabric.is_global_zero:
            begin(self.out, self.config)

    @property
    def is_over(self) -> bool:
        """Whether training has ended: after its last epoch, or out of patience."""
        position = self.position
        return position.epoch == self.config.epochs or out_of_patience(self.config.patience, position.history)

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is older than `every` seconds."""
        return time.monotonic() - self.saved_at > self.every

    def save_state(self) -> None:
        """Write all that is needed to go on from here."""
        if self.fabric.is_global_zero:
            precision = self.fabric.strategy.precision.state_dict()
            info = {"done": dataclasses.asdict(self.position), "precision": precision}
            save_state(self.out, self.config, {**self.model.kept(), **flat_state(self.optimiser)}, info)
        self.saved_at = time.monotonic()

    def save_prompt(self) -> None:
        """Write prompt, head and what was measured so far."""
        if self.fabric.is_global_zero:
            save_prompt(self.out, self.config, self.model.kept())
            save_metrics(self.out, self.metrics())

    def save_best(self) -> None:
        """Write prompt and head as they are into a file of their own, beside those of the last epoch."""
        if self.fabric.is_global_zero:
            save_prompt(self.out, self.config, self.model.kept(), BEST)

    def finish(self) -> None:
        """Write the result, and drop the state that only going on needs."""
        self.save_prompt()
        if self.fabric.is_global_zero:
            drop_state(self.out)

    def metrics(self) -> TrainingMetrics:
        """What was measured so far, with the speed, which files do not hold."""
        position, sizes = self.position, {"prompt": 0, "head": 0, "backbone": 0}
        for name, parameter in self.model.learned().items():
            sizes[name.partition(".")[0]] += parameter.numel()
        return TrainingMetrics(
            finished=self.is_over,
            images_per_second=round(position.images / position.seconds, 1) if position.seconds else 0.0,
            prompt_parameters=sizes["prompt"],
            head_parameters=sizes["head"],
            backbone_parameters=sizes["backbone"],
            device=str(self.fabric.device),
            history=tuple(position.history),
        )
