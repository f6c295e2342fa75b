"""The smallest training runs, what they learned, and a signal in the middle of one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file

from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.progress import Progress
from neuroprompt.training.config import RunConfig, configure

T = TypeVar("T")
TINY = BackboneSpec(random=True, image_size=16)


def config(method: str = "spike-nvpt", **options: object) -> RunConfig:
    few = {"settings": {} if method == "linear" else {"tokens": 2}, "limit": 20, "epochs": 2, "batch": 8}
    return configure(**{"method": method, "backbone": TINY, **few, **options})


def learned(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "prompt.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


class Stop(Progress):
    """Sends a signal to this process when the given batch of the given epoch has been drawn."""

    def __init__(self, what: str, batch: int, number: int) -> None:
        self.what, self.batch, self.number = what, batch, number

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        for i, item in enumerate(items):
            if what.partition(" of ")[0] == self.what and i == self.batch:
                os.kill(os.getpid(), self.number)
            yield item
