"""The scale report: what rounding to the chip's integers changed in weights, biases and thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neuroprompt.errors import NeuropromptError
from neuroprompt.report._parts import Section, Table, absent
from neuroprompt.report._subject import Subject

LEAD = (
    "Weights, biases and thresholds as integers, each population with its own scale. The tables count what was "
    "clipped, rounded to 0 or overflowed, and which neurons fell silent."
)


def section(subjects: Sequence[Subject]) -> Section:
    """Tables of populations and projections for every subject with integers."""
    chapter = Section("scales", "Scale report of the integers", LEAD)
    missing = {}
    for subject in subjects:
        try:
            report = subject.spiking.model.scale_report
        except NeuropromptError as error:
            missing[subject.name] = str(error)
            continue
        tables = [
            _table(f"{subject.name}: {kind}", report[kind])
            for kind in ("populations", "projections")
            if report.get(kind)
        ]
        chapter.parts += tables
        if not tables:
            missing[subject.name] = "no integers were fitted"
    chapter.parts += absent(missing)
    return chapter


def _table(title: str, of: Mapping[str, Mapping[str, Any]]) -> Table:
    """Names across, figures down."""
    keys = list(dict.fromkeys(key for values in of.values() for key in values))
    rows = [(key.replace("_", " "), *(_plain(values.get(key, "-")) for values in of.values())) for key in keys]
    return Table(title, ("", *of), rows)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
