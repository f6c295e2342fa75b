"""A run folder as what it holds: the trained prompt, its configuration and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuroprompt.errors import BadCheckpoint
from neuroprompt.training.assemble import build
from neuroprompt.training.checkpoint import load_prompt, load_tensors
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.model import PromptedModel
from neuroprompt.training.run_files import PROMPT, RUN, load_config, load_metrics


@dataclass(frozen=True)
class Run:
    """A trained prompt with its model in eval mode, on the CPU."""

    folder: Path
    config: RunConfig
    model: PromptedModel
    metrics: TrainingMetrics

    @classmethod
    def load(cls, folder: Path | str, weights: Path | None = None) -> Run:
        """Read a run folder; `weights` where the backbone's file has moved. Raises BadCheckpoint, BadWeights."""
        folder = Path(folder)
        config = load_config(folder)
        if config is None:
            raise BadCheckpoint(f"{folder} is no run", f"a folder with {RUN}", "see 'neuroprompt train --help'")
        tensors, metrics = load_prompt(folder, config), load_metrics(folder)
        model = build(config, weights)
        load_tensors(model, tensors, folder / PROMPT)
        return cls(folder, config, model.eval(), metrics)

    def summary(self) -> dict[str, Any]:
        """What training measured, without its course."""
        return self.metrics.summary()
