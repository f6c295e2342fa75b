"""Casts the frozen weights of products once, for training in mixed precision, and not in every step anew.

Autocast keeps the casts of weights that learn until a step is over. It keeps none of frozen ones, and casts each of
them whenever a product takes it: as many kernels again, which a small batch waits for.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

KINDS: Mapping[str, torch.dtype] = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""What autocast multiplies in, by Fabric's name of a precision."""


def cast_once(network: nn.Module, kind: torch.dtype) -> nn.Module:
    """The network for autocast in `kind`: the same numbers, bit by bit, with its frozen products' weights cast once.

    A copy that shares all tensors but those: linear layers and convolutions cast theirs when they are first called, so
    that what is never called takes no memory. Only for use under autocast.
    """
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    twin = copy.deepcopy(network, shared)
    for module in twin.modules():
        frozen = not any(p.requires_grad for p in module.parameters(recurse=False))
        if isinstance(module, (nn.Linear, nn.Conv2d)) and frozen:
            _cast_when_called(module, kind)
    return twin


def _cast_when_called(layer: nn.Linear | nn.Conv2d, kind: torch.dtype) -> None:
    def cast(called: nn.Module, _: Any) -> None:
        for name, p in list(called.named_parameters(recurse=False)):
            setattr(called, name, nn.Parameter(p.detach().to(kind), requires_grad=False))
        handle.remove()

    handle = layer.register_forward_pre_hook(cast)
