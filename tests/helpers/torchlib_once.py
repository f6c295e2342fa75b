"""torch's ONNX exporter makes the same list of its few hundred operators for every file; once a process is enough."""

from __future__ import annotations

import sys
from functools import cache


def list_once() -> None:
    """Keep the list, once an export has imported what makes it: a file is exported in a fifth less time."""
    registration = sys.modules.get("torch.onnx._internal.exporter._registration")
    loaded = getattr(getattr(registration, "onnxscript_apis", None), "_module", None)  # torch imports it at first use
    if loaded is not None and not hasattr(loaded.get_torchlib_ops, "cache_info"):
        loaded.get_torchlib_ops = cache(loaded.get_torchlib_ops)
