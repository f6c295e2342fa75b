"""What the metadata of a graph and of its nodes say of the reset: rejected where no target here does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neuroprompt.errors import Unsupported

TO_A_VALUE = ("zero", "hard", "value", "v_reset", "reset", "constant")
"""Words for the one reset that NIR's neurons have: to v_reset."""
OTHERWISE = ("subtract", "soft", "none", "linear", "threshold")
"""Words for other resets."""
NO = ("", "0", "no", "none", "false")


def check_said(name: str, metadata: Mapping[str, Any]) -> Iterator[str]:
    """Raise Unsupported for another reset, or a refractory period; what is not understood comes as a line.

    `name` is the node's, "" for the graph itself.
    """
    who = f"node {name!r}" if name else "the graph"
    for key, value in metadata.items():
        word = str(np.asarray(value).item() if np.size(value) == 1 else value).strip().lower()
        if "refrac" in key.lower():
            if word not in NO and not _is_zero(word):
                raise Unsupported(
                    f"{who} says {key} = {word}", "no refractory period: NIR's neurons have none", "train without it"
                )
        elif "reset" in key.lower() and not _is_number(word):
            if any(other in word for other in OTHERWISE):
                got = f"{who} says {key} = {word!r}"
                raise Unsupported(got, "a reset to v_reset, the only one that NIR's neurons have", "retrain with it")
            if not any(known in word for known in TO_A_VALUE):
                yield f"{who} says {key} = {word!r}, which nothing here reads: neurons are reset to v_reset"


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
