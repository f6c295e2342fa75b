"""The figure of a sweep: accuracies with their intervals, and below them the differences of pairs."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from neuroprompt.report.figures import LINES, MARKERS, new_figure, rendered
from neuroprompt.sweeps.result import Pair, Sweep

MOST = 40
"""Rows of each part; more would not be read."""

INCHES = 0.08
"""The width of a character, about."""

Bar = tuple[float, float | None, float | None]
"""A mean with the ends of its interval."""


def drawn(sweep: Sweep) -> bytes:
    """An SVG's bytes; a metric has its own colour and marker, and no line where one seed has no interval."""
    rows = sweep.table[:MOST]
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.accuracy))
    accuracies = {
        metric: {row.name: (m.mean, m.low, m.high) for row in rows for m in [row.means[metric]]} for metric in metrics
    }
    names = list(dict.fromkeys(_of(pair) for pair in sweep.pairs))[:MOST]
    pairs = {metric: {_of(p): (p.mean, p.low, p.high) for p in sweep.pairs if p.metric == metric} for metric in metrics}
    parts = [len(rows), *([len(names)] if names else [])]
    longest = max(len(line) for name in (*names, *(row.name for row in rows)) for line in name.split("\n"))
    figure = new_figure(7.0 + INCHES * longest, 1.6 * len(parts) + 0.5 * sum(parts))
    axes = figure.subplots(len(parts), 1, squeeze=False, height_ratios=[2 + part for part in parts])[:, 0]
    _draw(axes[0], [row.name for row in rows], accuracies)
    axes[0].set_xlabel("accuracy on test images (%), mean and 95 % interval over seeds")
    if len(metrics) > 1:
        axes[0].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    if names:
        _draw(axes[1], names, pairs)
        axes[1].axvline(0, color="#888888", linewidth=1)
        axes[1].set_xlabel("difference (points), mean and 95 % interval, paired by seed")
    return rendered(figure, "svg")


def _of(pair: Pair) -> str:
    return f"{pair.a}\n- {pair.b}"


def _draw(axes: Axes, names: Sequence[str], of: dict[str, dict[str, Bar]]) -> None:
    step = 0.7 / len(of)
    for i, (metric, bars) in enumerate(of.items()):
        colour, marker = LINES[i % len(LINES)], MARKERS[i % len(MARKERS)]
        for row, name in enumerate(names):
            if name not in bars:
                continue
            mean, low, high = bars[name]
            y = row + (i - (len(of) - 1) / 2) * step
            label = metric if row == 0 else None
            axes.plot([100 * mean], [y], marker=marker, color=colour, markersize=5, linestyle="none", label=label)
            if low is not None and high is not None:
                axes.plot([100 * low, 100 * high], [y, y], color=colour, linewidth=1.5)
    axes.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
