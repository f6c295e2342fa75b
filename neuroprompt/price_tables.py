"""What `neuroprompt.pricing` found, as rows and lines for a person; every table says that it is estimated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuroprompt.pricing import si

TITLE = "Energy (estimated, not measured)"
COLUMNS = ("part", "prices", "scope", "evidence", "once", "an image", "range")
PARTS = ("generator", "backbone")


def rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What `energy` gave, as three rows of a table under COLUMNS, with TITLE; `once` is at deployment."""
    return [row(part, report[part]) for part in (*PARTS, "total")]


def row(part: str, line: Mapping[str, Any]) -> tuple[str, ...]:
    """One line under COLUMNS."""
    named = tuple(line.get(key, "") for key in ("prices", "scope", "evidence"))
    once, image = (si(line[key]) for key in ("joules_per_deployment", "joules_per_image"))
    return part, *named, once, image, spread(line["range"])


def spread(ends: list[float] | None) -> str:
    """A range of joules, "" where it is none: "1.93 µJ to 2.91 µJ"."""
    if ends is None or ends[0] == ends[1]:
        return ""
    return f"{si(ends[0])} to {si(ends[1])}"


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
    """The generator as a share of the whole, baked and made for every picture."""
    made, ran, total = (report[part] for part in (*PARTS, "total"))
    if total["share_generator"] is None:
        return "system: no share, an all-in price cannot be added to prices per term" if made["joules"] else ""
    each = f"{si(made['joules'])} of {si(total['joules'])} a picture, {total['share_generator']:.2%}"
    if not report["baked"]:
        return f"system (estimated): the generator runs for every picture: {each}"
    whole = f"0 J of {si(ran['joules'])} a picture, 0 %"
    return f"system (estimated): baked, the generator is {whole}; made for every picture it would be {each}"
