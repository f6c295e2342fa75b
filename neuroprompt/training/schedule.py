"""The learning rate of every step, as a share of its peak."""

from __future__ import annotations

import math

from neuroprompt.training.config import RunConfig

FALLS = (0.5, 0.72)
"""The shares of training after which the rate of "steps" falls to a tenth, as in ILM-VP's and AutoVP's releases."""


def share_of_peak(config: RunConfig, step: int, steps_each: int) -> float:
    """The share of the peak rate at `step` (from 0): a linear rise over `warmup` epochs, then `schedule`.

    cosine         0.5 (1 + cos(pi p)), p from 0 to 1 over the steps after the rise: it ends at 0
    cosine-epochs  the same, the rate of an epoch being that of its beginning
    steps          1, then 0.1 and 0.01 from 50 % and 72 % of the epochs on, all of them counted
    constant       1
    """
    warm, total = min(config.warmup, config.epochs) * steps_each, config.epochs * steps_each
    if step < warm:
        return (step + 1) / (warm + 1)
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "steps":
        epoch = step // steps_each
        return float(0.1 ** sum(epoch >= int(share * config.epochs) for share in FALLS))
    at = step if config.schedule == "cosine" else max(warm, step // steps_each * steps_each)
    return 0.5 * (1 + math.cos(math.pi * (at - warm) / max(1, total - warm)))
