"""Tables that fit the terminal: cells break at spaces and hyphens, not inside a name or a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neuroprompt.errors import printable

NUMBER = r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?%?"
WORD = re.compile(rf"\s*(?:{NUMBER} [pnµm]?J\b[,;:]?|\S+)\s*")
"""What stays on one line, with the spaces around it: a word, or a number with its unit."""
HYPHEN = re.compile(r"(?<=[A-Za-z0-9]-)(?=[A-Za-z0-9])|(?<=\w/)(?=\w{3})")
NAME = 40
"""The longest that a name is: what is longer, such as a hash or a path, may be cut where it has to be."""
BORDER, PADDING = 1, 2
"""Characters that a table takes beside its cells: a border, and for each column another and the spaces in it."""

Column = tuple[str, ...]
"""The heading, and the cells below it."""


def fitting_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table for a person; columns of numbers are right-aligned, and control characters are written out.

    Where not all columns fit the terminal side by side, the others follow below, again beside the first column.
    """
    texts: list[Column] = [(harmless(head),) for head in columns]
    for row in rows:
        texts = [(*column, harmless(str(cell))) for column, cell in zip(texts, row, strict=True)]
    title, width = printable(title), Console().width
    tables = [_block(block, width) for block in _blocks(texts, width)]
    tables[0].title, tables[0].title_justify, tables[0].title_style = escape(title), "left", "bold"
    tables[0].min_width = min(len(title), width)
    if len(tables) == 1:
        return tables[0]
    stack = Table.grid()
    for part in tables:
        stack.add_row(part)
    return stack


def harmless(text: str) -> str:
    """`text` with its control characters written out, but for the ends of lines: a file's name may hold any."""
    return "\n".join(printable(line) for line in text.split("\n"))


def wrapped(text: str, width: int) -> str:
    """`text` in lines of at most `width`, broken between `chunks`; only a chunk that is longer itself is cut."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for chunk in chunks(paragraph):
            if line and len(line) + len(chunk.rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += chunk
            while len(line.rstrip()) > width:
                lines.append(line[:width])
                line = line[width:]
        lines.append(line.rstrip())
    return "\n".join(lines)


def chunks(line: str) -> list[str]:
    """The pieces between which a line may break, words and the parts of hyphenated ones; together they are the line."""
    pieces = []
    for word in WORD.findall(line) or [line]:
        pieces += [word] if re.fullmatch(NUMBER, word.strip()) else HYPHEN.split(word)
    return pieces


def _least(column: Column) -> int:
    """The narrowest that a column can be with no name cut."""
    longest = max(len(chunk.rstrip()) for text in column for line in text.split("\n") for chunk in chunks(line))
    return min(longest, NAME)


def _most(column: Column) -> int:
    """As wide as its longest line."""
    return max(len(line) for text in column for line in text.split("\n"))


def _taken(widths: Iterable[int]) -> int:
    """The width of a table."""
    return BORDER + sum(width + BORDER + PADDING for width in widths)


def _blocks(columns: Sequence[Column], width: int) -> Iterator[list[Column]]:
    """Columns that fit side by side, each block led by the first column."""
    block = [columns[0]]
    for column in columns[1:]:
        if len(block) > 1 and _taken(map(_least, [*block, column])) > width:
            yield block
            block = [columns[0]]
        block.append(column)
    yield block


def _block(columns: Sequence[Column], width: int) -> Table:
    widths = _widths(columns, width)
    block = Table()
    for i, ((head, *cells), size) in enumerate(zip(columns, widths, strict=True)):
        numbers = i > 0 and all(cell[:1].isdigit() or cell[:1] == "-" for cell in cells)
        block.add_column(escape(wrapped(head, size)), justify="right" if numbers else "left", no_wrap=True)
    for row in zip(*(column[1:] for column in columns), strict=True):
        block.add_row(*(escape(wrapped(cell, size)) for cell, size in zip(row, widths, strict=True)))
    return block


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """Each column's longest line; where that is too wide, the widest column that can gives way."""
    widths, least = [_most(column) for column in columns], [_least(column) for column in columns]
    while _taken(widths) > width and max(widths) > 1:
        free = [i for i, size in enumerate(widths) if size > least[i]] or range(len(widths))
        widths[max(free, key=lambda i: widths[i])] -= 1
    return widths
