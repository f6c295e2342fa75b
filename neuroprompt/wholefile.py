"""A file that appears whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from neuroprompt.errors import CannotWrite


def write_whole(path: Path, data: bytes) -> None:
    """Write beside `path`, then rename; raises CannotWrite, and leaves nothing then."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise CannotWrite(f"cannot write {path} ({error.strerror})", "a writable place with room") from error
