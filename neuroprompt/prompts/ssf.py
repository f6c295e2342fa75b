"""SSF: what each layer gives is scaled and shifted, channel by channel; merged into its weights before deployment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import Unsupported
from neuroprompt.prompts._init import need


class SSF(Prompt):
    """y' = g * y + s behind every linear layer, convolution and norm y = W x + b: W' = g W, b' = g b + s.

    A layer without a bias has no s: there is nothing to put it into (in timm's convolutional networks the norm behind
    it has one). g ~ N(1, deviation^2) and s ~ N(0, deviation^2) at first. Two parameters a channel; the deployed
    network has W' and b' in the place of W and b, and nothing else. Raises BadSetting, Unsupported.

    Lian et al., NeurIPS 2022 (arXiv 2210.08823), with the initial values of the released code (dongzelian/SSF).
    """

    enters = "weights"

    def __init__(
        self,
        site: PromptSite,
        *,
        deviation: Annotated[float, "standard deviation of the initial scales and shifts"] = 0.02,
    ) -> None:
        super().__init__()
        need(0 <= deviation < float("inf"), "deviation", deviation, "a number of at least 0")
        self.channels = {name: shape[0] for name, shape in site.weights.items() if name.endswith(".weight") and shape}
        if not self.channels:
            raise Unsupported("ssf on a backbone that names no weights", "one that does", "choose another --backbone")
        pairs = {name: _bias(name) for name in self.channels}
        self.biases = {bias: self.channels[name] for name, bias in pairs.items() if bias in site.weights}
        self.scale = nn.Parameter(1 + deviation * torch.randn(sum(self.channels.values())))
        self.shift = nn.Parameter(deviation * torch.randn(sum(self.biases.values())))

    def weights(self, frozen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """W' of every layer and b' where it has a bias, by name."""
        scales = dict(zip(self.channels, self.scale.split(list(self.channels.values())), strict=True))
        shifts = dict(zip(self.biases, self.shift.split(list(self.biases.values())), strict=True))
        values = {}
        for name, scale in scales.items():
            weight, bias = frozen[name], _bias(name)
            values[name] = scale.view(-1, *(1 for _ in weight.shape[1:])) * weight
            if bias in shifts:
                values[bias] = scale * frozen[bias] + shifts[bias]
        return values


def _bias(weight: str) -> str:
    return weight.removesuffix("weight") + "bias"
