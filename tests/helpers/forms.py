"""The form of a network: what a traced graph of it depends on besides its constants."""

from __future__ import annotations

from typing import Any

from torch import nn

PLAIN = (bool, int, float, str, type(None))


def form_of(network: nn.Module) -> list[Any]:
    """Every part's class, settings and names, and the shapes of its tensors.

    Two networks of one form run the same code on tensors of the same shapes: their graphs differ in constants alone.
    """
    parts = [
        (name, type(part), part.training, {key: setting(value) for key, value in vars(part).items()})
        for name, part in network.named_modules()
    ]
    tensors = (*network.named_parameters(), *network.named_buffers())
    return [*parts, *((name, tensor.shape, tensor.dtype) for name, tensor in tensors)]


def setting(value: Any) -> Any:
    """A plain value as it is, in tuples, lists and dictionaries too; of anything else its class and name."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, (tuple, list)):
        return [setting(one) for one in value]
    if isinstance(value, dict):
        return {key: setting(one) for key, one in value.items()}
    return type(value), getattr(value, "__qualname__", "")
