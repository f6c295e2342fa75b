"""Time of an image: the baked graph beside the naive one, the bare backbone and PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuroprompt.report._axes import plain_axes
from neuroprompt.report._parts import Plot, Section, Table, absent, slug
from neuroprompt.report._subject import Subject

LEAD = (
    "Milliseconds of one run, measured in turn on the machine that made this report; only ratios within one run count. "
    "bare: timm's own graph without a prompt. naive: with the prompt as ordinary tokens. baked: what is deployed. "
    "lean: the bare backbone in the baked one's form."
)
COLOURS = {"baked": "#0072B2", "naive": "#D55E00", "bare": "#009E73", "lean": "#56B4E9", "pytorch": "#999999"}


def section(subjects: Sequence[Subject]) -> Section:
    """Bars for every subject with an ONNX bundle, and the ratios."""
    made = Section("latency", "Latency", LEAD)
    found = {s.name: s.measured["latency"] for s in subjects}
    timed = {name: of for name, of in found.items() if not isinstance(of, str)}
    made.parts += [_bars(name, of) for name, of in timed.items()]
    if timed:
        made.parts.append(_ratios(timed))
    made.parts += absent({name: of for name, of in found.items() if isinstance(of, str)})
    return made


def _bars(name: str, timed: dict[str, Any]) -> Plot:
    order = [form for form in COLOURS if form in timed["ms"]]
    figure, axes = plain_axes(2.9, grid="x")
    values = [timed["ms"][form] for form in order]
    around = [timed["ms_quartiles"][form] for form in order]
    whiskers = [
        [max(0.0, value - low) for value, (low, _) in zip(values, around, strict=True)],
        [max(0.0, high - value) for value, (_, high) in zip(values, around, strict=True)],
    ]
    colours = [COLOURS[form] for form in order]
    axes.barh(order, values, xerr=whiskers, color=colours, height=0.65, error_kw={"ecolor": "#777777", "capsize": 3})
    axes.invert_yaxis()
    axes.set_xlim(0)
    axes.set_xlabel(f"ms a run (batch {timed['batch']}, {timed['threads']} threads)")
    axes.set_title("Median; whiskers: the middle half", fontsize=11)
    rows = [(form, value, *part) for form, value, part in zip(order, values, around, strict=True)]
    caption = f"{name}: time of a run in {timed['rounds']} rounds, each of which ran all forms."
    columns = ("graph", "ms median", "ms first quartile", "ms third quartile")
    return Plot(f"latency-{slug(name)}", figure, caption, columns, rows)


def _ratios(timed: dict[str, dict[str, Any]]) -> Table:
    pairs = list(next(iter(timed.values()))["ratio"])
    rows: list[tuple[object, ...]] = []
    for pair in pairs:
        cells = []
        for of in timed.values():
            low, high = of["ratio_quartiles"][pair]
            cells.append(f"{of['ratio'][pair]:.3f} ({low:.3f} to {high:.3f})")
        rows.append((pair.replace("_", " "), *cells))
    rows.append(("largest difference, baked against PyTorch", *(f"{of['max_abs_diff']:.1e}" for of in timed.values())))
    return Table("Ratios of times, and the middle half", ("ratio", *timed), rows)
