"""The full mapping: a new layer from the logits of the backbone's own classes to the task's classes."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.gradients import clipped
from neuroprompt.errors import BadSetting
from neuroprompt.heads._mapping import SourceHead

INITS = ("torch", "identity")


class Full(SourceHead):
    """logits = W source logits + b: S K + K parameters, which learn.

    `init=torch` draws W and b as nn.Linear does. `init=identity` is W = [I, 0], b = 0: class k starts as source class
    k. So with CLIP, whose source classes are templates times K classes of text, training starts from the zero-shot
    answer of the first template. `clip` limits each gradient of W and b; AutoVP has 0.001 with CLIP.

    "Fully" of AutoVP: Tsao et al., ICLR 2024 (arXiv 2310.08381), section 3, and the released code.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        classifier: nn.Linear,
        init: Annotated[str, "initial values: torch (random) or identity (class k is source class k)"] = "torch",
        clip: Annotated[float, "largest gradient of a weight; 0: any"] = 0.0,
    ) -> None:
        super().__init__(features, classifier)
        sources = classifier.out_features
        if init not in INITS:
            raise BadSetting(f"init {init!r}", " or ".join(INITS))
        if not clip >= 0:
            raise BadSetting(f"clip {clip}", "at least 0")
        if init == "identity" and sources < classes:
            got = f"init=identity for {classes} classes, with {sources} of the backbone's own"
            raise BadSetting(got, "at least as many source classes", "leave init out")
        layer, self.clip = nn.Linear(sources, classes), clip
        if init == "identity":
            with torch.no_grad():
                layer.weight.copy_(torch.eye(classes, sources))
                layer.bias.zero_()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, F)."""
        weight, bias = (clipped(values, self.clip) for values in (self.weight, self.bias))
        return F.linear(self.source(features), weight, bias)
