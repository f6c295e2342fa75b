"""A figure of a verification: the reference's spikes, and how every target agrees, node by node."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from neuroprompt.files import write_whole
from neuroprompt.report.figures import draw_raster, new_figure, rendered
from neuroprompt.simulators.verify import REFERENCE, TargetAgreement, Verification

FORMS: dict[str, Literal["png", "svg"]] = {".png": "png", ".svg": "svg"}
MOST_NODES, MOST_STEPS = 12, 1000


def draw_verified(
    result: Verification, file: Path, ways: Mapping[str, Mapping[str, float]] = MappingProxyType({})
) -> None:
    """Draw to a `.png` or `.svg`, whole or not at all: the reference's last node that fires, and the matrix of targets.

    A cell of the matrix is the share of matching (step, neuron) entries; below 1 also the first step that differs. With
    `ways` (`neuroprompt.simulators.ways`) the Jaccard index of each layer comes below, a line for every way.
    Raises CannotWrite.
    """
    right = result.recordings[REFERENCE]
    nodes = list(right.spikes)[-MOST_NODES:]
    targets = list(result.targets)
    heights = [3.0, 0.34 * max(len(targets), 2) + 0.4, *([2.6] if ways else [])]
    figure = new_figure(10.0, sum(heights))
    raster, matrix, *below = figure.subplots(len(heights), 1, height_ratios=heights)
    for axes in below:
        draw_ways(axes, ways)
    if nodes:
        draw_raster(raster, right.spikes[nodes[-1]][:MOST_STEPS])
        raster.set_title("")
        counted = [target.nodes[nodes[-1]].spikes_reference for target in result.targets.values()]
        spikes = counted[0] if counted else int(right.spikes[nodes[-1]].sum())
        raster.set_title(f"reference, {nodes[-1]}: {spikes:,} spikes", loc="left")
    else:
        raster.set_axis_off()
    if targets and nodes:
        _matrix(matrix, nodes, result.targets)
    else:
        matrix.set_axis_off()
    write_whole(file, rendered(figure, FORMS[file.suffix]))


def draw_ways(axes: Axes, ways: Mapping[str, Mapping[str, float]]) -> None:
    """The Jaccard index with float by layer, a line for every way in which a net becomes integers."""
    for (way, of), marker in zip(ways.items(), cycle("osD^v")):
        axes.plot(list(of), list(of.values()), marker=marker, label=way)
    axes.set_ylim(0, 1.03)
    axes.set_title("Jaccard index with float, by layer", loc="left")
    axes.legend(frameon=False, loc="lower left")
    axes.grid(axis="y", alpha=0.3)


def _matrix(axes: Axes, nodes: list[str], targets: Mapping[str, TargetAgreement]) -> None:
    exact = np.array([[target.nodes[n].spike_exact for n in nodes] for target in targets.values()])
    axes.imshow(exact, cmap="Blues_r", vmin=min(0.9, float(exact.min())), vmax=1.0, aspect="auto")
    for i, target in enumerate(targets.values()):
        for j, node in enumerate(nodes):
            first = target.nodes[node].first_mismatch
            words = "equal" if first is None else f"{exact[i, j]:.2%}, from step {first.step}"
            bright = exact[i, j] > (min(0.9, float(exact.min())) + 1) / 2
            axes.text(j, i, words, ha="center", va="center", fontsize=8, color="black" if bright else "white")
    axes.set_yticks(range(len(targets)), list(targets))
    axes.set_xticks(range(len(nodes)), nodes)
    axes.tick_params(length=0)
    axes.set_title("matching (step, neuron) entries, by target and node", loc="left")
