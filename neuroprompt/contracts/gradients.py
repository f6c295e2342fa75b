"""Gradients that are kept within bounds, in one place for prompts and heads."""

from __future__ import annotations

import torch
from torch import Tensor


def clipped(values: Tensor, most: float) -> Tensor:
    """The same values, through which each number of a gradient passes as min(max(g, -most), most); 0: as it is."""
    if not most or not values.requires_grad or not torch.is_grad_enabled():
        return values
    same = values.view_as(values)
    same.register_hook(lambda g: g.clamp(-most, most))
    return same
