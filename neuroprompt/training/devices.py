"""Starts Lightning Fabric on the devices that a user asks for."""

from __future__ import annotations

import logging
import warnings

import torch
from lightning_fabric import Fabric

from neuroprompt.errors import BadSetting
from neuroprompt.training.config import PRECISIONS


def launch(accelerator: str, devices: int | str, strategy: str, precision: str) -> Fabric:
    """A launched Fabric: one process a device, with ddp where there are many; raises BadSetting.

    `devices` is a number, in digits or not, or "auto". `precision` "auto" is bf16-mixed on a GPU of CUDA, else 32-true.
    """
    count: int | str = devices if devices == "auto" else _number(devices)
    if strategy not in ("auto", "ddp"):
        raise BadSetting(f"strategy {strategy!r}", "auto or ddp", "a prompt is small: there is nothing to shard")
    if precision == "auto":
        precision = "bf16-mixed" if accelerator != "cpu" and torch.cuda.is_available() else "32-true"
    if precision not in PRECISIONS:
        raise BadSetting(f"precision {precision!r}", f"one of {', '.join(PRECISIONS)}")
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):  # fp16 on a CPU becomes bf16, and is recorded as such
            fabric = Fabric(accelerator=accelerator, devices=count, strategy=strategy, precision=precision)  # type: ignore[arg-type]
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        got = f"accelerator {accelerator!r} with {devices} devices cannot be had ({error})"
        raise BadSetting(got, "a device that is there", "try --device auto --devices 1") from error
    return fabric


def _number(devices: int | str) -> int:
    if not str(devices).isdecimal() or int(devices) < 1:
        raise BadSetting(f"devices {devices!r}", "a number of at least 1, or auto", "for example --devices 2")
    return int(devices)
