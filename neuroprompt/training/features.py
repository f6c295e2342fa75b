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


@torch.inference_mode()
def features_of(
    fabric: Fabric, model: PromptedModel, images: Images, batch: int, progress: Progress = SILENT, *, what: str
) -> Images:
    """The backbone's features (F,) in the place of every image, with its label; for models without a prompt."""
    if not size_of(images):
        return images
    model.eval().quicken()
    indices, batch = range(size_of(images)), larger(batch)
    rows = [indices[i : i + batch] for i in range(0, len(indices), batch)]
    features, labels = [], []
    for pixels, of_them in progress.track(batches(images, rows), what, len(rows)):
        features.append(model.features(fabric.to_device(as_floats(pixels))).cpu())
        labels.append(of_them)
    with torch.inference_mode(mode=False):  # the head learns on them
        return cast(Images, TensorDataset(torch.cat(features).clone(), torch.cat(labels).clone()))


def larger(batch: int) -> int:
    """The batch for images of which no gradient is asked, in a training of `batch` images a step.

    Less is kept of each, so that more fit; from 64 on more of them are not faster.
    """
    return max(batch, min(64, 8 * batch))


@torch.no_grad()
def refit(
    fabric: Fabric, config: RunConfig, model: PromptedModel, train: Images, progress: Progress, *, head_only: bool
) -> None:
    """Count what the backbone's own classifier calls each class of the task now, and let the head map anew.

    `head_only`: `train` holds features and not images.
    """
    head = model.eval().head
    ours = range(fabric.global_rank, size_of(train), fabric.world_size)
    batch = larger(config.batch)
    rows = [ours[i : i + batch] for i in range(0, len(ours), batch)]
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
