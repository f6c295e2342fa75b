"""What the server of workers imports first: a worker whose trainer dies as it begins ends without a traceback."""

from __future__ import annotations

import pickle
import sys
from types import TracebackType


def _quietly(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Print an error, but not that the trainer's words to a new worker broke off."""
    if not isinstance(error, (EOFError, pickle.UnpicklingError)):
        sys.__excepthook__(kind, error, where)


sys.excepthook = _quietly
