"""Which of two ONNX files of one model is faster here: both run in turn, and processor time is compared."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

from neuroprompt.contracts.deployment import Floats, ImageTarget

BATCHES = (1, 8)
ROUNDS, LEAST, SECONDS = 15, 3, 4.0
"""Rounds of each batch size; fewer, but not below LEAST, where they would take longer than SECONDS."""
FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm")
"""What decides which products a processor has for 32, 16 and 8 bits, by the kernel's names."""


@dataclass(frozen=True)
class Faster:
    """The processor time of a file over another one's, the median of rounds by batch size, and on what it was measured.

    Processor time of one thread: what else the machine does changes it little.
    """

    over: Mapping[int, float]
    machine: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether the first file is faster in the geometric mean of the batch sizes."""
        return statistics.fmean(log(ratio) for ratio in self.over.values()) < 0

    def json(self) -> dict[str, Any]:
        """Ratios by batch size, and the machine."""
        return {"over": {str(batch): ratio for batch, ratio in self.over.items()}, **self.machine}


def faster(file: Path, than: Path, images: Floats, batches: Sequence[int] = BATCHES) -> Faster:
    """Run `file` and `than` in ONNX Runtime on the first of normalised images (B, C, H, W), one thread, in turn."""
    over = {batch: _ratio(file, than, images[:batch]) for batch in batches}
    return Faster(over, machine())


def machine() -> dict[str, Any]:
    """What a time depends on: the processor's kind and flags, and ONNX Runtime's version."""
    import onnxruntime

    return {"processor": platform.machine(), "flags": list(processor_flags()), "onnxruntime": onnxruntime.__version__}


def processor_flags() -> tuple[str, ...]:
    """Those of FLAGS that this processor has; none where the system does not say."""
    words = cpuinfo("flags", "Features").split()
    return tuple(flag for flag in FLAGS if flag in words)


def processor_name() -> str:
    """What the processor is called, as far as the system says, with what it has for products."""
    return " ".join((cpuinfo("model name") or platform.processor() or platform.machine(), *processor_flags()))


def cpuinfo(*keys: str) -> str:
    """The value of the first line of Linux's /proc/cpuinfo that begins with one of `keys`; "" where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(keys)), "")


def _ratio(file: Path, than: Path, images: Floats) -> float:
    runtimes = [ImageTarget.named("onnxruntime", threads=1) for _ in range(2)]
    pairs = list(zip(runtimes, (file, than), strict=True))
    ratios: list[float] = []
    started = time.monotonic()
    for i in range(1 + ROUNDS):
        seconds = {}
        for runtime, path in pairs if i % 2 else reversed(pairs):
            start = time.process_time()
            runtime.logits(path, images)
            seconds[path] = time.process_time() - start
        if i > 0:  # the first opens the files
            ratios.append(seconds[file] / seconds[than])
        if len(ratios) >= LEAST and time.monotonic() - started > SECONDS:
            break
    return statistics.median(ratios)
