"""LoRA: low-rank changes of the backbone's weights, merged into them before deployment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import torch
from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.prompts._init import need
from neuroprompt.prompts._weights import cut, layers_of


class LoRA(Prompt):
    """W' = W + (alpha / r) B A for chosen weights W (out, in), with A (r, in) and B (out, r); biases stay.

    `layers` chooses them: what makes queries, keys and values, or every linear layer and convolution; a convolution's W
    is (out, in * height * width). timm's joint projection is one weight: its queries, keys and values share A. B is 0
    at first and A uniform in +-1/sqrt(in), so that training begins with the frozen network. r sum (in + out)
    parameters; the deployed network has W' in the place of W, and nothing else. Raises BadSetting, Unsupported.

    Hu et al., ICLR 2022 (arXiv 2106.09685), equation 3, and its scale alpha / r; A as the released code draws it. The
    paper changes queries and values alone: the keys, r = 8 and alpha = 8 are our choice.
    """

    enters = "weights"

    def __init__(
        self,
        site: PromptSite,
        *,
        rank: Annotated[int, "rank of every change"] = 8,
        alpha: Annotated[float, "a change is multiplied by alpha / rank"] = 8.0,
        layers: Annotated[str, "which weights: attention, all, or auto (all where there is no attention)"] = "auto",
    ) -> None:
        super().__init__()
        need(rank >= 1, "rank", rank, "at least 1")
        need(math.isfinite(alpha) and alpha != 0, "alpha", alpha, "a number other than 0")
        self.scale = alpha / rank
        self.shapes = layers_of(site.weights, "lora", layers)
        inputs = {name: math.prod(shape[1:]) for name, shape in self.shapes.items()}
        self.shapes_a = [(rank, size) for size in inputs.values()]
        self.shapes_b = [(shape[0], rank) for shape in self.shapes.values()]
        rows = [torch.empty(shape).uniform_(-1, 1) / math.sqrt(shape[1]) for shape in self.shapes_a]
        self.a = nn.Parameter(torch.cat([row.flatten() for row in rows]))
        self.b = nn.Parameter(torch.zeros(sum(math.prod(shape) for shape in self.shapes_b)))

    def weights(self, frozen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """W' of every chosen weight, by name."""
        changes = zip(self.shapes.items(), cut(self.b, self.shapes_b), cut(self.a, self.shapes_a), strict=True)
        return {name: frozen[name] + self.scale * (b @ a).view(shape) for (name, shape), b, a in changes}
