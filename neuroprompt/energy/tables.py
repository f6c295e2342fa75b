"""What `neuroprompt.energy.estimate` found, as rows and lines for a person; every table says that it is estimated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neuroprompt.energy.count_spikes import ProgramCounts
from neuroprompt.energy.estimate import si

TITLE = "Energy (estimated, not measured)"
COLUMNS = ("part", "prices", "scope", "evidence", "once", "an image", "range")
PARTS = ("generator", "backbone")
MANY = 6
"""So many totals are shown; more are in the JSON alone."""
NODE_TITLE = "Counts by node (mean of the images)"
NODE_COLUMNS = ("node", "neurons", "spikes", "synops", "of dense", "updates", "membrane", "sparsity", "zeros", "bytes")


def rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What `energy` gave, as three rows of a table under COLUMNS, with TITLE; `once` is at deployment."""
    return [row(part, report[part]) for part in (*PARTS, "total")]


def row(part: str, line: Mapping[str, Any]) -> tuple[str, ...]:
    """One line under COLUMNS."""
    named = tuple(line.get(key, "") for key in ("prices", "scope", "evidence"))
    once, image = (si(line[key]) for key in ("joules_per_deployment", "joules_per_image"))
    return part, *named, once, image, spread(line["range"])


def spread(ends: list[float] | None) -> str:
    """A range of joules, "" where it is none: "1.93 to 2.51 µJ"."""
    if ends is None or ends[0] == ends[1]:
        return ""
    (low, unit), (high, other) = (si(end).split() for end in ends)
    return f"{low} to {high} {unit}" if unit == other else f"{low} {unit} to {high} {other}"


def counted(report: Mapping[str, Any]) -> list[str]:
    """What was counted, a line for each part that has counts."""
    lines = []
    for part in PARTS:
        terms = [f"{count:,} {term.replace('_', ' ')}" for term, count in report[part]["counts"].items() if count]
        if terms:
            lines.append(f"{part}, one run: {', '.join(terms)}; {si(report[part]['joules'])}")
    return lines


def not_priced(report: Mapping[str, Any]) -> list[str]:
    """What was counted and has no price, a line for each part."""
    lines = []
    for part in PARTS:
        terms = [f"{count:,} {term}" for term, count in report[part]["not_priced"].items()]
        if terms:
            lines.append(f"{part}, not priced by {report[part]['prices']}: {', '.join(terms)} (memory traffic)")
    return lines


def system(report: Mapping[str, Any]) -> str:
    """The generator as a share of the whole, baked and made for every image."""
    made, ran, total = (report[part] for part in (*PARTS, "total"))
    if not made["joules"] or not ran["joules"]:
        return ""
    if total["share_generator"] is None:
        return "system: no share, an all-in price cannot be added to prices per term"
    each = f"{si(made['joules'])} of {si(total['joules'])} an image, {total['share_generator']:.2%}"
    if not report["baked"]:
        return f"system (estimated): the generator runs for every image: {each}"
    whole = f"0 J of {si(ran['joules'])} an image, 0 %"
    return f"system (estimated): baked, the generator is {whole}; made for every image it would be {each}"


def comparison(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What `compare_prices` gave, as rows under COLUMNS: every line of each part, then the totals if they are few."""
    table = [row(part, line) for part in PARTS for line in result[part]]
    for line in result["totals"] if len(result["totals"]) <= MANY else ():
        table.append(row("total", {**line, "prices": f"{line['generator']} + {line['backbone']}"}))
    return table


def refused(result: Mapping[str, Any]) -> list[str]:
    """Why a list gives no line at all, a line for each."""
    given = {line["prices"] for part in PARTS for line in result[part]}
    reasons = {why["prices"]: why["reason"] for why in reversed(result["refused"]) if why["prices"] not in given}
    return [f"no line: {reason}" for reason in reasons.values()]


def left_out(result: Mapping[str, Any]) -> list[str]:
    """What each priced line leaves out."""
    lines = []
    for part in PARTS:
        found = result[part] if isinstance(result[part], list) else [result[part]]
        lines += [f"{part}, {line['title']}, leaves out: {line['leaves_out']}" for line in found if line["joules"]]
    return lines


def node_rows(images: Sequence[ProgramCounts]) -> Iterator[tuple[str, ...]]:
    """The generator's counts by node under NODE_COLUMNS, the mean over images."""
    for same in zip(*(census.nodes for census in images), strict=True):
        first, count = same[0], len(same)
        mean = {key: sum(getattr(n.activity, key) for n in same) / count for key in ("spikes", "synops", "updates")}
        plain = [n.json() for n in same]
        dense = first.activity.synops_dense
        membrane = [n.membrane_updates for n in same if n.membrane_updates is not None]
        zeros = plain[0]["connection_sparsity"]
        yield (
            first.name,
            f"{first.neurons:,}",
            *(f"{mean[key]:,.0f}" for key in ("spikes", "synops")),
            f"{mean['synops'] / dense:.1%}" if dense else "-",
            f"{mean['updates']:,.0f}",
            f"{sum(membrane) / count:,.0f}" if membrane else "-",
            f"{sum(p['activation_sparsity'] for p in plain) / count:.1%}",
            "-" if zeros is None else f"{zeros:.1%}",
            f"{first.footprint:,}",
        )


def measured_line(found: Mapping[str, Any]) -> str:
    """What was measured, or why not."""
    if found["joules"] is None:
        return f"measured: not here; {found['reason']}"
    files = ", ".join(f"{name} {si(one['joules'])}, {one['watts']:.3g} W" for name, one in found["files"].items())
    return f"measured (RAPL: the whole package, other programs included): {si(found['joules'])} an image; {files}"


def effective_line(found: Mapping[str, Any]) -> str:
    """How many of the backbone's products have two factors that are not 0."""
    share = (found["macs"] + found["acs"]) / found["dense"]
    return (
        f"backbone, effective on {found['images']} images: {found['macs']:,.0f} macs, {found['acs']:,.0f} acs of "
        f"{found['dense']:,.0f} ({share:.1%}); a runtime multiplies zeros too, so that the energy is of all"
    )
