"""What training asks of the frozen backbone beside the steps: features computed once, and the output mapping."""

from __future__ import annotations

from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import TensorDataset

from neuroprompt.contracts.learning import Images
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import as_floats, batches, size_of
from neuroprompt.training.model import PromptedModel


@torch.no_grad()
def features_of(
    fabric: Fabric, model: PromptedModel, images: Images, batch: int, progress: Progress = SILENT, *, what: str
) -> Images:
    """The backbone's features (F,) in the place of every image, with its label; for models without a prompt."""
    if not size_of(images):
        return images
    model.eval()
    indices = range(size_of(images))
    rows = [indices[i : i + batch] for i in range(0, len(indices), batch)]
    features, labels = [], []
    for pixels, of_them in progress.track(batches(images, rows), what, len(rows)):
        inputs = model.normalise(fabric.to_device(as_floats(pixels)))
        features.append(model.backbone(inputs, None).cpu())
        labels.append(of_them)
    return cast(Images, TensorDataset(torch.cat(features), torch.cat(labels)))


@torch.no_grad()
def refit(
    fabric: Fabric, config: RunConfig, model: PromptedModel, train: Images, progress: Progress, *, head_only: bool
) -> None:
    """Count what the backbone's own classifier calls each class of the task now, and let the head map anew.

    `head_only`: `train` holds features and not images.
    """
    head = model.eval().head
    ours = range(fabric.global_rank, size_of(train), fabric.world_size)
    rows = [ours[i : i + config.batch] for i in range(0, len(ours), config.batch)]
    counts: Tensor | None = None
    for inputs, labels in progress.track(batches(train, rows), "output mapping", len(rows)):
        features = fabric.to_device(as_floats(inputs))
        if not head_only:
            features = model.features(features)
        called = head.source(features).float()
        if counts is None:
            counts = torch.zeros(called.shape[1], len(config.classes), device=called.device)
        where = (called.argmax(1), fabric.to_device(labels))
        counts.index_put_(where, torch.ones(len(labels), device=called.device), accumulate=True)
    assert counts is not None
    total = fabric.all_reduce(counts, reduce_op="sum")
    assert isinstance(total, Tensor)
    head.fit(total.cpu())
