"""What a run does, as counts, and what that would cost at published prices, in three lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuroprompt.counts import activities
from neuroprompt.errors import NeuropromptError
from neuroprompt.pricing import NOTE, energy, si
from neuroprompt.report._axes import BLUE, GREEN, ORANGE, plain_axes
from neuroprompt.report._parts import Note, Plot, Section, Table, absent, slug
from neuroprompt.report._subject import Subject

LEAD = (
    f"{NOTE}: exact counts of one run of the spiking part and of one picture through the backbone, times published "
    "prices. A baked prompt's generator runs once, at deployment."
)
PARTS = {"generator": BLUE, "backbone": ORANGE, "total": GREEN}


def section(subjects: Sequence[Subject], prices: tuple[str, str]) -> Section:
    """Counts, bars and what the prices leave out, for every subject with a bundle; `prices` of generator, backbone."""
    made = Section("energy", "Counts and energy", LEAD)
    priced: dict[str, dict[str, Any]] = {}
    missing = {}
    for subject in subjects:
        if subject.bundle is None:
            missing[subject.name] = "what is counted is a bundle of 'neuroprompt export', and none was given"
            continue
        try:
            generator, backbone = activities(subject.bundle)
            baked = not subject.bundle.about.get("per_image", False)
            priced[subject.name] = energy(generator, backbone, *prices, baked=baked)
        except NeuropromptError as error:
            missing[subject.name] = str(error)
        subject.measured["energy"] = priced.get(subject.name)
    made.parts += [_bars(name, of) for name, of in priced.items()]
    made.parts += [_counts(name, of) for name, of in priced.items()]
    made.parts += [Note(text) for text in dict.fromkeys(t for of in priced.values() for t in _left_out(of))]
    made.parts += absent(missing)
    return made


def _bars(name: str, priced: dict[str, Any]) -> Plot:
    figure, axes = plain_axes(2.7, grid="x")
    rows: list[tuple[object, ...]] = []
    ticks = []
    for place, (part, colour) in enumerate(PARTS.items()):
        line = priced[part]
        joules, (low, high) = line["joules"], _range(line)
        rows.append((part, joules, low, high, line["joules_per_deployment"], line["joules_per_image"]))
        ticks.append(f"{part}\n{line.get('prices', '')}".strip())
        if joules:
            whiskers = [[joules - low], [high - joules]] if high > low else None
            axes.barh(
                place, joules, color=colour, height=0.6, xerr=whiskers, error_kw={"ecolor": "#777777", "capsize": 3}
            )
            axes.text(high, place, f"  {si(joules)}", va="center", fontsize=9)
        else:
            axes.text(
                0.02, place, "none" if joules == 0 else "no sum", va="center", transform=axes.get_yaxis_transform()
            )
    drawn = [row[1] for row in rows if row[1]]
    if drawn:
        axes.set_xscale("log")
        axes.set_xlim(min(drawn) / 10, max(drawn) * 30)  # type: ignore[type-var, operator]
    axes.set_yticks(range(len(PARTS)), ticks)
    axes.invert_yaxis()
    axes.set_xlabel("joules a run (log)")
    axes.set_title(NOTE, fontsize=11)
    often = "once, at deployment" if priced["baked"] else "for every picture"
    caption = f"{name}: {NOTE.lower()}. The generator runs {often}, the backbone for every picture."
    columns = ("part", "joules", "low", "high", "joules per deployment", "joules per image")
    return Plot(f"energy-{slug(name)}", figure, caption, columns, rows)


def _range(line: dict[str, Any]) -> tuple[float, float]:
    joules = line["joules"] or 0.0
    low, high = line.get("range") or (joules, joules)
    return low, high


def _counts(name: str, priced: dict[str, Any]) -> Table:
    generator, backbone = priced["generator"]["counts"], priced["backbone"]["counts"]
    rows: list[tuple[object, ...]] = [
        (key.replace("_", " "), f"{generator[key]:,}", f"{backbone.get(key, 0):,}")
        for key in generator
        if generator[key] or backbone.get(key)
    ]
    for key in ("joules_per_deployment", "joules_per_image"):
        rows.append(
            (key.replace("joules", "energy").replace("_", " "), *(si(priced[p][key]) for p in PARTS if p != "total"))
        )
    return Table(f"{name}: counts of one run", ("", "generator", "backbone"), rows)


def _left_out(priced: dict[str, Any]) -> list[str]:
    return [
        f"{priced[part]['title']} ({priced[part]['scope']}, {priced[part]['evidence']}) leaves out: "
        f"{priced[part]['leaves_out']}."
        for part in ("generator", "backbone")
        if priced[part]["joules"]
    ]
