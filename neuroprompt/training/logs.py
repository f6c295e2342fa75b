"""Logs of a training run through Lightning Fabric's loggers: every epoch, into the folder `logs` of the run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lightning_fabric.loggers.csv_logs import CSVLogger
from lightning_fabric.loggers.logger import Logger
from lightning_fabric.loggers.tensorboard import TensorBoardLogger

from neuroprompt.errors import BadSetting
from neuroprompt.extras import need
from neuroprompt.training.metrics import Epoch

KINDS = ("csv", "tensorboard")
FOLDER = "logs"


def check_log(kind: str | None) -> None:
    """Raise BadSetting for a log of no such kind, RuntimeMissing where its package is not installed."""
    if kind is not None and kind not in KINDS:
        raise BadSetting(f"log {kind!r}", f"one of {', '.join(KINDS)}")
    if kind == "tensorboard":
        need("tensorboard")


class Logs:
    """`logs/metrics.csv`, or an event file for TensorBoard in `logs`; nothing where `kind` is None.

    The step of a row is the epoch, from 1. A run that goes on writes its earlier epochs again, so that the log is whole
    and holds each epoch once.
    """

    def __init__(self, kind: str | None, run: Path, history: Sequence[Epoch]) -> None:
        self.logger: Logger | None = None
        if kind is None:
            return
        shutil.rmtree(run / FOLDER, ignore_errors=True)
        make = CSVLogger if kind == "csv" else TensorBoardLogger
        self.logger = make(root_dir=run, name=FOLDER, version="")
        for epoch in history:
            self.write(epoch)

    def write(self, epoch: Epoch) -> None:
        """Log the figures of an epoch."""
        if self.logger is not None:
            figures = {key: value for key, value in epoch.json().items() if key != "epoch"}
            self.logger.log_metrics(figures, step=epoch.epoch)
            self.logger.save()

    def close(self) -> None:
        """Write what is left."""
        if self.logger is not None:
            self.logger.finalize("success")
