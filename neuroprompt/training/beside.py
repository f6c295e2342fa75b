"""A backbone with a prompt's parts beside its linear layers, and what drives the neurons in them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from neuroprompt.contracts.learning import Backbone, Beside
from neuroprompt.errors import Unsupported


class _Widened(nn.Module):
    """layer(x) + beside(x)."""

    def __init__(self, layer: nn.Module, beside: Beside) -> None:
        super().__init__()
        self.layer, self.beside = layer, beside

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x) + self.beside(x)
        return out


def widened(backbone: Backbone, beside: Mapping[str, Beside]) -> Backbone:
    """The same backbone with those parts beside its layers; everything is shared, and `backbone` stays as it is.

    Raises Unsupported where a layer is never asked, as where timm reads its weight itself: then a part would do
    nothing.
    """
    parts = {name.removesuffix(".weight"): part for name, part in beside.items()}
    twin = cast(
        Backbone, _with(backbone, {name: _Widened(backbone.get_submodule(name), parts[name]) for name in parts})
    )
    weight = next(backbone.parameters())
    image = torch.zeros(1, *backbone.site.image, dtype=weight.dtype, device=weight.device)
    asked = drives(lambda: twin(image), beside)
    silent = sorted(set(beside) - set(asked))
    if silent:
        got = f"{backbone.spec.name!r} reads {silent[0]} itself, so that nothing can stand beside that layer"
        raise Unsupported(got, "layers that are called", "give --set layers=all, or choose another --backbone")
    return twin


@torch.no_grad()
def drives(forward: Callable[[], object], beside: Mapping[str, Beside]) -> dict[str, Tensor]:
    """What drives the neurons beside each layer in a forward pass, in the order of `beside`.

    (B, ..., n), or (B windows, ..., n): image by image either way.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(part: Any, inputs: tuple[Tensor]) -> None:
            seen[name] = part.drive(inputs[0])

        return hook

    hooks = [part.register_forward_pre_hook(keep(name)) for name, part in beside.items()]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    return {name: seen[name] for name in beside if name in seen}


def _with(module: nn.Module, parts: Mapping[str, nn.Module]) -> nn.Module:
    """The same module with others in the places of those named, whatever their depth."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    below: dict[str, dict[str, nn.Module]] = {}
    for name, part in parts.items():
        child, _, rest = name.partition(".")
        if rest:
            below.setdefault(child, {})[rest] = part
        else:
            twin._modules[child] = part
    for child, deeper in below.items():
        twin._modules[child] = _with(module.get_submodule(child), deeper)
    return twin
