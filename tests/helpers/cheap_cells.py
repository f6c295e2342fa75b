"""Cells of a sweep that take no time: a script in place of Python copies a trained run, or fails.

The script takes the words that an engine gives to `python -P -m neuroprompt`. A training gets the files of a run that
was really trained, with its own seed and rate; a test gets the rows of one. Of the seeds that end in 3, one in three is
a user's mistake, one dies by a signal, and one ends well with nothing written, until the file `sound` appears.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SCRIPT = """#!{python} -S
import csv, json, os, pathlib, shutil, signal, sys

template, ran = pathlib.Path({template!r}), pathlib.Path({ran!r})
words = sys.argv[sys.argv.index("neuroprompt") + 1 :]
of = {{word: words[i + 1] for i, word in enumerate(words[:-1]) if word.startswith("--")}}
with ran.open("a") as stream:
    stream.write(" ".join(words) + "\\n")
verb = words[0]


def write(file, data):
    file.with_name(f".{{file.name}}.part").write_bytes(data)
    os.replace(file.with_name(f".{{file.name}}.part"), file)


if verb == "train":
    seed, out = int(of.get("--seed", "0")), pathlib.Path(of["--out"])
    if seed % 10 == 3 and not (ran.parent / "sound").exists():
        how = seed // 10 % 3
        if how == 0:
            print("error: a cell that is wrong", file=sys.stderr)
            sys.exit(2)
        if how == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        sys.exit(0)
    out.mkdir(parents=True, exist_ok=True)
    run = json.loads((template / "run.json").read_text())
    run["config"]["seed"] = seed
    if "--lr" in of:
        run["config"]["lr"] = float(of["--lr"])
    write(out / "run.json", json.dumps(run).encode())
    for name in ("prompt.safetensors", "metrics.json"):
        write(out / name, (template / name).read_bytes())
else:
    out = pathlib.Path(of["--csv"])
    out.parent.mkdir(exist_ok=True)
    with (template.parent / "test.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    place = out.with_name(f".{{out.name}}.part")
    with place.open("w", newline="") as stream:
        for row in rows:
            cells = dict(zip(rows[0], row))
            if row is not rows[0]:
                seed = json.loads((pathlib.Path(words[1]) / "run.json").read_text())["config"]["seed"]
                cells |= {{"run": words[1], "seed": seed}}
            csv.writer(stream).writerow(cells.values())
    os.replace(place, out)
"""


def write_script(folder: Path, run: Path, test: Path) -> Path:
    """The script, from a run folder and the CSV of its test; it notes what it ran in `folder`/ran."""
    (folder / "template").mkdir()
    for file in run.iterdir():
        if file.is_file():
            (folder / "template" / file.name).write_bytes(file.read_bytes())
    (folder / "test.csv").write_bytes(test.read_bytes())
    script = folder / "cell"
    script.write_text(SCRIPT.format(python=sys.executable, template=str(folder / "template"), ran=str(folder / "ran")))
    script.chmod(0o755)
    assert os.access(script, os.X_OK)
    return script
