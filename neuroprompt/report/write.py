"""Writes the report: everything is checked, measured and drawn first, and then the files appear whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import neuroprompt
from neuroprompt.energy.lines import PRICES, EnergyEstimate
from neuroprompt.energy.toml_prices import price_lists
from neuroprompt.errors import BadSetting, CannotWrite, NeuropromptError
from neuroprompt.files import whole_folder, write_whole
from neuroprompt.progress import SILENT, Progress
from neuroprompt.report import accuracy, cost, fixed, glance, latency, membranes, prompt, provenance, scales, spikes
from neuroprompt.report._gather import gather
from neuroprompt.report._measured import MEASURED, Kept, Known, Measuring, plain_noises
from neuroprompt.report._page import page
from neuroprompt.report._parts import Plot, Section
from neuroprompt.report._subject import Subject

NOISES = ("gaussian:0.1", "gaussian:0.2", "salt-pepper:0.05", "blur:2", "jpeg:25")
ROUNDS = 10


@dataclass(frozen=True)
class Report:
    """A written report: the page, the folder of its figures and their names, and by section what it could not show."""

    report: Path
    files: Path
    figures: tuple[str, ...]
    missing: Mapping[str, Sequence[str]]

    def json(self) -> dict[str, object]:
        """All of it, paths as text."""
        missing = {section: list(lines) for section, lines in self.missing.items()}
        figures = list(self.figures)
        return {"report": str(self.report), "files": str(self.files), "figures": figures, "missing": missing}


def report(
    what: Sequence[Path | str],
    out: Path | str = "report.html",
    *,
    noises: Sequence[str] = NOISES,
    rounds: int = ROUNDS,
    prices: tuple[str, str] = PRICES,
    beside: Sequence[str] = (),
    neurons: Sequence[str] = (),
    targets: Sequence[str] | None = None,
    skip: Sequence[str] = (),
    weights: Path | None = None,
    known: Known | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Report:
    """Write `out` (.html) on run folders and bundles, and NAME_files/ beside it: each figure as PNG, SVG and CSV.

    Run folders and bundles of one training run are one column.

    noises, rounds  of the accuracy and of the timing
    prices          of the generator, and of the backbone; `beside` names other lists to compare
    neurons         INDEX or NODE:INDEX, whose potentials are drawn
    targets         on which spikes are verified (default: all at hand)
    skip            leaves out what takes long: accuracy, latency, verify, measure (the energy counters)
    weights         the backbone's file, where it has moved
    known           results that are measured already, by run folder or bundle: of `evaluate`, `bench`, `verify`
    fresh           measures again what an earlier report at `out` measured on the same files

    Raises BadSetting where they cannot be compared, BadBundle, BadCheckpoint, BadData, UnknownName, CannotWrite.
    """
    out = Path(out)
    folder = out.with_name(f"{out.stem}_files")
    _check(out, folder, what)
    plain_noises(noises)
    price_lists(dict.fromkeys((*prices, *beside)))
    kept = Kept(folder / MEASURED, fresh)
    measuring = Measuring(kept, noises, rounds, skip, progress, targets)
    subjects = gather([Path(path) for path in what], weights)
    membranes.check(subjects, neurons)
    for subject in subjects:
        measuring.keep(subject, known or {})
        subject.measured = replace(measuring.measure(subject), energy=_priced(subject, prices))
    progress.say("drawing")
    sections = _sections(subjects, beside, neurons, command)
    _distinct(sections)
    plots = [plot for section in sections for plot in section.plots]
    subtitle = ", ".join(subject.name for subject in subjects) + f" on {subjects[0].config.data}"
    html = page("neuroprompt report", subtitle, sections, f"{folder.name}/", neuroprompt.__version__)
    with whole_folder(folder, replaces=MEASURED) as inside:
        for plot in progress.track(plots, "figures"):
            for name, data in plot.files().items():
                (inside / name).write_bytes(data)
        (inside / MEASURED).write_bytes(kept.bytes())
    write_whole(out, html.encode())
    missing = {section.name: tuple(section.missing) for section in sections if section.missing}
    return Report(out, folder, tuple(plot.name for plot in plots), missing)


def _priced(subject: Subject, prices: tuple[str, str]) -> EnergyEstimate | str:
    try:
        return cost.price(subject, prices)
    except NeuropromptError as error:
        return str(error)


def _sections(
    subjects: Sequence[Subject], beside: Sequence[str], neurons: Sequence[str], command: Sequence[str]
) -> list[Section]:
    return [
        glance.section(subjects),
        accuracy.section(subjects),
        prompt.section(subjects),
        spikes.section(subjects),
        membranes.section(subjects, neurons),
        fixed.section(subjects),
        cost.section(subjects, beside),
        latency.section(subjects),
        scales.section(subjects),
        provenance.section(subjects, command),
    ]


def _distinct(sections: Sequence[Section]) -> None:
    """No two figures of one name: names of populations may differ in nothing that a file name can hold."""
    seen: Counter[str] = Counter()
    for section in sections:
        for i, part in enumerate(section.parts):
            if isinstance(part, Plot):
                seen[part.name] += 1
                if seen[part.name] > 1:
                    section.parts[i] = replace(part, name=f"{part.name}-{seen[part.name]}")


def _check(out: Path, folder: Path, what: Sequence[Path | str]) -> None:
    """Before an hour's work: raises where the files cannot be written."""
    if out.suffix != ".html":
        raise BadSetting(f"--out {out}", "a name that ends in .html")
    if not what:
        raise BadSetting("nothing to report on", "run folders and bundles")
    if out.is_dir():
        raise CannotWrite(f"{out} is a folder", "a file", "choose another --out")
    if folder.exists() and not (folder / MEASURED).is_file():
        raise CannotWrite(f"{folder} exists and is not ours", "a folder of an earlier report", "choose another --out")
