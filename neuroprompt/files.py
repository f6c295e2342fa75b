"""Files and folders that appear whole or not at all, and their SHA-256."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from neuroprompt.errors import CannotWrite

if sys.platform != "win32":
    import fcntl


def write_whole(file: Path, data: bytes) -> None:
    """Write `data` as `whole_file` does; raises CannotWrite."""
    with whole_file(file) as stream:
        stream.write(data)


@contextmanager
def whole_file(file: Path) -> Iterator[IO[bytes]]:
    """A stream beside `file`, which takes its place at the end: whatever happens, it is the old or the new one, whole.

    Makes the folder where there is none. Raises CannotWrite, and leaves nothing of the new file then.
    """
    beside = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, file)
    except OSError as error:
        got = f"cannot write {file} ({error.strerror})"
        raise CannotWrite(got, "a writable place with room", "free some and type the same command again") from error
    finally:
        with suppress(OSError):
            beside.unlink()


@contextmanager
def whole_folder(out: Path, replaces: str) -> Iterator[Path]:
    """A folder that appears at `out` whole or not at all; it may replace one that holds a file called `replaces`."""
    if out.exists() and not (out / replaces).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise CannotWrite(f"{out} exists and is not ours", "a new or empty folder", "choose another --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise CannotWrite(f"cannot write beside {out} ({error.strerror})", "a writable folder") from error
    try:
        yield folder
        folder.chmod(0o755)
        if out.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
            os.rename(out, old / "x")
            os.rename(folder, out)
            shutil.rmtree(old)
        else:
            os.rename(folder, out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG):
            got = f"cannot write {out} ({error.strerror})"
            raise CannotWrite(got, "room on the disk", "free some and run again") from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Only one process at a time writes to `folder`; raises CannotWrite, with its number, where another one does.

    The lock is the system's, on a file `.NAME.lock` beside the folder (in it, where that place is not writable): it
    ends with the process, however that dies. Where there is no such lock (Windows, some network file systems), or no
    place to write, nothing is locked.
    """
    lock = _lock(folder)
    try:
        yield
    finally:
        if lock is not None:
            file, number = lock
            with suppress(OSError):
                file.unlink()  # while it is locked, so that nobody can lock what is no longer there
            os.close(number)


def _lock(folder: Path) -> tuple[Path, int] | None:
    """The locked file and its descriptor."""
    if sys.platform == "win32":
        return None
    folder = folder.absolute()
    for file in (folder.parent / f".{folder.name}.lock", folder / ".lock"):
        while True:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                number = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:
                break
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(number), file.stat()):
                    os.truncate(number, 0)
                    os.write(number, str(os.getpid()).encode())
                    return file, number
            except BlockingIOError as error:
                process = os.pread(number, 20, 0).decode(errors="replace") or "?"
                os.close(number)
                got = f"another process ({process}) writes to {folder}"
                raise CannotWrite(got, "one at a time", "wait for its end, or choose another --out") from error
            except FileNotFoundError:
                pass
            except OSError:  # no locks here
                os.close(number)
                return None
            os.close(number)  # of a writer that has just ended: try again
    return None


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
