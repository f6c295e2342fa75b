"""The command `neuroprompt`, one small file per verb."""

from __future__ import annotations

import atexit
import errno
import json
import os
import signal
import sys

from neuroprompt.errors import BadSetting, NeuropromptError, printable
from neuroprompt.extras import missing

NO_ROOM = ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
"""What torch says in a RuntimeError where a tensor is too large for the memory, or for any memory."""


def main() -> None:
    """Run the command; a user's mistake is one line on stderr and exit code 2, Ctrl-C is 130."""
    # A thread of torch that waits for others gives its core away soon: on a busy machine this is 2 to 3 times faster,
    # on a quiet one not measurably slower. Read once, when torch is imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    try:
        from neuroprompt.cli._app import app

        app()
    except NeuropromptError as error:
        _mistake(error)
    except ModuleNotFoundError as error:
        missing_extra = missing(error)
        if missing_extra is None:
            raise
        _mistake(missing_extra)
    except KeyboardInterrupt:
        _stop("stopped; what was saved so far stays (type the same command again to go on)", 130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG):
            raise
        place = f" {printable(str(error.filename))}" if error.filename else ""
        _stop(f"error: cannot write{place} ({error.strerror}); free some room or choose another place", 2)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in NO_ROOM):
            raise
        first = next(iter(str(error).splitlines()), "")
        got = f"this needs more memory than there is ({first})" if first else "this needs more memory than there is"
        _mistake(BadSetting(got, "what fits", "take smaller images, a smaller batch or fewer tokens"))
    finally:
        # All is written: Ctrl-C while Python tidies up would print where it was. What is registered last runs first.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def _mistake(error: NeuropromptError) -> None:
    """The same words for scripts: stdout stays empty, the error is an object on stderr."""
    _stop(json.dumps({"error": error.json()}) if "--json" in sys.argv else f"error: {error}", 2)


def _stop(line: str, code: int) -> None:
    print(line, file=sys.stderr)
    sys.exit(code)
