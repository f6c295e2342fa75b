"""Axes of one look for every figure of the report, in a palette that the colour-blind can tell apart."""

from __future__ import annotations

from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroprompt.report.figures import LINES, new_figure

BLUE, ORANGE, GREEN = LINES[:3]
WIDTH, HEIGHT = 5.0, 3.1
"""Inches: narrow enough that its words can be read where a phone shrinks it."""


def words(text: str) -> str:
    """A user's text for a figure: a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def plain_axes(
    height: float = HEIGHT, width: float = WIDTH, *, grid: Literal["x", "y", "none"] = "y"
) -> tuple[Figure, Axes]:
    """A figure with one pair of axes: no box, and a grid along `grid` where there is one."""
    figure = new_figure(width, height)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    if grid != "none":
        axes.grid(axis=grid, color="#dddddd")
        axes.set_axisbelow(True)
    return figure, axes
