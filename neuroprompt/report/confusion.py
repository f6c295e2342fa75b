"""A figure of which classes a run of a data set takes for which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neuroprompt.files import write_whole
from neuroprompt.report.figures import new_figure, rendered
from neuroprompt.report.verify_figure import FORMS

MOST_NUMBERS = 20
"""Classes up to which the counts are written into the cells."""


def draw_confusion(counts: NDArray[np.int64], file: Path) -> None:
    """Draw items by label (rows) and predicted class (columns) to a `.png` or `.svg`; raises CannotWrite.

    Shades are shares of a row: dark on the diagonal is right.
    """
    classes = len(counts)
    side = 2.2 + 0.32 * min(classes, MOST_NUMBERS)
    figure = new_figure(side, side)
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    if classes <= MOST_NUMBERS:
        for (label, predicted), count in np.ndenumerate(counts):
            if count:
                ink = "white" if share[label, predicted] > 0.5 else "black"
                axes.text(predicted, label, f"{count:,}", ha="center", va="center", fontsize=7, color=ink)
        axes.set_xticks(range(classes))
        axes.set_yticks(range(classes))
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("label")
    axes.set_title(f"{np.trace(counts) / max(1, counts.sum()):.2%} of {counts.sum():,} items right", loc="left")
    write_whole(file, rendered(figure, FORMS[file.suffix]))
