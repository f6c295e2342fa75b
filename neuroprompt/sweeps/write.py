"""Writes the table of a sweep: as text (Markdown), CSV, JSON and figure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence

from neuroprompt.files import write_whole
from neuroprompt.sweeps.figure import drawn
from neuroprompt.sweeps.result import Pair, Row, Sweep, spread

ROWS = ("name", "chosen", "metric", "seed", "accuracy")
PAIRS = ("a", "b", "metric", "mean", "low", "high", "n")


def write(sweep: Sweep) -> None:
    """table.md, accuracies.csv, pairs.csv, sweep.json and sweep.svg, each whole or not at all; raises CannotWrite."""
    write_whole(sweep.out / "sweep.json", (json.dumps(sweep.json(), indent=1) + "\n").encode())
    accuracies = [
        (row.name, chosen_of(row), metric, seed, value)
        for row in sweep.table
        for metric, of in row.accuracy.items()
        for seed, value in of.items()
    ]
    write_whole(sweep.out / "accuracies.csv", _csv(ROWS, accuracies))
    pairs = [(p.a, p.b, p.metric, p.mean, p.low, p.high, p.n) for p in sweep.pairs]
    write_whole(sweep.out / "pairs.csv", _csv(PAIRS, pairs))
    write_whole(sweep.out / "table.md", "\n".join([*_markdown(sweep), ""]).encode())
    if sweep.table:
        write_whole(sweep.out / "sweep.svg", drawn(sweep))


def chosen_of(row: Row) -> str:
    """The chosen rates as text."""
    return ", ".join(f"{key}={value}" for key, value in row.chosen.items()) or "-"


def table_rows(sweep: Sweep) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of the table: accuracy on test images in per cent, mean and deviation over seeds."""
    metrics = list(dict.fromkeys(metric for row in sweep.table for metric in row.accuracy))
    rows: list[tuple[str, ...]] = [
        (
            row.name,
            chosen_of(row),
            str(max(len(of) for of in row.accuracy.values())),
            *(spread(list(row.accuracy[metric].values())) for metric in metrics),
        )
        for row in sweep.table
    ]
    return ("", "chosen", "seeds", *metrics), rows


def pair_rows(sweep: Sweep) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of the differences, in points (hundredths)."""
    rows: list[tuple[str, ...]] = [
        (f"{p.a} - {p.b}", p.metric, f"{100 * p.mean:+.2f}", range_of(p), str(p.n)) for p in sweep.pairs
    ]
    return ("difference", "images", "mean", "95 % interval", "n"), rows


def range_of(pair: Pair) -> str:
    """The interval in points, a dash where one seed has none."""
    return "-" if pair.low is None or pair.high is None else f"{100 * pair.low:+.2f} to {100 * pair.high:+.2f}"


def _markdown(sweep: Sweep) -> Iterable[str]:
    yield from ("Accuracy on test images in per cent, mean ± sample deviation over seeds.", "")
    yield from _lines(*table_rows(sweep))
    if sweep.pairs:
        yield from ("", "Differences seed by seed in points, with the 95 % t-interval of their mean.", "")
        yield from _lines(*pair_rows(sweep))
    if sweep.failed:
        yield from ("", f"{len(sweep.failed)} of {sweep.cells} cells failed.")


def _lines(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
