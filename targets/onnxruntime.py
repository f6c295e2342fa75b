"""ONNX Runtime: runs an exported backbone on the CPU, in process."""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from neuroprompt.contracts.deployment import Availability, Floats, ImageTarget
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.onnxgraph.external import check_external

LEVELS = ("none", "basic", "extended", "all")


class OnnxRuntime(ImageTarget):
    """ONNX Runtime, by default on the CPU.

    `threads`: inside an operator, 0 for one per core. `level`: how far it rewrites the graph (none, basic, extended,
    all). `provider`: cpu, cuda or another that this build of ONNX Runtime has. A session is kept until another file is
    asked for; its threads rest as soon as a run is over. `at_once` threads may call `logits` of one file at a time: a
    session serves any number.
    """

    title: ClassVar[str] = "ONNX Runtime"
    about: ClassVar[str] = "ONNX Runtime on the CPU: the backbone with its prompt baked in"

    def __init__(self, threads: int = 0, level: str = "all", provider: str = "cpu", at_once: int = 1) -> None:
        if threads < 0 or at_once < 1:
            raise BadSetting(f"threads {threads}, {at_once} at once", "0 (one per core) or more, and at least 1")
        if level not in LEVELS:
            raise BadSetting(f"level {level!r}", f"one of {', '.join(LEVELS)}")
        self.threads, self.level, self.provider = threads, level, provider
        self._opening = Lock()
        self._session: tuple[object, Any] | None = None

    @classmethod
    def available(cls) -> Availability:
        """Whether the package is there."""
        if util.find_spec("onnxruntime") is None:
            return Availability(False, "in process", fix="pip install onnxruntime")
        return Availability(True, "in process", metadata.version("onnxruntime"))

    def logits(self, file: Path, images: Floats) -> Floats:
        """Logits (B, K) of normalised images (B, C, H, W); raises BadBundle where the file or the images do not fit."""
        with self._opening:
            session = self._open(file)
        try:
            (out,) = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(images, dtype=np.float32)})
        except Exception as error:  # ONNX Runtime's own classes derive from RuntimeError, ValueError or Exception
            got = f"{file} refuses images of shape {tuple(images.shape)} ({_first_line(error)})"
            raise BadBundle(got, f"shape {session.get_inputs()[0].shape}") from error
        return np.asarray(out)

    def _open(self, file: Path) -> Any:
        import onnxruntime as ort

        try:
            stat = file.stat()
            key = (file.resolve(), stat.st_mtime_ns, stat.st_size)
            if self._session is None or self._session[0] != key:
                check_external(file)
                options = ort.SessionOptions()
                options.intra_op_num_threads = self.threads
                options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, _ORT_LEVELS[self.level])
                options.log_severity_level = (
                    4  # its errors are raised, and would be printed with the escape sequences of names
                )
                # Else idle threads spin for milliseconds, and take the cores from whoever runs next.
                options.add_session_config_entry("session.force_spinning_stop", "1")
                providers = [self._provider(ort.get_available_providers())]
                self._session = key, ort.InferenceSession(str(file), options, providers=providers)
        except (BadSetting, BadBundle):
            raise
        except Exception as error:
            got = f"{file} cannot be run ({_first_line(error)})"
            raise BadBundle(got, "an ONNX file", "export it again") from error
        return self._session[1]

    def _provider(self, there: list[str]) -> str:
        """ONNX Runtime's name of the provider; raises BadSetting where this build has none of that name."""
        by_name = {name.removesuffix("ExecutionProvider").lower(): name for name in there}
        if self.provider.lower() not in by_name:
            got = f"provider {self.provider!r}"
            raise BadSetting(got, f"one of {', '.join(by_name)}", "for a GPU install onnxruntime-gpu")
        return by_name[self.provider.lower()]


_ORT_LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
