"""Accuracy under noise, method by method, and the course of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from neuroprompt.report._axes import WIDTH, plain_axes, words
from neuroprompt.report._parts import Note, Plot, Section, Table, absent
from neuroprompt.report._subject import Subject
from neuroprompt.report.figures import LINES, MARKERS, draw_curves
from neuroprompt.training.accuracy import Accuracy
from neuroprompt.training.metrics import Epoch

LEAD = (
    "The share of test images that are classified correctly. Noise is added to the image in [0, 1], before "
    "normalisation. It depends only on the seed and on the image's place in the split, so every method sees the same."
)
MANY = 24
"""Up to this many accuracies of one method are drawn one by one."""


def section(subjects: Sequence[Subject]) -> Section:
    """Curves and a table of all subjects, and the course of their training."""
    chapter = Section("accuracy", "Accuracy under noise", LEAD)
    results = {s.name: s.measured.accuracy for s in subjects}
    measured = {name: result for name, result in results.items() if not isinstance(result, str)}
    if measured:
        chapter.parts.append(_curves(measured))
    courses = {s.name: _history(s) for s in subjects if _history(s)}
    if courses:
        chapter.parts.append(_training(courses))
    if measured:
        chapter.parts.append(_table(measured))
    chapter.parts += absent({name: why for name, why in results.items() if isinstance(why, str)})
    without = [s.name for s in subjects if s.name not in courses]
    if without:
        text = f"{', '.join(without)}: the course of training is in the run folder, which was not given."
        chapter.parts.append(Note(text, missing=True))
    return chapter


def _history(subject: Subject) -> tuple[Epoch, ...]:
    """The epochs whose validation accuracy is known; only a run folder has all of them."""
    metrics = subject.metrics if subject.run is not None else None
    return tuple(epoch for epoch in metrics.history if epoch.val_accuracy is not None) if metrics else ()


def _all(accuracy: Accuracy) -> dict[str, float]:
    return {"clean": accuracy.clean, **accuracy.noise}


def _few(accuracy: Accuracy) -> dict[str, float]:
    """What fits into a figure: of many corruptions, the means of their types."""
    if len(_all(accuracy)) <= MANY or accuracy.corruption is None:
        return _all(accuracy)
    types = accuracy.corruption.types
    others = {noise: value for noise, value in _all(accuracy).items() if noise.partition(":")[0] not in types}
    return {**others, **types}


def _curves(measured: Mapping[str, Accuracy]) -> Plot:
    curves = {words(name): _few(accuracy) for name, accuracy in measured.items()}
    count = max(map(len, curves.values()))
    figure, axes = plain_axes(3.8, max(WIDTH, 0.32 * count))
    draw_curves(axes, curves)
    _legend_below(figure, axes)
    rows = [(name, noise, value) for name, accuracy in measured.items() for noise, value in _few(accuracy).items()]
    images = next(iter(measured.values())).images
    caption = f"Accuracy on {images:,} test images, clean and under noise; lines join the levels of one noise."
    if any(len(_all(accuracy)) > MANY for accuracy in measured.values()):
        caption = f"Accuracy on {images:,} test images; for each type of corruption the mean over its severities."
    return Plot("accuracy-under-noise", figure, caption, ("method", "noise", "accuracy"), rows)


def _table(measured: Mapping[str, Accuracy]) -> Table:
    noises = list(dict.fromkeys(noise for accuracy in measured.values() for noise in _all(accuracy)))
    rows = [(n.replace(":", " "), *(_percent(_all(accuracy).get(n)) for accuracy in measured.values())) for n in noises]
    return Table("Accuracy on test images", ("noise", *measured), rows)


def _training(courses: Mapping[str, Sequence[Epoch]]) -> Plot:
    figure, axes = plain_axes(3.8)
    rows = []
    for i, (name, history) in enumerate(courses.items()):
        epochs, values = [e.epoch for e in history], [100 * (e.val_accuracy or 0.0) for e in history]
        colour, marker = LINES[i % len(LINES)], MARKERS[i % len(MARKERS)]
        axes.plot(epochs, values, label=words(name), color=colour, marker=marker, markersize=5)
        rows += [(name, e.epoch, e.val_accuracy, e.train_loss) for e in history]
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy on validation images (%)")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_title("Course of training", fontsize=11)
    axes.legend()
    _legend_below(figure, axes)
    caption = "Accuracy on the validation images after every epoch."
    return Plot("training", figure, caption, ("method", "epoch", "validation accuracy", "training loss"), rows)


def _legend_below(figure: Figure, axes: Axes) -> None:
    """The legend below the axes, where it hides no point."""
    handles, labels = axes.get_legend_handles_labels()
    axes.get_legend().remove()  # type: ignore[union-attr]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
