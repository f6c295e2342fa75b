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
from neuroprompt.training.run_files import BEST, PROMPT, RUN, load_config, load_metrics


@dataclass(frozen=True)
class Run:
    """A trained prompt with its model in eval mode, on the CPU."""

    folder: Path
    config: RunConfig
    model: PromptedModel
    metrics: TrainingMetrics

    @classmethod
    def load(cls, folder: Path | str, weights: Path | None = None, *, best: bool = False) -> Run:
        """Read a run folder; `weights` where the backbone's file has moved; `best` for the best epoch and not the last.

        Raises BadCheckpoint, BadWeights.
        """
        folder = Path(folder)
        config = load_config(folder)
        if config is None:
            raise BadCheckpoint(f"{folder} is no run", f"a folder with {RUN}", "see 'neuroprompt train --help'")
        file = BEST if best else PROMPT
        tensors, metrics = load_prompt(folder, config, file), load_metrics(folder)
        model = build(config, weights)
        load_tensors(model, tensors, folder / file)
        return cls(folder, config, model.eval(), metrics)

    def summary(self) -> dict[str, Any]:
        """What training measured, without its course."""
        return self.metrics.summary()
