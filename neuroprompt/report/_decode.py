"""Typed results read back from the JSON of their fields."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(kind: type[T], value: object) -> T:
    """A `kind` from its JSON: dataclasses by field, mappings, tuples and optional values inside them.

    Raises KeyError, TypeError where the value is no such JSON.
    """
    return cast(T, _decode(kind, value))


def _decode(kind: Any, value: Any) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (part for part in parts if part is not types.NoneType)
        return None if value is None else _decode(inner, value)
    if origin is tuple:
        return tuple(_decode(parts[0], item) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return {key: _decode(parts[1], item) for key, item in value.items()}
    return _plain(kind, value)


def _plain(kind: Any, value: Any) -> Any:
    if kind is Any:
        return value
    if hasattr(kind, "from_json"):
        return kind.from_json(value)
    if is_dataclass(kind):
        hints, there = get_type_hints(kind), [f.name for f in fields(kind) if f.name in value]
        return cast(Any, kind)(**{name: _decode(hints[name], value[name]) for name in there})
    if kind is float and isinstance(value, int) and abs(value) <= sys.float_info.max:
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind}")
    return value
