"""The rows of evidence.py, and the results file that is packed from them and read back as typed records.

    python examples/evidence_results.py results/evidence.jsonl [MORE.jsonl ...]     # adds to examples/results.json

`studies` has an object for each study: its method and settings, its data, and its search. `runs` has one for each study
and seed: the rates, the accuracy on clean test images and under each of `noises` (in that order), and what it cost.
`costs` has what a study's method costs in use; evidence_costs.py writes it.
Accuracies are shares of the test images in [0, 1]. Seconds are wall time of training, divided among the runs that
trained side by side; several such teams shared the device.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
DEFAULT = 1e-2
"""The product's default rate, of prompt and head."""
ABOUT = ("method", "settings", "warm", "data", "backbone", "px", "epochs", "batch")


@dataclass(frozen=True)
class Search:
    """How a study's rates were chosen: the runs, all rates that were tried, and the best accuracy on validation.

    `at_default`: the accuracy on validation with the product's default, 0.01 for both rates, where that was tried.
    """

    runs: int
    seconds: float
    prompt_rates: tuple[float, ...]
    head_rates: tuple[float, ...]
    best: float
    device: str
    at_default: float | None = None


@dataclass(frozen=True)
class Study:
    """A method with settings on a data set; `search` is None where there was none (the logistic regression).

    `warm`: the rates of the VPT-deep run whose prompts it starts from.
    """

    name: str
    method: str
    settings: dict[str, Any]
    warm: tuple[float, float] | None
    data: str
    backbone: str
    px: int
    epochs: int
    batch: int
    search: Search | None


@dataclass(frozen=True)
class Run:
    """One trained and tested model; `noise` is empty where it was tested on clean images alone.

    `edge`: a rate lies at the edge of its grid. `c`: a logistic regression's C. `density`: of bits the share of ones.
    `ood`: of models of CIFAR-10 the accuracy on Caltech-101's 275 images of five of its classes, among those classes.
    """

    study: str
    seed: int
    clean: float
    noise: dict[str, float]
    seconds: float
    device: str
    train_images: int
    edge: bool
    lr_prompt: float | None = None
    lr_head: float | None = None
    c: float | None = None
    prompt_parameters: int = 0
    density: float | None = None
    ood: float | None = None

    @property
    def noisy(self) -> float:
        """The mean accuracy over the noises."""
        return statistics.fmean(self.noise.values())


@dataclass(frozen=True)
class Cost:
    """What a study's method costs on its backbone, by evidence_costs.py; ratios are median, first and third quartile.

    Times are None where only counts were made (a busy machine).

    parameters    learned numbers of the prompt
    training      images a second of a training step over linear probing's
    over_bare     milliseconds of the exported file over those of the backbone without a prompt, as timm has it
    over_lean     the same over the backbone without a prompt in the exported form
    bare_ms       milliseconds of an image through the bare backbone; absolute, so of that machine and day alone
    macs          multiply-accumulates of an image through the exported file
    file_joules   their estimate, not measured
    neuron_joules estimate of the prompt's neurons alone on Loihi, at their initial values; `neurons_run` says how often
    """

    study: str
    parameters: int
    macs: int
    file_joules: float
    machine: str
    date: str
    neuron_joules: float | None = None
    neurons_run: str | None = None
    training: tuple[float, float, float] | None = None
    over_bare: tuple[float, float, float] | None = None
    over_lean: tuple[float, float, float] | None = None
    bare_ms: float | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Results:
    """All studies and runs, in the order of the rows, and what methods cost."""

    noises: tuple[str, ...]
    studies: dict[str, Study]
    runs: tuple[Run, ...] = field(repr=False)
    costs: dict[str, Cost] = field(default_factory=dict)

    def of(self, study: str) -> list[Run]:
        """The runs of a study, by seed."""
        return sorted((run for run in self.runs if run.study == study), key=lambda run: run.seed)

    def json(self) -> str:
        """The results file's text, an object a line; what is not there (None) is left out."""
        studies = [f"{json.dumps(name)}: {_line(study, leave=('name',))}" for name, study in self.studies.items()]
        runs = [_line(run, noise=list(run.noise.values())) for run in self.runs]
        noises = f'"noises": {json.dumps(self.noises)}'
        costs = [f"{json.dumps(name)}: {_line(cost, leave=('study',))}" for name, cost in self.costs.items()]
        blocks = [noises, _block('"studies": {', studies, "}"), _block('"runs": [', runs, "]")]
        blocks += [_block('"costs": {', costs, "}")] if costs else []
        return "{\n" + ",\n".join(blocks) + "\n}\n"


def packed(rows: Iterable[dict[str, Any]]) -> Results:
    """The rows of evidence.py as results; a study without a tested run has its search alone."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["kind"] != "error":
            groups.setdefault(row["study"], []).append(row)
    finals = [row for group in groups.values() for row in group if row["kind"] == "final"]
    studies = {}
    for name, group in groups.items():
        about = {key: group[0][key] for key in ABOUT}
        about["warm"] = tuple(about["warm"]) if about["warm"] else None
        searched = [row for row in group if row["kind"] == "search"]
        studies[name] = Study(name, **about, search=_search(searched) if searched else None)
    runs = [_run(row) for row in sorted(finals, key=lambda row: row["seed"])]
    runs.sort(key=lambda run: list(studies).index(run.study))
    noises: tuple[str, ...] = next((tuple(row["noise"]) for row in finals if row["noise"]), ())
    return Results(noises, studies, tuple(runs))


def merged(before: Results, now: Results) -> Results:
    """The studies of both, in the order of their first appearance; of a study that both have, `now` counts."""
    studies = {**before.studies, **now.studies}
    runs = [*(run for run in before.runs if run.study not in now.studies), *now.runs]
    runs.sort(key=lambda run: list(studies).index(run.study))
    return Results(now.noises or before.noises, studies, tuple(runs), {**before.costs, **now.costs})


def _search(rows: list[dict[str, Any]]) -> Search:
    prompt, head = (tuple(sorted({row[key] for row in rows})) for key in ("lr_prompt", "lr_head"))
    seconds, best = round(sum(row["seconds"] for row in rows), 1), round(max(row["val"] for row in rows), 4)
    default = [
        row["val"] for row in rows if row["method"] != "linear" and row["lr_prompt"] == row["lr_head"] == DEFAULT
    ]
    at_default = round(statistics.fmean(default), 4) if default else None
    device = " and ".join(dict.fromkeys(row["device"] for row in rows))
    return Search(len(rows), seconds, prompt, head, best, device, at_default)


def _run(row: dict[str, Any]) -> Run:
    """float32 shares are rounded to six places, finer than one image of a million."""
    six: dict[str, Any] = {key: round(row[key], 6) for key in ("clean", "density", "ood") if key in row}
    if not six.get("density"):
        six.pop("density", None)
    same: dict[str, Any] = {key: row[key] for key in ("study", "seed", "seconds", "device", "train_images", "edge")}
    rates: dict[str, Any] = {
        "lr_head": row.get("lr_head"),
        "lr_prompt": None if row["method"] == "linear" else row.get("lr_prompt"),
    }
    noise = {name: round(share, 6) for name, share in row["noise"].items()}
    return Run(**same, **six, **rates, noise=noise, c=row.get("C"), prompt_parameters=row.get("prompt_parameters", 0))


def loaded(file: Path = RESULTS) -> Results:
    """The results of a file that `Results.json` wrote."""
    values = json.loads(file.read_text())
    noises = tuple(values["noises"])
    studies = {}
    for name, study in values["studies"].items():
        facts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in study.get("search", {}).items()}
        search = Search(**facts) if facts else None
        warm = tuple(study["warm"]) if study.get("warm") else None
        studies[name] = Study(**{**study, "name": name, "warm": warm, "search": search})
    runs = []
    for run in values["runs"]:
        noise = dict(zip(noises, run["noise"], strict=True)) if run["noise"] else {}
        runs.append(Run(**{**run, "noise": noise}))
    costs = {}
    for name, cost in values.get("costs", {}).items():
        measured: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in cost.items()}
        costs[name] = Cost(**measured, study=name)
    return Results(noises, studies, tuple(runs), costs)


def _line(record: Study | Run | Cost, leave: tuple[str, ...] = (), **other: Any) -> str:
    values = _there({**dataclasses.asdict(record), **other})
    return json.dumps({key: value for key, value in values.items() if key not in leave})


def _there(values: dict[str, Any]) -> dict[str, Any]:
    return {k: _there(v) if k == "search" and v else v for k, v in values.items() if v is not None}


def _block(opening: str, lines: list[str], closing: str) -> str:
    return opening + "\n  " + ",\n  ".join(lines) + f"\n{closing}"


def write(file: Path, row: dict[str, Any]) -> None:
    """Append one row, and see it onto the disk."""
    with file.open("a") as out:
        out.write(json.dumps(row) + "\n")
        out.flush()
        os.fsync(out.fileno())


def read(file: Path) -> list[dict[str, Any]]:
    """The rows so far; a line that a kill cut short is left out."""
    rows = []
    for line in file.read_text().splitlines() if file.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def main() -> None:
    """Pack row files into the results file; its studies that no row names stay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, nargs="+", help="evidence.jsonl of one or more machines")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    results = packed(row for file in args.rows for row in read(file))
    results = merged(loaded(args.out), results) if args.out.is_file() else results
    args.out.write_text(results.json())


if __name__ == "__main__":
    main()
