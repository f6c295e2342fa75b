"""Starts Lightning Fabric on the devices that a user asks for."""

from __future__ import annotations

import logging
import os
import platform
import warnings
from pathlib import Path

import torch
from lightning_fabric import Fabric

from neuroprompt.errors import BadSetting
from neuroprompt.progress import Progress
from neuroprompt.training.config import PRECISIONS

LAUNCHED = ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "MASTER_ADDR")
"""One of these stands in the environment of a process among several machines."""


def launch(accelerator: str, devices: int | str, strategy: str, precision: str, nodes: int = 1) -> Fabric:
    """A launched Fabric: one process a device, with ddp where there are many; raises BadSetting.

    `devices` is a number, in digits or not, or "auto", of each of `nodes` machines, on which torchrun, Slurm's srun or
    the user (by MASTER_ADDR, MASTER_PORT and NODE_RANK) starts the same command. `precision` "auto" is bf16-mixed on a
    GPU of CUDA, else 32-true.
    """
    count: int | str = devices if devices == "auto" else _number(devices)
    if strategy not in ("auto", "ddp"):
        raise BadSetting(f"strategy {strategy!r}", "auto or ddp", "a prompt is small: there is nothing to shard")
    if precision == "auto":
        precision = "bf16-mixed" if accelerator != "cpu" and torch.cuda.is_available() else "32-true"
    if precision not in PRECISIONS:
        raise BadSetting(f"precision {precision!r}", f"one of {', '.join(PRECISIONS)}")
    if nodes < 1:
        raise BadSetting(f"nodes {nodes}", "at least 1")
    if nodes > 1 and not any(name in os.environ for name in LAUNCHED):
        got = f"{nodes} nodes, and nothing that started this process says which it is"
        raise BadSetting(got, "torchrun, srun, or MASTER_ADDR, MASTER_PORT and NODE_RANK on each node")
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):  # fp16 on a CPU becomes bf16, and is recorded as such
            fabric = Fabric(
                accelerator=accelerator,
                devices=count,
                strategy=strategy,
                precision=precision,  # type: ignore[arg-type]
                num_nodes=nodes,
            )
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        got = f"accelerator {accelerator!r} with {devices} devices on {nodes} nodes cannot be had ({error})"
        raise BadSetting(got, "devices and nodes that are there", "try --device auto --devices 1") from error
    return fabric


def warn_of_bf16(fabric: Fabric, progress: Progress) -> None:
    """Say that bf16-mixed is many times slower than 32 bits, where a processor without instructions for it trains."""
    mixed = str(fabric.strategy.precision.precision) == "bf16-mixed"
    if mixed and fabric.device.type == "cpu" and not has_bf16():
        progress.say("this processor has no bf16 instructions, so that bf16-mixed is slow: leave out --precision")


def warn_of_workers(workers: int, progress: Progress) -> None:
    """Say that there are more workers than processors that this process may use."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers > processors:
        progress.say(f"--workers {workers}, processors here: {processors}; more workers than that decode no faster")


def has_bf16() -> bool:
    """Whether the processor has instructions for bf16."""
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:  # macOS: every Apple processor since the M2 has them
        return platform.machine() == "arm64"
    return any(word in words for word in ("avx512_bf16", "amx_bf16", "bf16"))


def is_first() -> bool:
    """Whether this process, of those that trained together, is the one that says how it went."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def _number(devices: int | str) -> int:
    if not str(devices).isdecimal() or int(devices) < 1:
        raise BadSetting(f"devices {devices!r}", "a number of at least 1, or auto", "for example --devices 2")
    return int(devices)
