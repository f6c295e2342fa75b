"""Estimates, counts and measurements as rows and lines for a person; every table says that it is estimated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from neuroprompt.contracts.deployment import Prices
from neuroprompt.energy.comparison import PriceComparison
from neuroprompt.energy.count_spikes import ProgramCounts
from neuroprompt.energy.effective import EffectiveCounts
from neuroprompt.energy.lines import EnergyEstimate, Line, Total
from neuroprompt.energy.measured import MeasuredEnergy
from neuroprompt.energy.on_chip import PRICES as CHIP_PRICES
from neuroprompt.energy.units import si, spread

if TYPE_CHECKING:
    from neuroprompt.energy.count_bundle import Counts

TITLE = "Energy (estimated, not measured)"
COLUMNS = ("part", "prices", "scope", "evidence", "once", "an image", "range")
MANY = 6
"""So many totals are shown; more are in the JSON alone."""
NODE_TITLE = "Counts by node (mean of the images)"
NODE_COLUMNS = ("node", "neurons", "spikes", "synops", "of dense", "updates", "membrane", "sparsity", "zeros", "bytes")


def rows(estimate: EnergyEstimate) -> list[tuple[str, ...]]:
    """Three rows of a table under COLUMNS, with TITLE; `once` is at deployment."""
    lines = [_row(part, line) for part, line in estimate.parts().items()]
    return [*lines, _total_row(estimate.total)]


def comparison(result: PriceComparison) -> list[tuple[str, ...]]:
    """Rows under COLUMNS: every line of each part, then the totals if they are few."""
    lines = [_row(part, line) for part, lines in result.parts().items() for line in lines]
    totals = result.totals if len(result.totals) <= MANY else ()
    names = [f"{total.generator.prices.name} + {total.backbone.prices.name}" for total in totals]
    return lines + [_total_row(total, name) for total, name in zip(totals, names, strict=True)]


def counted(estimate: EnergyEstimate) -> list[str]:
    """What was counted, a line for each part that has counts."""
    lines = []
    for part, line in estimate.parts().items():
        terms = [f"{count:,} {term.replace('_', ' ')}" for term, count in line.activity.counted()]
        if terms:
            lines.append(f"{part}, one run: {', '.join(terms)}; {si(line.joules)}")
    return lines


def not_priced(estimate: EnergyEstimate) -> list[str]:
    """What was counted and has no price, a line for each part."""
    lines = []
    for part, line in estimate.parts().items():
        terms = [f"{count:,} {term}" for term, count in line.estimate.not_priced.items()]
        if terms:
            lines.append(f"{part}, not priced by {line.prices.name}: {', '.join(terms)} (memory traffic)")
    return lines


def system(estimate: EnergyEstimate) -> str:
    """The generator as a share of the whole, baked and run for every image; "" where one of the two is nothing."""
    generator, backbone, total = estimate.generator, estimate.backbone, estimate.total
    if not generator.joules or not backbone.joules:
        return ""
    if total.share_generator is None:
        return "system: no share, an all-in price cannot be added to prices per term"
    each = f"{si(generator.joules)} of {si(total.joules)} an image, {total.share_generator:.2%}"
    if not estimate.baked:
        return f"system (estimated): the generator runs for every image and takes {each}"
    baked = f"an image costs {si(backbone.joules)}, none of it for the generator, which is baked"
    return f"system (estimated): {baked}; run for every image, the generator would be {each}"


def refused(result: PriceComparison) -> list[str]:
    """Why a list gives no line at all, a line for each."""
    priced = {line.prices.name for lines in result.parts().values() for line in lines}
    reasons = {each.prices: each.reason for each in reversed(result.refused) if each.prices not in priced}
    return [f"no line: {reason}" for reason in reasons.values()]


def left_out(result: EnergyEstimate | PriceComparison) -> list[str]:
    """What each priced line leaves out."""
    lines = []
    for part, of in result.parts().items():
        lines += [
            f"{part}, {line.prices.title}, leaves out: {line.prices.leaves_out}"
            for line in (of if isinstance(of, tuple) else (of,))
            if line.joules
        ]
    return lines


def node_rows(images: Sequence[ProgramCounts]) -> Iterator[tuple[str, ...]]:
    """The generator's counts by node under NODE_COLUMNS, the mean over images."""
    for same in zip(*(image.nodes for image in images), strict=True):
        first, count = same[0], len(same)
        spikes, synops, updates = (
            sum(getattr(node.activity, term) for node in same) / count for term in ("spikes", "synops", "updates")
        )
        dense, zeros = first.activity.synops_dense, first.connection_sparsity
        membrane = [node.membrane_updates for node in same if node.membrane_updates is not None]
        yield (
            first.name,
            f"{first.neurons:,}",
            f"{spikes:,.0f}",
            f"{synops:,.0f}",
            f"{synops / dense:.1%}" if dense else "-",
            f"{updates:,.0f}",
            f"{sum(membrane) / count:,.0f}" if membrane else "-",
            f"{sum(node.activation_sparsity or 0.0 for node in same) / count:.1%}",
            "-" if zeros is None else f"{zeros:.1%}",
            f"{first.footprint:,}",
        )


def measured_line(result: MeasuredEnergy) -> str:
    """What was measured, or why not."""
    if result.joules is None:
        return f"measured: not here; {result.reason}"
    files = ", ".join(f"{name} {si(each.joules)}, {each.watts:.3g} W" for name, each in result.files.items())
    return f"measured (RAPL: the whole package, other programs included): {si(result.joules)} an image; {files}"


def effective_line(result: EffectiveCounts) -> str:
    """How many of the backbone's products have two factors that are not 0."""
    images = "1 image" if result.images == 1 else f"{result.images} images"
    return (
        f"backbone, effective on {images}: {result.macs:,.0f} macs, {result.acs:,.0f} acs of {result.dense:,.0f} "
        f"({result.share:.1%}); a runtime multiplies zeros too, so the energy counts all of them"
    )


def chip_lines(counts: Counts, prices: Prices | None) -> list[str]:
    """The run on a Loihi 1, at `prices` where they price hops, else at SANA-FE's; and what a simulator says of it."""
    if isinstance(counts.chip, str):
        return [f"on a Loihi 1: no estimate, {counts.chip}"] if counts.chip else []
    chip, list_of_chip = counts.chip, prices if prices and "hops_x" in prices.placed else Prices.named(CHIP_PRICES)
    lines = chip.describe(list_of_chip)
    if counts.simulated:
        joules, seconds = counts.simulated["joules.total"], counts.simulated["seconds"]
        ours, time = chip.joules(Prices.named(CHIP_PRICES)), chip.latency.run_s
        lines.append(
            f"SANA-FE's own run of the same net: {si(joules)}, {seconds * 1e6:.1f} us; ours, at its figures, is "
            f"{ours / joules:.3f} and {time / seconds:.3f} of that"
        )
    return lines


def _row(part: str, line: Line) -> tuple[str, ...]:
    prices = line.prices
    paid = (si(line.joules_per_deployment), si(line.joules_per_image))
    return part, prices.name, prices.scope, prices.evidence, *paid, spread(line.range)


def _total_row(total: Total, prices: str = "") -> tuple[str, ...]:
    paid = (si(total.joules_per_deployment), si(total.joules_per_image))
    return "total", prices, "", "", *paid, spread(total.range)
