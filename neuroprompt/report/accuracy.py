"""Accuracy under noise, method by method, and the way there through the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuroprompt.report._axes import WIDTH, plain_axes, words
from neuroprompt.report._parts import Note, Plot, Section, Table, absent
from neuroprompt.report._subject import Subject
from neuroprompt.report.figures import LINES, MARKERS, draw_curves

LEAD = (
    "Share of test images that get their right class. Noise is added to the image in [0, 1], before normalisation; "
    "it depends on the seed and the image's place alone, so every method meets the same."
)
MANY = 24
"""So many accuracies of one method are drawn each for itself."""


def section(subjects: Sequence[Subject]) -> Section:
    """Curves and a table of all subjects, and the course of their training."""
    made = Section("accuracy", "Accuracy under noise", LEAD)
    found = {s.name: s.measured["accuracy"] for s in subjects}
    figures = {name: figure for name, figure in found.items() if not isinstance(figure, str)}
    if figures:
        made.parts += [_curves(figures), _table(figures)]
    courses = {s.name: s.metrics["history"] for s in subjects if s.metrics.get("history")}
    if courses:
        made.parts.insert(1 if figures else 0, _training(courses))
    made.parts += absent({name: of for name, of in found.items() if isinstance(of, str)})
    without = [s.name for s in subjects if s.name not in courses]
    if without:
        text = f"The course of training of {', '.join(without)} stands in its run folder, which was not given."
        made.parts.append(Note(text, missing=True))
    return made


def _all(found: dict[str, Any]) -> dict[str, float]:
    return {"clean": found["clean"], **found["noise"]}


def _few(found: dict[str, Any]) -> dict[str, float]:
    """What fits into a figure: of many corruptions, the means of their types."""
    if len(_all(found)) <= MANY:
        return _all(found)
    types = found.get("corruption", {}).get("types", {})
    others = {noise: value for noise, value in _all(found).items() if noise.partition(":")[0] not in types}
    return {**others, **types}


def _curves(found: dict[str, Any]) -> Plot:
    curves = {words(name): _few(of) for name, of in found.items()}
    count = max(map(len, curves.values()))
    figure, axes = plain_axes(3.8, max(WIDTH, 0.32 * count))
    draw_curves(axes, curves)
    _legend_above(figure, axes)
    rows = [(name, noise, value) for name, of in found.items() for noise, value in _few(of).items()]
    images = next(iter(found.values()))["images"]
    caption = f"Accuracy on {images:,} test images, clean and under noise; lines join the levels of one noise."
    if any(len(_all(of)) > MANY for of in found.values()):
        caption = f"Accuracy on {images:,} test images; of each type of corruption the mean over its severities."
    return Plot("accuracy-under-noise", figure, caption, ("method", "noise", "accuracy"), rows)


def _table(found: dict[str, Any]) -> Table:
    noises = list(dict.fromkeys(noise for of in found.values() for noise in _all(of)))
    rows = [(noise.replace(":", " "), *(_percent(_all(of).get(noise)) for of in found.values())) for noise in noises]
    return Table("Accuracy on test images", ("noise", *found), rows)


def _training(courses: dict[str, list[dict[str, float]]]) -> Plot:
    figure, axes = plain_axes(3.8)
    rows = []
    for i, (name, history) in enumerate(courses.items()):
        epochs, values = [h["epoch"] for h in history], [100 * h["val_accuracy"] for h in history]
        look = {"color": LINES[i % len(LINES)], "marker": MARKERS[i % len(MARKERS)], "markersize": 5}
        axes.plot(epochs, values, label=words(name), **look)  # type: ignore[arg-type]
        rows += [(name, h["epoch"], h["val_accuracy"], h["train_loss"]) for h in history]
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy on validation images (%)")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_title("Course of training", fontsize=11)
    axes.legend()
    _legend_above(figure, axes)
    caption = "Accuracy on the validation images after every epoch."
    return Plot("training", figure, caption, ("method", "epoch", "validation accuracy", "training loss"), rows)


def _legend_above(figure: Figure, axes: Axes) -> None:
    """The legend where it hides no point."""
    handles, labels = axes.get_legend_handles_labels()
    axes.get_legend().remove()  # type: ignore[union-attr]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
