"""Figures of a run: the prompt's bits, the generator's spikes, accuracy under noise; rendered as PNG or SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from neuroprompt.errors import BadData, BadSetting
from neuroprompt.interrupts import uninterrupted

Array = NDArray[Any]
Curves = Mapping[str, Mapping[str, float]]
"""Accuracy in [0, 1] by method, then by noise: {"spike-nvpt": {"clean": 0.95, "gaussian:0.1": 0.9}}."""

DPI, RENDERED = 100, 160
INK, PAPER = "#0b3c5d", "#f4f1ea"
# Okabe and Ito's palette, which the colour-blind can tell apart. One marker more than colours: 56 different lines.
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^Dv<>P"


def draw_bits(axes: Axes, tokens: Array) -> None:
    """Binary prompt tokens (L, N, D), 0 or one scale per block: rows are tokens, columns channels. Raises BadData."""
    tokens = np.asarray(tokens)
    if tokens.ndim != 3 or not tokens.size or not np.isfinite(tokens).all():
        raise BadData(f"prompt tokens of shape {tokens.shape}", "finite values, (blocks, tokens, channels)")
    ones = tokens != 0
    for block, bits in zip(tokens, ones, strict=True):
        if np.unique(block[bits]).size > 1:
            raise BadData("prompt tokens that are not bits", "0 and one other value in each block")
    blocks, count, width = tokens.shape
    _cells(axes, ones.reshape(blocks * count, width))
    for block in range(1, blocks):
        axes.axhline(block * count - 0.5, color=LINES[1], linewidth=0.8)
    shown = range(0, blocks, max(1, -(-blocks // 12)))
    axes.set_yticks([block * count + (count - 1) / 2 for block in shown], [str(block) for block in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("channel")
    axes.set_ylabel(f"block ({count} token{'s' * (count > 1)} each)")
    _title(axes, f"{tokens.size:,} prompt bits, {ones.mean():.1%} ones (dark)")


def draw_raster(axes: Axes, spikes: Array, max_neurons: int = 60) -> None:
    """Spikes (T, n), true or 1 where a neuron spiked, of at most `max_neurons` neurons spread evenly over the n.

    Raises BadData where they are not spikes, BadSetting.
    """
    spikes = np.asarray(spikes)
    if max_neurons < 1:
        raise BadSetting(f"max_neurons {max_neurons}", "at least 1")
    if spikes.ndim != 2 or not spikes.size or not np.isin(spikes, (0, 1)).all():
        raise BadData(f"spikes of shape {spikes.shape}", "0 and 1, of shape (steps, neurons)")
    steps, neurons = spikes.shape
    shown = spread(neurons, max_neurons)
    _cells(axes, spikes[:, shown].T, first=1)
    # White gaps separate spikes that are side by side, where there is room for them.
    for step in range(1, steps if steps <= 50 else 0):
        axes.axvline(step + 0.5, color="white", linewidth=6 if steps <= 12 else 1)
    for neuron in range(1, len(shown) if len(shown) <= 100 else 0):
        axes.axhline(neuron - 0.5, color="white", linewidth=0.7)
    at = np.unique(np.linspace(0, len(shown) - 1, min(len(shown), 6)).round().astype(int))
    axes.set_yticks(at, [f"{shown[i]:,}" for i in at])
    if steps <= 12:
        axes.set_xticks(range(1, steps + 1))
    axes.set_xlabel("time step")
    axes.set_ylabel("neuron" if len(shown) == neurons else f"neuron ({len(shown)} of {neurons:,} shown)")
    _title(axes, f"Spikes (dark): {spikes.mean():.1%} of neuron-steps")


def draw_curves(axes: Axes, accuracy: Curves) -> None:
    """The accuracy of each method on clean images and under each noise; levels of one noise are joined by a line.

    Noises are named kind:level, and drawn in the order given. Raises BadData.
    """
    noises = list(dict.fromkeys(noise for curve in accuracy.values() for noise in curve))
    if not noises:
        raise BadData("no accuracy to draw", "at least one method with at least one")
    for method, curve in accuracy.items():
        for noise, value in curve.items():
            if not 0 <= value <= 1:
                raise BadData(f"accuracy {value} of {method} under {noise}", "a number from 0 to 1")
    kinds = list(dict.fromkeys(_kind(noise) for noise in noises))
    noises.sort(key=lambda noise: kinds.index(_kind(noise)))
    # One step from level to level, and half a step more between two kinds of noise.
    place = {noise: i + kinds.index(_kind(noise)) / 2 for i, noise in enumerate(noises)}
    for i, (method, curve) in enumerate(accuracy.items()):
        colour, marker = LINES[i % len(LINES)], MARKERS[i % len(MARKERS)]
        for j, kind in enumerate(kinds):
            drawn = [noise for noise in noises if _kind(noise) == kind and noise in curve]
            label = method if j == 0 else None
            x, y = [place[noise] for noise in drawn], [100 * curve[noise] for noise in drawn]
            axes.plot(x, y, color=colour, marker=marker, label=label, linewidth=1.8)
    axes.set_xticks(list(place.values()), [noise.replace(":", " ") for noise in noises], rotation=40, ha="right")
    axes.set_xlim(-0.5, max(place.values()) + 0.5)
    axes.set_ylabel("accuracy on test images (%)")
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.grid(axis="y", color="#dddddd")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    _title(axes, "Accuracy under noise")


def spread(count: int, most: int) -> Array:
    """Indices of at most `most` of `count` things, spread evenly."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=11)


def _kind(noise: str) -> str:
    return noise.partition(":")[0]


def _cells(axes: Axes, on: Array, first: int = 0) -> None:
    """Draw a table of 0 and 1 as cells, dark where 1, shades where cells share a pixel; columns count from `first`."""
    rows, columns = on.shape
    extent = (first - 0.5, first + columns - 0.5, rows - 0.5, -0.5)
    axes.imshow(on.astype(float), cmap=ListedColormap([PAPER, INK]), vmin=0, vmax=1, aspect="auto", extent=extent)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    # Not pyplot: its figures are global, and stay in memory.
    return Figure(figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08))


def rendered(figure: Figure, form: Literal["png", "svg"], *, see_through: bool = False) -> bytes:
    """The figure as a PNG or SVG file's bytes, the same every time; text in an SVG stays text."""
    drawn = io.BytesIO()
    undated: Any = {"Date": None} if form == "svg" else None
    # matplotlib's compiled code makes a TypeError of Ctrl-C.
    with uninterrupted(), rc_context({"svg.fonttype": "none", "svg.hashsalt": "neuroprompt"}):
        figure.savefig(
            drawn,
            format=form,
            dpi=RENDERED,
            metadata=undated,
            transparent=see_through,
            facecolor="none" if see_through else "white",
        )
    return drawn.getvalue()
