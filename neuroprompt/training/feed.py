"""Training images on their way to the steps: augmented where asked, decoded by threads or by worker processes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from neuroprompt.contracts.learning import Images
from neuroprompt.errors import NeuropromptError, WorkerFailed
from neuroprompt.training.augment import augmented
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import batches
from neuroprompt.training.workers import begin, context

Key = tuple[int, int]
"""An epoch, and the place of an image."""


class Feed:
    """Batches of one set of images, epoch after epoch; the same ones whatever decodes them.

    `workers` processes live from the first batch to `close`, and die with this process.
    """

    def __init__(self, images: Images, config: RunConfig, workers: int) -> None:
        self.images, self.plain = images, config.augment == "none"
        self.keyed = _Keyed(images, config.augment, config.seed)
        self.rows: list[list[Key]] = []
        self.loader: DataLoader[Any] | None = None
        if workers:
            with _any_number_of_workers():
                self.loader = DataLoader(
                    self.keyed,
                    batch_sampler=_Rows(self),
                    num_workers=workers,
                    collate_fn=_together,
                    multiprocessing_context=context(__name__, type(images).__module__),
                    persistent_workers=True,
                    worker_init_fn=begin,
                    generator=torch.Generator(),  # its draws leave training's generator alone
                )

    def batches(self, epoch: int, rows: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """For every row of indices its images, uint8 (B, 3, H, W), and labels (B,), as `epoch` has them."""
        if self.loader is None and self.plain:
            yield from batches(self.images, rows)
            return
        self.rows = [[(epoch, i) for i in row] for row in rows]
        if self.loader is None:
            yield from batches(self.keyed, self.rows)  # type: ignore[arg-type]
            return
        with _any_number_of_workers():
            loaded = iter(self.loader)
        for _ in self.rows:
            try:
                batch = next(loaded)
            except (RuntimeError, EOFError, ConnectionError) as error:  # the latter two while a batch changes hands
                if isinstance(error, RuntimeError) and "DataLoader worker" not in str(error):
                    raise
                got = "a process that decodes training images was ended by something else, perhaps for want of memory"
                raise WorkerFailed(got, "workers that live", "type the command again, with fewer --workers") from error
            if isinstance(batch, NeuropromptError):
                raise batch
            yield batch

    def close(self) -> None:
        """End the workers."""
        self.loader = None


class _Rows:
    """What the loader goes through next; it asks anew at every epoch."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    def __iter__(self) -> Iterator[list[Key]]:
        return iter(self.feed.rows)

    def __len__(self) -> int:
        return len(self.feed.rows)


class _Keyed(Dataset[tuple[Tensor, int]]):
    """Images by epoch and place."""

    def __init__(self, images: Images, augment: str, seed: int) -> None:
        self.images, self.augment, self.seed = images, augment, seed

    def __getitem__(self, key: Key) -> tuple[Tensor, int]:
        epoch, i = key
        if self.augment == "none":
            return self.images[i]
        return augmented(self.images, i, self.augment, (self.seed, epoch, i))

    def __getitems__(self, keys: list[Key]) -> list[tuple[Tensor, int]] | NeuropromptError:
        """All of a batch; an error comes back as it is, since torch would wrap its text in a traceback."""
        try:
            return [self[key] for key in keys]
        except NeuropromptError as error:
            return error


@contextmanager
def _any_number_of_workers() -> Iterator[None]:
    """Without torch's own words about more workers than processors: `warn_of_workers` says it in one line."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def _together(images: list[tuple[Tensor, int]] | NeuropromptError) -> tuple[Tensor, Tensor] | NeuropromptError:
    if isinstance(images, NeuropromptError):
        return images
    pixels, labels = zip(*images, strict=True)
    return torch.stack(pixels), torch.tensor(labels)
