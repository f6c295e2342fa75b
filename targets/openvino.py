"""OpenVINO: runs an exported backbone on the CPU, or on Intel's GPUs, in process."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import metadata, util
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar, cast

import numpy as np

from neuroprompt.contracts.deployment import Availability, Floats, ImageTarget
from neuroprompt.errors import BadBundle, BadSetting, Unsupported
from neuroprompt.extras import install, need
from neuroprompt.onnxgraph.external import check_external
from neuroprompt.onnxgraph.faster import cpuinfo

PRECISIONS = {"float": "FP32", "bf16": "BF16", "fp16": "FP16"}
"""Our names of a precision, and OpenVINO's."""

NO_16_BITS = ("AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")
"""What ONEDNN_MAX_CPU_ISA may say where no product takes 16 bits."""

WITH_AVX = ("a processor with AVX", "run it without --target")

_MAKING = Lock()


class OpenVino(ImageTarget):
    """OpenVINO, by default on the CPU; products of a file's 8-bit integers stay 8-bit, all others are float32.

    Left alone it computes in bfloat16 where the processor can, and logits differ from PyTorch's in the third digit:
    float32 is asked for, so that the parity of a file holds here too.

    `precision`: of what is not in 8 bits: float, or bf16 or fp16 where the device has instructions for it (AMX,
    AVX512-BF16; a GPU). It is not part of a file, and no export has checked it.
    `threads`: of one run, 0 for one per core. `provider`: cpu, or another device that OpenVINO has here. `at_once`:
    runs at a time, each by a thread that calls `logits`. A compiled model is kept until another file is asked for.
    """

    title: ClassVar[str] = "OpenVINO"
    about: ClassVar[str] = "OpenVINO on the CPU: the backbone with its prompt baked in, in float32 or 8 bits"

    def __init__(self, threads: int = 0, provider: str = "cpu", at_once: int = 1, precision: str = "float") -> None:
        if threads < 0 or at_once < 1:
            raise BadSetting(f"threads {threads}, {at_once} at once", "0 (one per core) or more, and at least 1")
        if precision not in PRECISIONS:
            raise BadSetting(f"precision {precision!r} of images", f"one of {', '.join(PRECISIONS)}")
        need("openvino")
        if not _has_avx():
            raise Unsupported("OpenVINO on a processor without AVX", *WITH_AVX)
        self.threads, self.provider, self.at_once, self.precision = threads, provider, at_once, precision
        self._opening = Lock()
        self._compiled: tuple[object, Any] | None = None
        self._idle: list[Any] = []

    @classmethod
    def computes_in(cls, precision: str) -> bool:
        """Whether the package is here, and this processor computes in float, bf16 or fp16."""
        return cls.available().ok and PRECISIONS[precision] in _abilities(_core(), "CPU")

    @classmethod
    def available(cls) -> Availability:
        """Whether the package is there, on a processor with AVX."""
        if util.find_spec("openvino") is None:
            return Availability(False, "in process", fix=install("openvino"))
        if not _has_avx():
            return Availability(False, "in process", fix="needs a processor with AVX")
        return Availability(True, "in process", metadata.version("openvino"))

    def logits(self, file: Path, images: Floats) -> Floats:
        """Logits (B, K) of normalised images (B, C, H, W); raises BadBundle where they do not fit, and Unsupported."""
        with self._opening:
            compiled = self._open(file)
            expected = compiled.input(0).partial_shape
            got = f"{file} refuses images of shape {tuple(images.shape)}"
            if not expected.compatible(type(expected)(list(images.shape))):  # else, with AVX2, no rows and no error
                raise BadBundle(got, f"shape {expected}")
            request = self._idle.pop() if self._idle else compiled.create_infer_request()
        try:
            result = request.infer([np.ascontiguousarray(images, dtype=np.float32)])
            logits: Floats = np.array(result[0])  # the request writes its own array again
        except Exception as error:  # OpenVINO raises RuntimeError and others
            raise BadBundle(f"{got} ({_first_line(error)})", f"shape {expected}") from error
        with self._opening:
            if self._compiled is not None and self._compiled[1] is compiled:
                self._idle.append(request)
        if len(logits) != len(images):  # without AVX, where the system does not say what the processor has
            raise Unsupported(f"{len(logits)} rows of logits for {len(images)} images from OpenVINO", *WITH_AVX)
        return logits

    def _open(self, file: Path) -> Any:
        try:
            stat = file.stat()
            key = (file.resolve(), stat.st_mtime_ns, stat.st_size)
            if self._compiled is None or self._compiled[0] != key:
                self._idle = []
                self._compiled = key, self._compile(file)
        except (BadSetting, BadBundle):
            raise
        except Exception as error:
            got = f"{file} cannot be run by OpenVINO ({_first_line(error)})"
            raise BadBundle(got, "an ONNX file", "export it again, or run it without --target") from error
        return self._compiled[1]

    def _compile(self, file: Path) -> Any:
        core = _core()
        devices = {device.lower(): device for device in core.available_devices}
        if self.provider.lower() not in devices:
            raise BadSetting(f"provider {self.provider!r} of OpenVINO", f"one of {', '.join(devices)}")
        device = devices[self.provider.lower()]
        abilities = _abilities(core, device)
        if PRECISIONS[self.precision] not in abilities:
            there = ", ".join(name for name, ability in PRECISIONS.items() if ability in abilities)
            raise BadSetting(f"precision {self.precision} of OpenVINO's {self.provider}", f"what it has here: {there}")
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": PRECISIONS[self.precision].lower().replace("p", "")}
        if device == "CPU":
            # Threads that are tied to cores wait for whoever else runs there.
            settings |= {"NUM_STREAMS": self.at_once, "ENABLE_CPU_PINNING": False}
            if self.threads:
                settings["INFERENCE_NUM_THREADS"] = self.threads * self.at_once
        check_external(file)
        return core.compile_model(core.read_model(file), device, settings)


def _core() -> Any:
    with _MAKING:
        return _only_core()


@cache
def _only_core() -> Any:
    # One for good. Each brings a stack for signals, since AMX needs a large one, and gives back the one before it as it
    # goes. Of two that go in the order in which they came, the second gives back the first one's, which is gone: then
    # the next signal, such as Ctrl-C, kills the process without a word.
    # Its import sends an event to Google Analytics, unless the package that does so is missing.
    sys.modules.setdefault("openvino_telemetry", cast(Any, None))
    import openvino

    return openvino.Core()


def _has_avx() -> bool:
    """Whether OpenVINO may use AVX: with SSE4.1 alone it gives no rows and no error, or the process dies."""
    flags = cpuinfo("flags").split()
    return os.environ.get("ONEDNN_MAX_CPU_ISA") != "SSE41" and ("avx" in flags or not flags)


def _abilities(core: Any, device: str) -> list[str]:
    """What a device computes in; OpenVINO's answer knows nothing of ONEDNN_MAX_CPU_ISA, its kernels do."""
    there = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    limited = device == "CPU" and os.environ.get("ONEDNN_MAX_CPU_ISA") in NO_16_BITS
    return [ability for ability in there if not (limited and ability in ("BF16", "FP16"))]


def _first_line(error: Exception) -> str:
    """The line that says what is wrong: the first ones name OpenVINO's own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "src/" not in line), lines[0] if lines else type(error).__name__)
