"""Image files through a model, in batches: several batches at a time, their results in the files' order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from neuroprompt.bundles.image_files import read_batch
from neuroprompt.bundles.results import Prediction, Unread
from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import BadBundle

AHEAD = 2
"""Batches that are read before a worker asks for them, so that none waits."""

Results = list[Prediction | Unread]


@dataclass(frozen=True)
class Classify:
    """How a bundle classifies images.

    preprocess  what becomes of an image before the model, as the manifest has it
    classes     the names of the model's outputs
    infer       logits (B, K) of inputs (B, 3, H, W), and the spike density of each image where neurons ran
    batch       images in one call of `infer`
    workers     batches at a time, each in a thread, so `infer` must be safe for so many; as many threads read ahead
    """

    preprocess: Mapping[str, Any]
    classes: Sequence[str]
    infer: Callable[[Floats], tuple[Floats, Floats | None]]
    batch: int
    workers: int = 1

    def results(self, files: Iterable[Path]) -> Iterator[Results]:
        """The results of `files` in order, a batch at a time; an image that cannot be read is an `Unread` in its place.

        A batch is read while those before it are in the model, whose threads so never wait for Python or the disk.
        Only a few are read ahead: any number of files takes the memory of a few.
        """
        left, waiting = iter(files), deque[Future[Results]]()
        with ThreadPoolExecutor(self.workers) as readers, ThreadPoolExecutor(self.workers) as models:
            try:
                while True:
                    while len(waiting) < self.workers + AHEAD and (some := list(islice(left, self.batch))):
                        reading = readers.submit(read_batch, some, self.preprocess)
                        waiting.append(models.submit(self._of_batch, some, reading))
                    if not waiting:
                        return
                    yield waiting.popleft().result()
            finally:
                for pool in (readers, models):
                    pool.shutdown(wait=True, cancel_futures=True)

    def _of_batch(self, files: Sequence[Path], reading: Future[tuple[Floats, list[Unread | None]]]) -> Results:
        """The results of at most `batch` files that are being read."""
        images, errors = reading.result()
        predictions: Iterator[Prediction] = iter(())
        if len(images):
            logits, densities = self.infer(images)
            there = [file for file, error in zip(files, errors, strict=True) if error is None]
            predictions = self._predictions(there, logits, densities)
        return [next(predictions) if error is None else error for error in errors]

    def _predictions(self, files: Sequence[Path], logits: Floats, densities: Floats | None) -> Iterator[Prediction]:
        if logits.shape != (len(files), len(self.classes)):
            got = f"a model that gives {logits.shape} for {len(files)} images"
            raise BadBundle(got, f"a number for each of the {len(self.classes)} classes", "export it again")
        exponents = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        shares = exponents / exponents.sum(axis=1, keepdims=True)
        best = np.argsort(-shares, axis=1)[:, :5]
        rows = zip(files, best.tolist(), np.take_along_axis(shares, best, axis=1).tolist(), strict=True)
        for i, (file, likeliest, probabilities) in enumerate(rows):
            top = tuple((self.classes[k], share) for k, share in zip(likeliest, probabilities, strict=True))
            yield Prediction(file, *top[0], top, None if densities is None else float(densities[i]))


def workers_for(threads: int, batches: int) -> tuple[int, int]:
    """(batches at a time, threads inside each) for so many `threads` (0: one a core) and batches in all.

    Many batches run one a thread, which wastes nothing on waiting for one another; few share the threads.
    """
    threads = threads or os.cpu_count() or 1
    workers = max(1, min(threads, batches))
    return workers, threads // workers
