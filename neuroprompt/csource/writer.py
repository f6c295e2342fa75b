"""The parts of a C file as they are written: constants, state and functions, with the bytes that they take."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BYTES = {
    "int8_t": 1,
    "uint8_t": 1,
    "int16_t": 2,
    "uint16_t": 2,
    "int32_t": 4,
    "uint32_t": 4,
    "int64_t": 8,
    "float": 4,
}
WHOLE = ("uint8_t", "int8_t", "uint16_t", "int16_t", "int32_t", "uint32_t")
"""Integer types, the smallest first."""
WIDTH = 116


class Writer:
    """Collects the C text of a net: `lines`, and how many bytes its constants and its state take."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constant_bytes = self.state_bytes = 0

    def add(self, text: str) -> None:
        """Lines as they are."""
        self.lines += text.splitlines()

    def constant(self, name: str, values: Array, kind: str = "") -> None:
        """A constant array of one or two dimensions, of the smallest integer type unless `kind` says another."""
        kind = kind or smallest(values)
        sides = "".join(f"[{n}]" for n in values.shape)
        self.lines.append(f"static const {kind} {name}{sides} = {braced(values, kind)};")
        self.constant_bytes += values.size * BYTES[kind]

    def state(self, name: str, kind: str, *shape: int) -> None:
        """A static array that changes, or one number where there is no shape; C starts it at 0."""
        self.lines.append(f"static {kind} {name}{''.join(f'[{n}]' for n in shape)};")
        self.state_bytes += int(np.prod(shape, dtype=np.int64)) * BYTES[kind]

    def number(self, name: str, values: Any, kind: str = "") -> str:
        """The expression of neuron i's value: a literal where all are equal, else an element of a constant array."""
        array = np.atleast_1d(values)
        if np.all(array == array[0]):
            return literal(array[0], kind)
        self.constant(name, array, kind)
        return f"{name}[i]"


def smallest(values: Array) -> str:
    """The smallest integer type that holds all of `values`."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    for kind in WHOLE:
        limits = np.iinfo(kind.removesuffix("_t"))
        if limits.min <= low and high <= limits.max:
            return kind
    raise AssertionError(f"{low} to {high}")


def literal(value: Any, kind: str = "") -> str:
    """A number in C; a float with the nine digits that say it exactly in 32 bits."""
    if kind != "float":
        return str(int(value))
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if re.search(r"[.e]", text) else f"{text}.0f"


def braced(values: Array, kind: str = "") -> str:
    """An initialiser, wrapped into lines."""
    if values.ndim > 1:
        rows = ",\n".join(textwrap.indent(braced(row, kind), "    ") for row in values)
        return f"{{\n{rows}}}"
    text = ", ".join(literal(value, kind) for value in values.tolist())
    return "{" + textwrap.fill(text, WIDTH, subsequent_indent="    ") + "}"


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """A C identifier for every name, by name; no two are equal, nor in capitals."""
    taken: dict[str, str] = {}
    used: set[str] = set()
    for name in names:
        stem = re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_") or "neurons"
        word, number = stem, 2
        while word in used:
            word, number = f"{stem}_{number}", number + 1
        used.add(word)
        taken[name] = word
    return taken
