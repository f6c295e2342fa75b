"""A few images of a run's own test split, for checks on what the prompt was trained for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from neuroprompt.errors import BadData
from neuroprompt.training.dataset import load_data

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run


def sample_images(run: Run, count: int) -> tuple[Tensor, str]:
    """`count` images (count, 3, H, W) in [0, 1], spread evenly over the test split, and where they are from.

    Where the run's data cannot be read they are seeded noise, and the words say so.
    """
    config, preprocess = run.config, run.model.preprocess
    try:
        test = load_data(config.data, preprocess, config.seed, config.limit).test
    except BadData as error:
        noise = torch.rand(count, 3, *preprocess.size, generator=torch.Generator().manual_seed(0))
        return noise, f"seeded noise, because the run's data cannot be read: {error}"
    total = len(test)  # type: ignore[arg-type]
    chosen = [test[i * total // count][0] for i in range(count)]
    return torch.stack(chosen).float() / 255, f"{config.data}, test split"
