"""What the metadata of a graph and of its nodes say of the reset: rejected where no target here does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuroprompt.errors import Unsupported

TO_A_VALUE = ("zero", "hard", "value", "v_reset", "reset", "constant")
"""Words for the one reset that NIR's neurons have: to v_reset."""
SUBTRACTS = ("subtract", "soft")
"""Words for a reset that takes the threshold off v."""
OTHERWISE = ("none", "linear", "threshold")
"""Words for other resets."""
LATE = "late"
"""Beside a word of SUBTRACTS: in the next step, after the leak."""
NO = ("", "0", "no", "none", "false")


@dataclass(frozen=True)
class Said:
    """A reset that metadata speak of: "zero", "subtract", "subtract-late" or "" for none, and words nobody reads."""

    reset: str = ""
    hints: tuple[str, ...] = ()


def said_of_reset(name: str, metadata: Mapping[str, Any], declared: bool = False) -> Said:
    """What `metadata` say; raises Unsupported for another reset, or a refractory period.

    `name` is the node's, "" for the graph itself. Where the user has `declared` a reset only the period is looked at.
    """
    who = f"node {name!r}" if name else "the graph"
    reset, hints = "", []
    for key, word in _words(metadata):
        if "refrac" in key:
            if word not in NO and not _is_zero(word):
                raise Unsupported(
                    f"{who} says {key} = {word}", "no refractory period: NIR's neurons have none", "train without it"
                )
        elif "reset" in key and not declared and not _is_number(word):
            if any(subtracts in word for subtracts in SUBTRACTS):
                reset = "subtract-late" if LATE in word else "subtract"
            elif any(other in word for other in OTHERWISE):
                got = f"{who} says {key} = {word!r}"
                raise Unsupported(got, "a reset to v_reset, or one that subtracts the threshold", "retrain with it")
            elif any(known in word for known in TO_A_VALUE):
                reset = reset or "zero"
            else:
                hints.append(f"{who} says {key} = {word!r}, which nothing here reads: neurons are reset to v_reset")
    return Said(reset, tuple(hints))


def _words(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in metadata.items():
        yield key.lower(), str(np.asarray(value).item() if np.size(value) == 1 else value).strip().lower()


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return word in ("true", "false")
    return True


def _is_zero(word: str) -> bool:
    try:
        return float(word) == 0
    except ValueError:
        return False
