"""Adds what a campaign logged to the tables of SECURITY.md: each log once.

    python tests/campaign/tables.py --kills kills.jsonl --files hostile.jsonl --first 30000

`--skip N` leaves out the first lines of a log of kills, which the table has already; `--first N` the damaged files of
lower numbers: those that a campaign tries again since they once found something.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SECURITY = Path(__file__).parents[2] / "SECURITY.md"
WAYS = ("kill", "terminate", "interrupt", "group", "child")
KILLED = {
    "bench": "`bench`, small",
    "demo": "`demo`, small",
    "eval shards": "`eval --shards`",
    "run openvino": "`run --target openvino --out`",
    "run shards": "`run --shards`",
    "train logged": "`train --log csv`",
    "train workers": "`train --workers`",
    "verify shards": "`verify --shards`",
}
"""The command of a case; another case gets its own name."""
FILES = {
    "accuracies": "accuracies of `card`",
    "bundle manifest": "manifest of a bundle",
    "checkpoints": "PyTorch checkpoints",
    "classifiers and embeddings": "classifiers, embeddings of names",
    "CSV and list data": "CSV and lists of data",
    "files of a bundle": "other files of a bundle",
    "hf-disk folders": "`hf-disk:` folders",
    "hostile names": "class names in report, page, card",
    "hub": "answers of a hub",
    "HDF5 items": "HDF5 files of `--inputs` and `--labels`",
    "image lists": "lists of images",
    "links and pipes": "links, pipes, devices in their place",
    "measurements": "measurements beside a report",
    "npy and npz": "`.npy`, `.npz`",
    "price TOML": "price list",
    "prompt.safetensors": "`prompt.safetensors`",
    "recipes of hostile values": "recipes: sound TOML, hostile values",
    "rows before": "rows of a killed `run --out`",
    "run.json, metrics.json": "`run.json`, `metrics.json`",
    "searches": "integers kept in the cache",
    "several forms": "bundles with fused and 8-bit files",
    "shards": "shards in a `--work` folder",
    "states": "states of stopped trainings",
    "tonic files": "`tonic:` files",
    "tuning": "`--tune`: inputs and numbers",
    "web folders": "folders of `export --target web`",
}


def logged(files: Sequence[Path], skip: int = 0) -> list[dict[str, Any]]:
    """The lines of logs, each without its first `skip`."""
    return [json.loads(line) for file in files for line in file.read_text().splitlines()[skip:]]


def kills(lines: list[dict[str, Any]]) -> Iterator[tuple[str, list[float]]]:
    """A row for each kill."""
    for line in lines:
        ways = [float(line["way"] == way) for way in WAYS]
        failed = [float(any(kind == what for kind, _ in line["faults"])) for what in FAULTS]
        yield KILLED.get(line["case"], line["case"]), [1, line["hit"], *ways, *failed, line["orphan_seconds"]]


FAULTS = ("lost", "half_written", "orphans", "tracebacks", "not_resumed")


def damaged(lines: list[dict[str, Any]], first: int) -> Iterator[tuple[str, list[float]]]:
    """A row for each damaged file, of a log whose lines count from the start of a kind; each number once."""
    keys = ("files", "worked", "rejected", "tracebacks", "other")
    before: dict[str, Any] = {}
    seen = set()
    for line in lines:
        same = before.get("name") == line["name"] and before["files"] < line["files"]
        tried = [line[key] - (before[key] if same else 0) for key in keys]
        before, number = line, (line["name"], line["number"])
        if line["number"] >= first and number not in seen:
            seen.add(number)
            yield FILES.get(line["name"], line["name"]), [*tried, line["seconds"]]


def added(text: str, head: str, rows: Iterator[tuple[str, list[float]]]) -> str:
    """The text with its table under `head` after `rows` are added: sums by name, and in the last column the most."""
    old = _table(text, head)
    titles, rule, *lines = old.splitlines()
    table = dict(map(_cells, lines[:-1]))
    for name, values in rows:
        there = table.setdefault(name, [0] * len(values))
        table[name] = [a + b for a, b in zip(there[:-1], values[:-1], strict=True)] + [max(there[-1], values[-1])]
    columns = list(zip(*table.values(), strict=True))
    table = dict(sorted(table.items(), key=lambda row: row[0].strip("`")))
    table["all"] = [*map(sum, columns[:-1]), max(columns[-1])]
    new = [titles, rule, *(f"| {name} | {' | '.join(_words(values))} |" for name, values in table.items())]
    return text.replace(old, "\n".join(new))


def _totals(text: str) -> str:
    """The text with the sentences that sum a table up in bold."""
    rows = [dict(map(_cells, _table(text, head).splitlines()[2:])) for head in ("command", "file")]
    totals = [each.pop("all") for each in rows]
    full, many = (sum(row[0] >= least for row in each.values()) for each, least in zip(rows, (100, 500), strict=True))
    images = next(row[0] for name, row in rows[1].items() if name.startswith("images"))
    files = f"{totals[1][0]:,.0f} damaged files, of which {totals[1][0] - images:,.0f} are no images"
    text = re.sub(r"\*\*\S+ of \d+ rows|\*\*FULL rows", f"**{full} of {len(rows[0])} rows", text)
    bold = f"**{files}; {many} of the {len(rows[1])} kinds have 500 or more.**"
    return re.sub(r"\*\*\S+ damaged files,[^*]*\*\*", bold, text)


def _table(text: str, head: str) -> str:
    """The table whose first title is `head`."""
    return text[text.index(f"| {head} |") :].partition("\n\n")[0].rstrip("\n")


def _cells(line: str) -> tuple[str, list[float]]:
    name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
    return name, [float(cell.replace(",", "").removesuffix(" s")) for cell in cells]


def _words(values: Sequence[float]) -> list[str]:
    return [f"{round(value):,}" for value in values[:-1]] + [f"{values[-1]:.1f} s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=Path, nargs="*", default=[])
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--files", type=Path, nargs="*", default=[])
    parser.add_argument("--first", type=int, default=0)
    words = parser.parse_args()
    killed = logged(words.kills, words.skip)
    text = added(SECURITY.read_text(), "command", kills(killed))
    text = added(text, "file", damaged(logged(words.files), words.first))
    SECURITY.write_text(_totals(text))
    print(f"{len(killed)} kills added")


if __name__ == "__main__":
    main()
