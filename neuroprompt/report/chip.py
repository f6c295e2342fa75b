"""The chip as a figure: which cores of a Loihi 1 a placed program takes, and how long each is at work."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from neuroprompt.compiler.mapping import IN_A_TILE, WIDTH
from neuroprompt.compiler.pieces import CORES
from neuroprompt.energy.estimate import NOTE
from neuroprompt.energy.on_chip import OnChip
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.files import write_whole
from neuroprompt.report._axes import plain_axes, words
from neuroprompt.report._parts import Plot, slug
from neuroprompt.report.figures import rendered

ROWS = CORES // IN_A_TILE // WIDTH
COLUMNS = (
    "core",
    "column",
    "row",
    "holds",
    "neurons",
    "axons in",
    "axons out",
    "bytes of weights",
    "busy, share of run",
)


def plot(name: str, chip: OnChip) -> Plot:
    """The mesh of tiles, four cores each; a core's colour is the share of the run in which it is at work."""
    placement, time = chip.placement, chip.latency
    share = [busy / time.run_s for busy in time.busy_s]
    figure, axes = plain_axes(2.9, 5.4, grid="none")
    load = np.full((2 * ROWS, 2 * WIDTH), np.nan)
    used: Counter[tuple[int, int]] = Counter()
    rows: list[tuple[object, ...]] = []
    places = [(core.tile, str(i)) for i, core in enumerate(placement.cores)] + [
        (tile, "in") for tile in placement.lines
    ]
    sends = False
    for (tile, label), busy in zip(places, share, strict=False):
        if label == "in" and not busy:  # neurons with currents alone: SANA-FE's net has lines, and they send nothing
            continue
        sends |= label == "in"
        column, row = tile
        within = used[tile]
        used[tile] += 1
        x, y = 2 * column + within % 2, 2 * row + within // 2
        load[y, x] = busy
        axes.text(x, y, label, ha="center", va="center", fontsize=7, color="white" if busy > 0.5 else "black")
        if label != "in":
            core = placement.cores[int(label)]
            what = ", ".join(f"{each} ({first} to {first + n - 1})" for each, (first, n) in core.holds.items())
            rows.append(
                (label, column, row, what, core.neurons, core.in_axons, core.out_axons, core.bytes, f"{busy:.3f}")
            )
        else:
            rows.append((label, column, row, "input lines", 0, 0, "", "", f"{busy:.3f}"))
    shown = axes.imshow(load, vmin=0, vmax=1, cmap="Blues", origin="lower", aspect="equal")
    axes.set_xticks(np.arange(-0.5, 2 * WIDTH, 2), [])
    axes.set_yticks(np.arange(-0.5, 2 * ROWS, 2), [])
    axes.grid(color="#999999")
    axes.tick_params(length=0)
    axes.set_title(words(f"{len(placement.cores)} of {CORES} cores; {NOTE.lower()}"), fontsize=11)
    figure.colorbar(shown, ax=axes, shrink=0.7, label="share of the run at work")
    caption = f"{name}: cores of a Loihi 1, {WIDTH} x {ROWS} tiles of {IN_A_TILE}" + (
        '; "in" sends the input lines.' if sends else "."
    )
    return Plot(f"chip-{slug(name)}", figure, caption, COLUMNS, rows)


def draw(chip: OnChip | str, file: Path, name: str = "") -> None:
    """Write the figure as a .png or .svg; raises Unsupported where there is no such run, BadSetting, CannotWrite."""
    if isinstance(chip, str):
        raise Unsupported(
            chip or "a program of floats, which is no chip's", "a run on a Loihi 1", "--target loihi --precision fixed"
        )
    if file.suffix not in (".png", ".svg"):
        raise BadSetting(f"--chip {file}", "a name that ends in .png or .svg")
    figure = plot(name or file.stem, chip).figure
    write_whole(file, rendered(figure, "svg" if file.suffix == ".svg" else "png"))
