"""Writes the report: everything is checked, measured and drawn first, and then the files appear whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import neuroprompt
from neuroprompt.energy.toml_prices import price_lists
from neuroprompt.errors import BadSetting, CannotWrite
from neuroprompt.files import whole_folder, write_whole
from neuroprompt.progress import SILENT, Progress
from neuroprompt.report import accuracy, cost, fixed, glance, latency, membranes, prompt, provenance, scales, spikes
from neuroprompt.report._gather import gather
from neuroprompt.report._measured import MEASURED, Kept, check_skip, measure_all
from neuroprompt.report._page import page
from neuroprompt.report._parts import Plot, Section
from neuroprompt.report._subject import Subject
from neuroprompt.robustness.noise import parse_noises

NOISES = ("gaussian:0.1", "gaussian:0.2", "salt-pepper:0.05", "blur:2", "jpeg:25")
ROUNDS = 10
PRICES = ("loihi", "horowitz-45nm-fp32")


def write_report(
    paths: Sequence[Path | str],
    out: Path | str,
    *,
    noises: Sequence[str] = NOISES,
    rounds: int = ROUNDS,
    prices: tuple[str, str] = PRICES,
    beside: Sequence[str] = (),
    neurons: Sequence[str] = (),
    skip: Sequence[str] = (),
    weights: Path | None = None,
    known: Mapping[str, Mapping[str, Any]] | None = None,
    fresh: bool = False,
    command: Sequence[str] = (),
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Write `out` (.html) on run folders and bundles, and NAME_files/ beside it: each figure as PNG, SVG and CSV.

    Run folders and bundles of one training run are one column. `noises`, `rounds` (of the timing), `prices` (of the
    generator, of the backbone), `beside` (other price lists to compare) and `neurons` (INDEX or NODE:INDEX, whose
    potentials are drawn) are as the verbs take them. `skip` names what takes long: accuracy, latency, verify. `known`
    gives what is measured already, by path, then by these names; what an earlier report at `out` measured on the same
    files is taken from there unless `fresh`.

    {"report", "files", "figures": names, "missing": {section: sentences}}. Raises BadSetting where they cannot be
    compared, BadBundle, BadCheckpoint, BadData, UnknownName, CannotWrite.
    """
    out = Path(out)
    folder = out.with_name(f"{out.stem}_files")
    _check(out, folder, paths, noises=noises, skip=skip, prices=(*prices, *beside))
    subjects = gather([Path(path) for path in paths], weights)
    membranes.check(subjects, neurons)
    kept = Kept(folder / MEASURED, fresh)
    _give(subjects, known or {}, kept, noises, rounds)
    measure_all(subjects, kept, noises=noises, rounds=rounds, skip=skip, progress=progress)
    progress.say("drawing")
    sections = _sections(subjects, prices, beside, neurons, command)
    _distinct(sections)
    plots = [plot for section in sections for plot in section.plots]
    title = "neuroprompt report"
    subtitle = ", ".join(subject.name for subject in subjects) + f" on {subjects[0].config.data}"
    html = page(title, subtitle, sections, f"{folder.name}/", neuroprompt.__version__)
    with whole_folder(folder, replaces=MEASURED) as inside:
        for plot in progress.track(plots, "figures"):
            for name, data in plot.files().items():
                (inside / name).write_bytes(data)
        (inside / MEASURED).write_bytes(kept.bytes())
    write_whole(out, html.encode())
    return {
        "report": str(out),
        "files": str(folder),
        "figures": [plot.name for plot in plots],
        "missing": {section.name: section.missing for section in sections if section.missing},
    }


def _sections(
    subjects: Sequence[Subject],
    prices: tuple[str, str],
    beside: Sequence[str],
    neurons: Sequence[str],
    command: Sequence[str],
) -> list[Section]:
    of_cost = cost.section(subjects, prices, beside)  # first, because the table at the top shows it
    return [
        glance.section(subjects),
        accuracy.section(subjects),
        prompt.section(subjects),
        spikes.section(subjects),
        membranes.section(subjects, neurons),
        fixed.section(subjects),
        of_cost,
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


def _check(
    out: Path,
    folder: Path,
    paths: Sequence[Path | str],
    *,
    noises: Sequence[str],
    skip: Sequence[str],
    prices: Sequence[str],
) -> None:
    """Before an hour's work: raises for what will not do."""
    if out.suffix != ".html":
        raise BadSetting(f"--out {out}", "a name that ends in .html")
    if not paths:
        raise BadSetting("nothing to report on", "run folders and bundles")
    if out.is_dir():
        raise CannotWrite(f"{out} is a folder", "a file", "choose another --out")
    if folder.exists() and not (folder / MEASURED).is_file():
        raise CannotWrite(f"{folder} exists and is not ours", "a folder of an earlier report", "choose another --out")
    parse_noises(noises)
    check_skip(skip)
    price_lists(dict.fromkeys(prices))


def _give(
    subjects: Sequence[Subject],
    known: Mapping[str, Mapping[str, Any]],
    kept: Kept,
    noises: Sequence[str],
    rounds: int,
) -> None:
    """Put what is known already to what is kept."""
    keys = {
        "accuracy": f"accuracy {' '.join(str(noise) for noise in parse_noises(noises))}".strip(),
        "latency": f"latency {rounds}",
        "verify": "verify",
    }
    for subject in subjects:
        for place in (subject.run, *(b.folder for b in (subject.onnx, subject.lava) if b)):
            for what, result in known.get(str(place), {}).items():
                kept.values.setdefault(subject.digest, {})[keys[what]] = dict(result)
