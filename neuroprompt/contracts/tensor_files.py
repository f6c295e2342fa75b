"""Tensors of a safetensors file that anybody may have written."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

UNREADABLE = (SafetensorError, OSError, ValueError, TypeError, RuntimeError)
"""What the library and torch raise on files that are damaged, or claim shapes beyond what torch can hold."""


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors by name, and the metadata; raises ValueError, in one line, where they cannot be read."""
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}  # noqa: SIM118
    except UNREADABLE as error:
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
