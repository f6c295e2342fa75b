"""Weights that an ONNX file keeps in other files, which must lie in its own folder or below."""

from __future__ import annotations

import mmap
from pathlib import Path, PurePosixPath

from neuroprompt.errors import BadBundle

_LOCATION = b"\n\x08location\x12"
"""How protobuf begins an entry with that key."""


def check_external(file: Path) -> None:
    """Raise BadBundle where `file` takes weights from outside its folder; OSError where it cannot be read.

    The newest ONNX Runtime rejects them itself, the oldest that we allow reads them, and OpenVINO may. A file without
    any is only searched, not parsed.
    """
    with file.open("rb") as stream:
        if not file.stat().st_size:
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data.find(_LOCATION) < 0:
                return
    import onnx
    from onnx.external_data_helper import _get_all_tensors

    home = file.parent.resolve()
    for tensor in _get_all_tensors(onnx.load(str(file), load_external_data=False)):
        for entry in tensor.external_data:
            path = PurePosixPath(entry.value)
            outside = path.is_absolute() or ".." in path.parts or "\\" in entry.value
            if entry.key == "location" and (outside or not (file.parent / path).resolve().is_relative_to(home)):
                raise BadBundle(f"{file} takes weights from {entry.value!r}", "a file in its own folder")
