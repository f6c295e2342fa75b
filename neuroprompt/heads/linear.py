"""The linear head: a new layer from the features to the task's classes."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.learning import Head
from neuroprompt.errors import BadSetting

RARE = -4.59511985013459  # -log(99)
"""VPT's initial bias: a sigmoid of it is 0.01."""


class LinearHead(Head):
    """logits = W x + b: F K + K parameters.

    `init` draws them: "normal", W ~ truncated normal of deviation 0.02 and b = 0; "torch", both uniform as nn.Linear
    draws them; "vpt", W ~ N(0, 2 / K) (He's by outputs) and b = -log(99), as VPT's released code. Raises BadSetting.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        init: Annotated[str, "initial weights: normal, torch (nn.Linear's own) or vpt"] = "normal",
    ) -> None:
        super().__init__()
        if init not in ("normal", "torch", "vpt"):
            raise BadSetting(f"init {init}", "normal, torch or vpt")
        # Drawn as nn.Linear draws, and drawn again: a seed gives the head that it always gave.
        layer = nn.Linear(features, classes)
        if init == "normal":
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        elif init == "vpt":
            nn.init.kaiming_normal_(layer.weight, a=0, mode="fan_out")
            nn.init.constant_(layer.bias, RARE)
        self.weight, self.bias = nn.Parameter(layer.weight.detach()), nn.Parameter(layer.bias.detach())

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, F)."""
        return F.linear(features, self.weight, self.bias)
