"""Float against fixed: which spikes the integers change, and every target against the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from neuroprompt.errors import NeuropromptError
from neuroprompt.report._axes import BLUE, ORANGE, plain_axes
from neuroprompt.report._parts import Plot, Section, Table, absent, slug
from neuroprompt.report._subject import Spiking, Subject
from neuroprompt.report.figures import INK, PAPER, Array, spread
from neuroprompt.simulators.compare import Mismatch, NodeAgreement, compare
from neuroprompt.simulators.verify import Verification

LEAD = (
    "The same run in float, as trained, and in the chip's integers, compared at every step of every neuron; and every "
    "available target against the plain reference."
)
NEURONS = 60
KINDS = ("neither", "both", "float alone", "fixed alone")


def section(subjects: Sequence[Subject]) -> Section:
    """A figure of both for every subject, and the table of all targets."""
    chapter = Section("float-fixed", "Float against fixed", LEAD)
    tables: list[Table] = []
    missing: dict[str, str] = {}
    for subject in subjects:
        try:
            spiking = subject.spiking
            if spiking.fixed is None:
                missing[subject.name] = str(spiking.model.quantisation_error)
            else:
                chapter.parts += _both(subject.name, spiking)
        except NeuropromptError as error:
            missing[subject.name] = str(error)
            continue
        verified = subject.measured.verification
        if isinstance(verified, str):
            missing[subject.name] = verified
        else:
            tables.append(_targets(subject.name, verified))
    chapter.parts += [*tables, *absent(missing)]
    return chapter


def _both(name: str, spiking: Spiking) -> list[Plot]:
    assert spiking.fixed is not None
    agreement = compare(spiking.floats, spiking.fixed)
    return [
        _figure(name, node, spiking, agreement.nodes[node]) for node in spiking.floats.spikes if node in agreement.nodes
    ]


def _figure(name: str, node: str, spiking: Spiking, agreement: NodeAgreement) -> Plot:
    assert spiking.fixed is not None
    floats, fixed = (r.spikes[node].astype(bool) for r in (spiking.floats, spiking.fixed))
    first = agreement.first_mismatch
    shown = _shown(floats, fixed, first)
    kinds = np.where(floats & fixed, 1, 2 * (floats & ~fixed) + 3 * (fixed & ~floats))[:, shown]
    figure, axes = plain_axes(3.6, grid="none")
    steps = len(kinds)
    colours = ListedColormap([PAPER, INK, ORANGE, BLUE])
    extent = (0.5, steps + 0.5, len(shown) - 0.5, -0.5)
    axes.imshow(kinds.T, cmap=colours, vmin=0, vmax=3, aspect="auto", extent=extent, interpolation="nearest")
    if first is not None:
        where = (first.step + 1, int(np.flatnonzero(shown == first.neuron)[0]))
        axes.plot(*where, "o", markersize=14, markerfacecolor="none", markeredgecolor="#CC0000", markeredgewidth=2)
    at = np.unique(np.linspace(0, len(shown) - 1, min(len(shown), 6)).round().astype(int))
    axes.set_yticks(at, [f"{shown[i]:,}" for i in at])
    if steps <= 12:
        axes.set_xticks(range(1, steps + 1))
    axes.set_xlabel("time step")
    axes.set_ylabel(f"neuron ({len(shown)} of {floats.shape[1]:,} shown)")
    axes.set_title(f"{agreement.spike_exact:.4%} matching (step, neuron) entries", fontsize=11)
    keys = [Patch(facecolor=c, label=k) for c, k in zip((INK, ORANGE, BLUE), KINDS[1:], strict=True)]
    figure.legend(handles=keys, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    rows = [(int(step) + 1, int(shown[i]), KINDS[kinds[step, i]]) for step, i in zip(*kinds.nonzero(), strict=True)]
    caption = f"{name}, population {node!r}: spikes of float and fixed. {_first(first)}"
    return Plot(f"float-fixed-{slug(name)}-{slug(node)}", figure, caption, ("step", "neuron", "spikes in"), rows)


def _shown(floats: Array, fixed: Array, first: Mismatch | None) -> Array:
    """Neurons spread evenly; where some differ, those, and as many others."""
    count = floats.shape[1]
    if first is None:
        return spread(count, NEURONS)
    unequal = np.flatnonzero((floats != fixed).any(axis=0))
    picked = {
        first.neuron,
        *unequal[spread(len(unequal), NEURONS // 2)].tolist(),
        *spread(count, NEURONS // 2).tolist(),
    }
    return np.array(sorted(picked))


def _first(first: Mismatch | None) -> str:
    if first is None:
        return "All entries match."
    return f"The first mismatch (ringed) is neuron {first.neuron} in step {first.step + 1}."


def _targets(name: str, verified: Verification) -> Table:
    rows: list[tuple[object, ...]] = [
        (
            target,
            f"{agreement.spike_exact:.4%}",
            f"{agreement.jaccard:.4f}",
            f"{agreement.spikes:,}",
            _where(agreement.first_mismatch),
            agreement.cause or "",
        )
        for target, agreement in verified.targets.items()
    ]
    for what, reasons in (("not run", verified.skipped), ("failed", verified.failed)):
        rows += [(target, "-", "-", "-", "-", f"{what}: {why}") for target, why in reasons.items()]
    title = f"{name}: targets against the reference ({verified.reference.spikes:,} spikes)"
    return Table(title, ("target", "matching entries", "Jaccard", "spikes", "first mismatch", "why"), rows)


def _where(first: Mismatch | None) -> str:
    return "none" if first is None else f"{first.node}, step {first.step + 1}, neuron {first.neuron}"
