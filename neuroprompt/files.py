"""Files and folders that appear whole or not at all, and their SHA-256."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import platformdirs

from neuroprompt.errors import CannotWrite
from neuroprompt.scratch import put_in_place, scratch_folder


def cache_folder() -> Path:
    """Where runtimes and what was measured or searched for are kept: NEUROPROMPT_CACHE, or the user's cache folder."""
    return Path(os.environ.get("NEUROPROMPT_CACHE") or platformdirs.user_cache_dir("neuroprompt"))


def write_whole(file: Path, data: bytes) -> None:
    """Write `data` as `whole_file` does; raises CannotWrite."""
    with whole_file(file) as stream:
        stream.write(data)


@contextmanager
def whole_file(file: Path) -> Iterator[IO[bytes]]:
    """A stream beside `file`, which takes its place at the end: whatever happens, it is the old or the new one, whole.

    Makes the folder where there is none. Raises CannotWrite, and leaves nothing of the new file then.
    """
    part = beside(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, file)
    except OSError as error:
        got = f"cannot write {file} ({error.strerror})"
        raise CannotWrite(got, "a writable place with room", "free some and type the same command again") from error
    finally:
        with suppress(OSError):
            part.unlink()


def beside(file: Path) -> Path:
    """Where `file` is written before it takes its place; what a killed process left there is overwritten."""
    return file.with_name(f".{file.name}.part")


@contextmanager
def whole_folder(out: Path, replaces: str) -> Iterator[Path]:
    """A folder that appears at `out` whole or not at all; it may replace one that holds a file called `replaces`.

    Killed at any moment, `out` is the old or the new one. What a killed process left beside it goes with the next call.
    """
    if out.exists() and not (out / replaces).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise CannotWrite(f"{out} exists and is not ours", "a new or empty folder", "choose another --out")
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder(out.parent, out.name))
        except OSError as error:
            raise CannotWrite(f"cannot write beside {out} ({error.strerror})", "a writable folder") from error
        try:
            try:
                yield folder
            except Exception as error:
                _check_there(folder, out, error)
                raise
            _check_there(folder, out)
            folder.chmod(0o755)
            put_in_place(folder, out)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG):
                got = f"cannot write {out} ({error.strerror})"
                raise CannotWrite(got, "room on the disk", "free some and run again") from error
            raise


def _check_there(folder: Path, out: Path, error: Exception | None = None) -> None:
    """Raises CannotWrite, because of `error`, where somebody has removed the folder under construction."""
    if not folder.is_dir():
        got = f"{out.parent}, or what was written there, was removed meanwhile"
        raise CannotWrite(got, "a folder that stays", "type the same command again") from error


def remove(file: Path) -> None:
    """Remove a file, if it is there; raises CannotWrite, as where a folder stands in its place."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(f"{file} cannot be removed ({error.strerror})", "a file of ours, or none") from error


def json_of(text: str | bytes) -> Any:
    """The values of a JSON text that anybody may have written; raises ValueError, also where it is too deep."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
