"""Names of data sets, such as `digits`, `folder:PATH` or `torchvision:NAME`, become labelled images, all or a few."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuroprompt.contracts.learning import Data, Images, Labelled, Preprocess
from neuroprompt.errors import BadSetting
from neuroprompt.progress import SILENT, Progress


def load_data(
    name: str,
    preprocess: Preprocess,
    seed: int,
    limit: int | None = None,
    progress: Progress = SILENT,
    *,
    val: str = "auto",
    **settings: Any,
) -> Labelled:
    """The data set called `name`, its images resized as `preprocess` says; `val` as in `Data.load`.

    `limit` keeps at most so many images of each split, the same share of every class, chosen by `seed`. Raises
    UnknownName, BadSetting, BadData.
    """
    kind, argument = parse(name)
    if limit is not None:
        settings["limit"] = limit
    return Data.named(kind, **argument, **settings).load(preprocess, seed, progress, val=val)


def parse(name: str) -> tuple[str, dict[str, str]]:
    """`kind:argument` as the source's name and its first setting; raises UnknownName, BadSetting."""
    kind, colon, argument = name.partition(":")
    settings = Data.part(kind).settings()
    required = [key for key, setting in settings.items() if setting.required]
    if bool(required) != bool(colon and argument):
        raise BadSetting(f"data {name!r}", f"{kind}:{required[0].upper()}" if required else kind)
    return kind, {required[0]: argument} if required else {}


def absolute(name: str) -> str:
    """`name` with a path in it made absolute, so that it holds from every folder."""
    kind, argument = parse(name)
    return f"{kind}:{Path(argument['path']).resolve()}" if "path" in argument else name


def size_of(images: Images) -> int:
    """How many images there are."""
    return len(images)  # type: ignore[arg-type]


def as_floats(images: Tensor) -> Tensor:
    """uint8 images as floats in [0, 1]; floats as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def batches(images: Images, rows: Iterable[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
    """For every row of indices its images, uint8 (B, 3, H, W), and labels (B,); decoded by threads, a little ahead."""

    def batch(row: Sequence[int]) -> tuple[Tensor, Tensor]:
        pixels, labels = zip(*(images[i] for i in row), strict=True)
        return torch.stack(pixels), torch.tensor(labels)

    ahead = min(4, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(ahead)
    waiting: deque[Future[tuple[Tensor, Tensor]]] = deque()
    try:
        for row in rows:
            waiting.append(pool.submit(batch, row))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
