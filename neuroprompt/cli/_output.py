"""What every verb shares: the result on stdout (a table, or one JSON object), everything else on stderr."""

from __future__ import annotations

import json as jsonlib
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence, Sized
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from neuroprompt.cli._table import fitting_table, harmless
from neuroprompt.errors import BadSetting, printable
from neuroprompt.progress import Progress

T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print the result alone on stdout as one JSON object.")]

table = fitting_table
LINE_SECONDS = 30.0
"""Between two lines of progress, in a log."""
SHA256 = re.compile(r"[0-9a-f]{64}")

notes = Console(stderr=True, highlight=False, soft_wrap=True)


def examples(*lines: str) -> str:
    """The epilog of a verb's help: its examples, a line each."""
    return "[bold]Examples[/bold]\n\n" + "\n\n".join(f"  $ neuroprompt {line}".replace("[", r"\[") for line in lines)


class _Speed(ProgressColumn):
    """Items a second, or seconds an item where they are slow."""

    def render(self, task: Task) -> Text:
        """Empty until it is known."""
        return Text(_speed(task.finished_speed or task.speed or 0.0))


def _speed(a_second: float) -> str:
    if not a_second:
        return ""
    return f"{a_second:,.0f} a second" if a_second >= 1 else f"{1 / a_second:.1f} s each"


class TerminalProgress(Progress):
    """Bars on stderr while work goes on; where stderr is no terminal, a line every LINE_SECONDS."""

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        """Go through `items` with a bar called `what`."""
        total = len(items) if total is None and isinstance(items, Sized) else total
        if not notes.is_terminal:
            yield from self._in_lines(items, what, total)
            return
        with Bars(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=notes,
            transient=True,
        ) as bars:
            yield from bars.track(items, description=escape(printable(what)), total=total)

    def _in_lines(self, items: Iterable[T], what: str, total: int | None) -> Iterable[T]:
        started = said = time.monotonic()
        for count, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - said >= LINE_SECONDS:
                said = now
                a_second = count / (now - started)
                left = timedelta(seconds=round(((total or count) - count) / a_second))
                of_total = f" of {total:,}, {left} left" if total else ""
                self.say(f"{what}: {count:,}{of_total} ({_speed(a_second)})")

    def say(self, line: str) -> None:
        """One line on stderr."""
        notes.print(harmless(line), markup=False)


def listed(text: str | None) -> list[str] | None:
    """The names in an option that takes several, separated by commas; None where it was not given."""
    return [name.strip() for name in text.split(",")] if text else None


def emit(result: Mapping[str, Any], json: bool, *tables: Table | str) -> None:
    """Print `result` as JSON, or the tables and lines for a person."""
    if json:
        sys.stdout.write(jsonlib.dumps(result, indent=1, default=_plain) + "\n")
        return
    screen = Console(highlight=False)
    for part in tables:
        screen.print(harmless(part), markup=False) if isinstance(part, str) else screen.print(part)


def plain(value: object) -> str:
    """A value for a person: four significant digits, thousands marked, yes and no, a SHA-256 by its first digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and SHA256.fullmatch(value):
        return f"{value[:16]}..."
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rows of a two-column table: what stands in `values` but for lists and mappings."""
    return [(k.replace("_", " "), plain(v)) for k, v in values.items() if not isinstance(v, list | dict)]


def settings(pairs: Sequence[str], option: str = "--set", example: str = "steps=8") -> dict[str, str]:
    """`KEY=VALUE` words of `option` as a mapping; raises BadSetting."""
    words = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise BadSetting(f"{option} {pair!r}", "KEY=VALUE", f"for example {option} {example}")
        words[key.strip().replace("-", "_")] = value.strip()
    return words


@contextmanager
def stdout_is_ours() -> Any:
    """Libraries that print go to stderr while this lasts, so that stdout holds the result alone."""
    real, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout = real


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    if hasattr(value, "__fspath__"):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
