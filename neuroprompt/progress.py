"""How long work tells how far it is: the core calls `track`, the command draws a bar; silent by default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class Progress:
    """Silent progress; the command's subclass draws bars on stderr."""

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        """Go through `items`, telling that `what` advances; `total` where len(items) does not exist."""
        return items

    def say(self, line: str) -> None:
        """One line that a person would like to see now."""


SILENT = Progress()
