"""Joules as a person reads them: an SI prefix and three significant digits, and ranges of such."""

from __future__ import annotations


def si(joules: float | None) -> str:
    """Joules with an SI prefix and three significant digits: 2.3e-06 -> "2.30 µJ"; "-" for None."""
    if joules is None:
        return "-"
    if joules == 0:
        return "0 J"
    for factor, unit in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ")):
        # 0.9995: what three digits round up to 1000 of a unit is 1.00 of the next.
        if joules >= 0.9995 * factor:
            return f"{_three(joules / factor)} {unit}"
    return f"{_three(joules / 1e-12)} pJ"


def spread(ends: tuple[float, float] | None) -> str:
    """A range of joules, "" where it is none: "1.93 to 2.51 µJ"."""
    if ends is None or ends[0] == ends[1]:
        return ""
    (low, unit), (high, other) = (si(end).split() for end in ends)
    return f"{low} to {high} {unit}" if unit == other else f"{low} {unit} to {high} {other}"


def _three(value: float) -> str:
    """Three significant digits, zeros kept, never in powers of ten."""
    digits = len(str(int(float(f"{value:.3g}"))))
    return f"{value:,.{max(0, 3 - digits)}f}"
