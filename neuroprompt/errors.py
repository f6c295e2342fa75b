"""Everything that neuroprompt raises on purpose, as one tree.

    NeuropromptError                 a user can mend it: the command prints one line and exits with 2
     ├── UnknownName                 no part of that name; lists what there is
     ├── BadSetting                  a setting that the part does not have, or a value out of range
     ├── BadData                     images, labels or folders that cannot be used
     ├── BadWeights                  weights that do not fit, or are not safetensors
     ├── BadCheckpoint               a run folder that is not whole, or is another method's
     ├── BadBundle                   a bundle with a changed, missing or foreign file
     ├── BadGraph                    a NIR graph that cannot be read or run
     ├── Unsupported                 sound, but this part cannot hold it (subtract reset on Loihi, tokens in a ResNet)
     ├── OutOfRange                  a value that the chip's integers cannot hold
     ├── ParityError                 two sides that must agree do not
     ├── Unpriced                    a total was asked for, and a counted term has no price
     ├── RuntimeMissing              an interpreter or package that a target needs is not there
     ├── WorkerFailed                a child process (a target's, or one that decodes images) died, hung or refused
     ├── HubFailed                   the Hugging Face hub cannot be reached, or refuses
     └── CannotWrite                 the disk is full, or the place is not writable

A message says what was got, what was expected and the fix to type, in one line.
"""

from __future__ import annotations

LONGEST = 600
"""Characters of `got`, `expected` and `fix` that are kept: what a user hands in may say anything at any length."""


class NeuropromptError(Exception):
    """A mistake that its user can mend; `str(error)` is one line: got, expected, fix.

    `got`, `expected` and `fix` are also attributes, each one line without control characters; "" where there is none.
    """

    def __init__(self, got: str, expected: str = "", fix: str = "") -> None:
        self.got, self.expected, self.fix = _line(got), _line(expected), _line(fix)
        parts = [self.got, f"expected {self.expected}" if expected else "", self.fix]
        super().__init__("; ".join(part for part in parts if part))

    def json(self) -> dict[str, str]:
        """The error for scripts: its type, its three parts, and the whole line as `message`."""
        return {
            "type": type(self).__name__,
            "got": self.got,
            "expected": self.expected,
            "fix": self.fix,
            "message": str(self),
        }


def printable(text: str) -> str:
    """`text` with control characters written out (`\\x1b`), so that a file's name cannot steer a terminal."""
    return "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode() for c in text)


def _line(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 4 :]}"


class UnknownName(NeuropromptError):
    """No part of that name."""


class BadSetting(NeuropromptError):
    """A setting that the part does not have, or a value out of range."""


class BadData(NeuropromptError):
    """Images, labels or folders that cannot be used."""


class BadWeights(NeuropromptError):
    """Weights that do not fit the backbone, or are not safetensors."""


class BadCheckpoint(NeuropromptError):
    """A run folder that is not whole, or belongs to another method."""


class BadBundle(NeuropromptError):
    """A bundle with a changed, missing or foreign file."""


class BadGraph(NeuropromptError):
    """A NIR graph that cannot be read or run."""


class Unsupported(NeuropromptError):
    """Sound in itself, but this part cannot hold it."""


class OutOfRange(NeuropromptError):
    """A value that the chip's integers cannot hold."""


class ParityError(NeuropromptError):
    """Two sides that must agree do not; names output, difference and tolerance."""


class Unpriced(NeuropromptError):
    """A total was asked for, and a counted term has no price."""


class RuntimeMissing(NeuropromptError):
    """An interpreter or package that a target needs is not there."""


class WorkerFailed(NeuropromptError):
    """A child process (a target's, or one that decodes images) died, hung or refused."""


class HubFailed(NeuropromptError):
    """The Hugging Face hub cannot be reached, has no such repository, or refuses."""


class CannotWrite(NeuropromptError):
    """The disk is full, or the place is not writable."""
