"""The learning curve of a run: loss and validation accuracy after every epoch, as an SVG in the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from neuroprompt.files import write_whole
from neuroprompt.report.figures import LINES, new_figure, rendered
from neuroprompt.training.metrics import Epoch

COURSE = "learning-curve.svg"


def draw_course(history: Sequence[Epoch], file: Path) -> None:
    """Draw the mean training loss (left) and the validation accuracy in per cent (right) of every epoch.

    Nothing is drawn of a run without an epoch. Raises CannotWrite.
    """
    if not history:
        return
    figure = new_figure(6.4, 3.6)
    left = figure.add_subplot()
    epochs = [epoch.epoch for epoch in history]
    left.plot(epochs, [epoch.train_loss for epoch in history], color=LINES[0], marker="o", markersize=3)
    left.set_xlabel("epoch")
    left.set_ylabel("training loss", color=LINES[0])
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    measured = [epoch for epoch in history if epoch.val_accuracy is not None]
    if measured:
        right = left.twinx()
        values = [100 * (epoch.val_accuracy or 0.0) for epoch in measured]
        right.plot([epoch.epoch for epoch in measured], values, color=LINES[1], marker="s", markersize=3)
        right.set_ylabel("validation accuracy (%)", color=LINES[1])
    drawn = rendered(figure, "svg")
    if not (file.is_file() and file.read_bytes() == drawn):  # a finished run is left as it is
        write_whole(file, drawn)
