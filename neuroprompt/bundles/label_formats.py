"""Rows of labels as a CSV, JSON Lines or Parquet file, whole or not at all, in little memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

from neuroprompt.errors import BadSetting
from neuroprompt.extras import need
from neuroprompt.files import whole_file

Row = Mapping[str, Any]

COLUMNS = ("file", "label", "probability", "spike_density", "error")
"""Of a CSV file; the others have the five likeliest classes, `top5`, too."""
ROW_GROUP = 10_000
"""Rows that are in memory at once, for Parquet."""


def check_form(out: Path) -> None:
    """Raise BadSetting where no format has this ending, RuntimeMissing where it needs an extra."""
    if out.suffix not in FORMS:
        raise BadSetting(f"--out {out}", f"a file that ends in {', '.join(FORMS)}")
    if out.suffix == ".parquet":
        need("parquet")


def convert(rows: Iterable[Row], out: Path) -> None:
    """Write `rows` to `out` in the format of its ending; raises CannotWrite."""
    with whole_file(out) as stream:
        FORMS[out.suffix](rows, stream)


def _csv(rows: Iterable[Row], stream: IO[bytes]) -> None:
    text = io.TextIOWrapper(stream, "utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows((_utf8(row["file"]), *map(row.get, COLUMNS[1:])) for row in rows)
    text.detach()


def _jsonl(rows: Iterable[Row], stream: IO[bytes]) -> None:
    for row in rows:
        stream.write(json.dumps({**row, "file": _utf8(row["file"])}).encode() + b"\n")


def _parquet(rows: Iterable[Row], stream: IO[bytes]) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    best = pa.list_(pa.struct([("label", pa.string()), ("probability", pa.float64())]))
    kinds = {"file": pa.string(), "label": pa.string(), "probability": pa.float64(), "top5": best}
    schema = pa.schema(kinds | {"spike_density": pa.float64(), "error": pa.string()})
    with ParquetWriter(stream, schema) as writer:
        left = map(_nested, rows)
        while group := list(islice(left, ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema))


def _nested(row: Row) -> Row:
    top = [{"label": label, "probability": share} for label, share in row.get("top5", ())]
    return {**row, "file": _utf8(row["file"]), "top5": top}


def _utf8(name: str) -> str:
    """A file's name, with bytes that are no text written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


FORMS: dict[str, Callable[[Iterable[Row], IO[bytes]], None]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
