"""`demo` and `bench` made cheap, for a server of forks that imports this module; all else is the commands' own.

`demo` takes a few images, one target, one noise and one round of timing. Neither starts a browser, and the graphs that
are timed beside the bundle's own, and thrown away, are exported once for all commands of the server.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import neuroprompt as npt
from neuroprompt.errors import RuntimeMissing


class Small:
    """The package, with a small training, and short tests, verification, timing and report."""

    def __getattr__(self, name: str) -> Any:
        return getattr(npt, name)

    def configure(self, **words: Any) -> npt.RunConfig:
        return npt.configure(**words | {"epochs": 1, "limit": 20})

    def evaluate(self, run: Any, noises: Any, **words: Any) -> npt.Accuracy:
        return npt.evaluate(run, noises[:1], **words)

    def verify(self, what: Any, **words: Any) -> npt.Verification:
        return npt.verify(what, targets=["loihi"], **words)

    def bench(self, what: Any, **words: Any) -> npt.LatencyBenchmark:
        return npt.bench(what, **words | {"rounds": 1})

    def report(self, what: Any, out: Any, **words: Any) -> npt.Report:
        from neuroprompt.report.write import NOISES

        return npt.report(what, out, noises=NOISES[:1], rounds=1, **words)


def no_browser(*_: object) -> NoReturn:
    raise RuntimeMissing("a browser", "none in a campaign", "type the command yourself")


def exported_once(module: Any, shape: Sequence[int], file: Path) -> None:
    """`to_onnx`, or a copy of what it wrote for these weights under this name before."""
    weights = b"".join(value.numpy().tobytes() for value in module.state_dict().values())
    kept = Path(tempfile.gettempdir()) / f"{hashlib.sha256(weights).hexdigest()}-{file.name}"
    if not kept.exists():
        to_onnx(module, shape, file)
        shutil.copyfile(file, kept.with_suffix(f".{os.getpid()}"))
        os.replace(kept.with_suffix(f".{os.getpid()}"), kept)
    shutil.copyfile(kept, file)


demo: Any = importlib.import_module("neuroprompt.cli.demo")
demo.npt = Small()
demo._install_lava = lambda progress: None
latency: Any = importlib.import_module("neuroprompt.benchmarks.latency")
latency.in_browser = no_browser
to_onnx = latency.to_onnx
latency.to_onnx = exported_once
