"""What one training step needs: the optimiser, its rate and its state as flat tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from neuroprompt.training.config import RunConfig
from neuroprompt.training.schedule import share_of_peak

PREFIX = "optimiser."


def make_optimiser(config: RunConfig, learned: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW (decoupled decay), Adam (decay in the gradient) or SGD, with a rate and a decay for the prompt.

    Rates are times batch / lr_batch where there is an `lr_batch`.
    """
    scale = 1.0 if config.lr_batch is None else config.batch / config.lr_batch
    groups: list[dict[str, Any]] = []
    for prefix in ("prompt.", "head.", "backbone."):
        lr, decay = config.lr, config.weight_decay
        if prefix == "prompt.":
            lr = lr if config.prompt_lr is None else config.prompt_lr
            decay = decay if config.prompt_weight_decay is None else config.prompt_weight_decay
        parameters = [p for name, p in learned.items() if name.startswith(prefix)]
        if parameters:
            groups.append({"params": parameters, "peak": lr * scale, "weight_decay": decay})
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
    kind = torch.optim.AdamW if config.optimiser == "adamw" else torch.optim.Adam
    # fp16 scales gradients, and torch's fused step would undo that where Fabric cannot see it.
    fused = all(p.device.type in ("cpu", "cuda") for p in learned.values()) and config.precision != "16-mixed"
    return kind(groups, lr=config.lr, fused=fused)


def set_rate(optimiser: torch.optim.Optimizer, config: RunConfig, step: int, steps_each: int) -> None:
    """Set the rate of `step` (from 0), the peak times `share_of_peak`."""
    share = share_of_peak(config, step, steps_each)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * share


def flat_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors by name: `optimiser.<parameter>.<key>`."""
    states = optimiser.state_dict()["state"]
    return {
        f"{PREFIX}{i}.{key}": value
        for i, state in states.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def restore(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take back what `flat_state` gave."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        i, _, key = name.removeprefix(PREFIX).partition(".")
        states.setdefault(int(i), {})[key] = value
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
