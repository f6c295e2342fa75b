"""Folders under construction beside where they will stand, without leftovers of processes that were killed."""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux' renameat2."""


@contextmanager
def scratch_folder(home: Path, name: str) -> Iterator[Path]:
    """A new folder `.NAME.neuroprompt-XXXXXXXX` in `home`, gone at the end; raises OSError.

    It is locked while this process lives: those of dead ones, which nobody locks, are removed first.
    """
    home.mkdir(parents=True, exist_ok=True)
    prefix = f".{name}.neuroprompt-"
    for left in home.glob(f"{glob.escape(prefix)}????????"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left)
    with ExitStack() as stack:
        folder = _new(home, prefix, stack)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def put_in_place(folder: Path, out: Path) -> None:
    """`folder` becomes `out`, in one step where the system can exchange two folders; what stood there is removed."""
    if not out.exists():
        os.rename(folder, out)
    elif _exchanged(folder, out):
        shutil.rmtree(folder)
    else:
        old = folder.with_name(f"{folder.name}.old")
        os.rename(out, old)
        os.rename(folder, out)
        shutil.rmtree(old)


def _new(home: Path, prefix: str, stack: ExitStack) -> Path:
    """A folder, locked until `stack` ends; the next one, where another process took it for a dead one's before."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=home))
        try:
            stack.enter_context(_locked(folder))
        except (BlockingIOError, FileNotFoundError):
            continue
        except OSError:  # no locks here: nobody removes it either
            pass
        return folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The system's lock on a folder; raises BlockingIOError, FileNotFoundError, or OSError where there are no locks."""
    if sys.platform == "win32":
        raise OSError("no locks on folders")
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(number), folder.stat()):
            raise FileNotFoundError(folder)
        yield
    finally:
        os.close(number)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system has exchanged two folders in one step."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0
