"""Times how long the command takes to start: the import, each verb's help, doctor, and a bundle's first image."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from neuroprompt.benchmarks.rounds import Middle, Middles, medians, middle, quartiles
from neuroprompt.errors import BadSetting, WorkerFailed
from neuroprompt.processes import end_group, guarded, what_happened
from neuroprompt.progress import SILENT, Progress

LIMIT_SECONDS = 300.0
PYTHON = "python alone"
"""What every start has in it: an interpreter, and the watchdog that ends it with us."""


@dataclass(frozen=True)
class StartupBenchmark:
    """Processor seconds, of the user and of the system, that a new process takes from start to end, by what it runs.

    Processor time hardly depends on what else the machine does. A child's own children are in it.
    """

    cpu_seconds: Middles
    rounds: int

    def json(self) -> dict[str, object]:
        """The medians, quartiles beside them."""
        return {
            "cpu_seconds": medians(self.cpu_seconds),
            "cpu_seconds_quartiles": quartiles(self.cpu_seconds),
            "rounds": self.rounds,
        }


def bench_startup(
    verbs: Sequence[str], bundle: Path | None = None, *, rounds: int = 3, progress: Progress = SILENT
) -> StartupBenchmark:
    """Processor time of `import neuroprompt`, `--help`, each verb's help, `doctor` and Python alone.

    With an ONNX bundle that of `run` on an image of noise, too. Every round starts all, in an order drawn anew; a round
    before them fills the caches of Python and of the disk. Raises BadSetting, and WorkerFailed where one fails.
    """
    if rounds < 1:
        raise BadSetting(f"rounds {rounds}", "at least 1")
    us = ["-m", "neuroprompt"]
    commands = {PYTHON: ["-c", "pass"], "import neuroprompt": ["-c", "import neuroprompt"], "--help": [*us, "--help"]}
    commands |= {f"{verb} --help": [*us, verb, "--help"] for verb in verbs}
    commands["doctor"] = [*us, "doctor"]
    with tempfile.TemporaryDirectory() as folder:
        if bundle is not None:
            image = Path(folder) / "noise.png"
            Image.fromarray(np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)).save(image)
            commands["run BUNDLE IMAGE"] = [*us, "run", str(bundle), str(image)]
        return StartupBenchmark(_timed(commands, rounds, progress), rounds)


def _timed(commands: Mapping[str, list[str]], rounds: int, progress: Progress) -> dict[str, Middle]:
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    order, draw = list(commands), random.Random(0)
    for i in progress.track(range(1 + rounds), "starting"):
        draw.shuffle(order)
        for name in order:
            taken = _cpu_seconds(name, commands[name])
            if i:
                seconds[name].append(taken)
    return {name: middle(values) for name, values in seconds.items()}


def _cpu_seconds(name: str, arguments: list[str]) -> float:
    """Processor time of one child; raises WorkerFailed where it fails or takes too long."""
    before = os.times()
    command = guarded([sys.executable, *arguments])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True) as child:
        code: int | None = None
        complaint = b""
        try:
            _, complaint = child.communicate(timeout=LIMIT_SECONDS)
            code = child.returncode
        except subprocess.TimeoutExpired:
            pass
        finally:
            end_group(child)
    if code != 0:
        why = what_happened(code, LIMIT_SECONDS, complaint.decode(errors="replace"))
        raise WorkerFailed(f"{name} {why}", "a start without an error")
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system
