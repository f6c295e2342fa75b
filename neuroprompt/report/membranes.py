"""Potentials of chosen neurons through time, in float and in the chip's integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from neuroprompt.contracts.deployment import Recording
from neuroprompt.errors import BadSetting, NeuropromptError
from neuroprompt.report._axes import BLUE, ORANGE, WIDTH, words
from neuroprompt.report._parts import Plot, Section, absent, slug
from neuroprompt.report._subject import Spiking, Subject
from neuroprompt.report.figures import new_figure
from neuroprompt.spiking.program import Program

LEAD = (
    "Membrane potential after the reset at the end of each step, in the units of training; triangles are spikes, the "
    "dotted line is the threshold. Float is what was trained; fixed is what the chip computes, divided by its scale."
)


def section(subjects: Sequence[Subject], neurons: Sequence[str]) -> Section:
    """Traces of `neurons` (INDEX or NODE:INDEX), or of some with different rates. Raises BadSetting."""
    chapter = Section("membranes", "Membrane potentials", LEAD)
    missing = {}
    for subject in subjects:
        try:
            spiking = subject.spiking
        except NeuropromptError as error:
            missing[subject.name] = str(error)
            continue
        chosen = [_named(spiking, word) for word in neurons] or _typical(spiking)
        chosen = [(node, i) for node, i in chosen if node in spiking.floats.v]
        if chosen:
            chapter.parts.append(_traces(subject.name, spiking, chosen))
        else:
            missing[subject.name] = "the reference gave no potentials"
    chapter.parts += absent(missing)
    return chapter


def check(subjects: Sequence[Subject], neurons: Sequence[str]) -> None:
    """Raises BadSetting for a neuron that some spiking part does not have."""
    for subject in subjects if neurons else ():
        try:
            spiking = subject.spiking
        except NeuropromptError:
            continue
        for word in neurons:
            _named(spiking, word)


def _named(spiking: Spiking, word: str) -> tuple[str, int]:
    spikes = spiking.floats.spikes
    node, _, index = word.rpartition(":")
    node = node or next(iter(spikes))
    if node not in spikes:
        raise BadSetting(f"--neuron {word}", f"a population of {', '.join(spikes)}")
    count = spikes[node].shape[1]
    if not index.isdigit() or int(index) >= count:
        raise BadSetting(f"--neuron {word}", f"a number from 0 to {count - 1} in {node!r}")
    return node, int(index)


def _typical(spiking: Spiking) -> list[tuple[str, int]]:
    """Up to four neurons: of each population the most active, a middling one, and the least active that spikes."""
    chosen = []
    for node, spikes in spiking.floats.spikes.items():
        counts = spikes.sum(axis=0)
        order = np.argsort(counts, kind="stable")
        firing = order[counts[order] > 0]
        picked = [order[-1], firing[len(firing) // 2], firing[0]] if len(firing) else [order[0]]
        chosen += [(node, int(i)) for i in dict.fromkeys(picked)]
    return chosen[:4]


def _traces(name: str, spiking: Spiking, chosen: Sequence[tuple[str, int]]) -> Plot:
    figure = new_figure(WIDTH, 0.7 + 1.35 * len(chosen))
    rows: list[tuple[Any, ...]] = []
    columns = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    sides: list[tuple[str, Recording, str, str, str]] = [("float", spiking.floats, BLUE, "-", "^")]
    if spiking.fixed is not None:
        sides.append(("fixed", spiking.fixed, ORANGE, "--", "v"))
    for axes, (node, i) in zip(columns, chosen, strict=True):
        traces = {}
        for label, recording, colour, line, _ in sides:
            traces[label] = recording.v[node][:, i] / (_unit(spiking, node, i) if label == "fixed" else 1.0)
            steps = np.arange(1, len(traces[label]) + 1)
            axes.plot(steps, traces[label], line, color=colour, label=label, linewidth=1.6)
        threshold = _threshold(spiking.model.float_program, node, i)
        top = max(threshold, *(float(trace.max()) for trace in traces.values()))
        room = (top - min(float(trace.min()) for trace in traces.values())) or 1.0
        for above, (label, recording, colour, _, marker) in enumerate(sides, 1):
            fired = recording.spikes[node][:, i].astype(bool)
            axes.plot(steps[fired], np.full(fired.sum(), top + 0.16 * above * room), marker, color=colour, markersize=5)
            rows += [
                (node, i, label, int(s), float(v), int(f)) for s, v, f in zip(steps, traces[label], fired, strict=True)
            ]
        axes.set_ylim(top - 1.1 * room, top + 0.5 * room)
        axes.axhline(threshold, color="#777777", linewidth=0.8, linestyle=":")
        axes.set_title(words(f"{node}, neuron {i}"), fontsize=9, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
    columns[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True))
    columns[0].legend(frameon=False, fontsize=9, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    columns[-1].set_xlabel("time step")
    figure.supylabel("potential", fontsize=10)
    caption = f"{name}: potentials of {len(chosen)} neurons ({spiking.about})."
    heads = ("population", "neuron", "numbers", "step", "potential", "spike")
    return Plot(f"membranes-{slug(name)}", figure, caption, heads, rows)


def _threshold(program: Program, node: str, i: int) -> float:
    vth = np.asarray(next(p.vth for p in program.populations if p.name == node), dtype=float).reshape(-1)
    return float(vth[i if vth.size > 1 else 0])


def _unit(spiking: Spiking, node: str, i: int) -> float:
    """What one unit of training is in the chip's potentials, which stand 6 bits higher than its thresholds."""
    scale = spiking.model.scale_report.get("populations", {}).get(node, {}).get("scale")
    if scale is None:
        trained = _threshold(spiking.model.float_program, node, i)
        scale = _threshold(spiking.model.fixed_program, node, i) / trained if trained else 1.0
    return 64 * float(scale)
