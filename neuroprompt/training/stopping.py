"""When training ends before its last epoch, and which epoch was the best: both by validation images alone."""

from __future__ import annotations

from collections.abc import Sequence

from neuroprompt.training.metrics import Epoch


def best_epoch(history: Sequence[Epoch]) -> Epoch | None:
    """The first epoch of the highest validation accuracy; None where none was measured."""
    measured = [epoch for epoch in history if epoch.val_accuracy is not None]
    return max(measured, key=lambda epoch: epoch.val_accuracy or 0.0, default=None)


def out_of_patience(patience: int | None, history: Sequence[Epoch]) -> bool:
    """Whether the last `patience` epochs have not bettered the one before; never where there is no patience."""
    best = best_epoch(history)
    return patience is not None and best is not None and history[-1].epoch - best.epoch >= patience
