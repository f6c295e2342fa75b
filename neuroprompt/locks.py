"""One writer at a time: a lock that ends with its process, however that dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neuroprompt.errors import CannotWrite

if sys.platform != "win32":
    import fcntl


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
