"""Gives a prompt the task's own patch tokens to begin with, where its method asks for them."""

from __future__ import annotations

import math

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from neuroprompt.contracts.learning import Images
from neuroprompt.progress import Progress
from neuroprompt.training.assemble import seeded
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import as_floats, batches, size_of
from neuroprompt.training.model import PromptedModel

TOKENS = 10_000
"""Of each block, at most about so many: 370 MB for 12 blocks of 768 channels."""


@torch.no_grad()
def begin_prompt(fabric: Fabric, config: RunConfig, model: PromptedModel, train: Images, progress: Progress) -> None:
    """`prompt.begin` with the patch tokens of `prompt.sample` training images; images and tokens are drawn by seed."""
    prompt = model.eval().prompt
    if not prompt.sample:
        return
    order = np.random.default_rng((config.seed, 0, 1)).permutation(size_of(train))[: prompt.sample].tolist()
    rows = [order[i : i + config.batch] for i in range(0, len(order), config.batch)]
    blocks: list[list[Tensor]] = []
    with seeded(config.seed):
        for images, _ in progress.track(batches(train, rows), "patch tokens", len(rows)):
            inputs = model.normalise(fabric.to_device(as_floats(images)))
            for i, tokens in enumerate(model.backbone.block_inputs(inputs)):
                if i == len(blocks):
                    blocks.append([])
                chosen = torch.randperm(tokens.shape[1])[: math.ceil(TOKENS / len(order))]
                blocks[i].append(tokens[:, chosen].flatten(0, 1).float().cpu())
        prompt.begin([torch.cat(parts) for parts in blocks])
