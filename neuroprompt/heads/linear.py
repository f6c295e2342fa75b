"""The linear head: a new layer from the features to the task's classes."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.learning import Head


class LinearHead(Head):
    """logits = W x + b, with W ~ truncated normal of deviation 0.02 and b = 0 at first: F K + K parameters."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        # Drawn as nn.Linear draws, and drawn again: a seed gives the head that it always gave.
        layer = nn.Linear(features, classes)
        self.weight = nn.Parameter(nn.init.trunc_normal_(layer.weight, std=0.02))
        self.bias = nn.Parameter(nn.init.zeros_(layer.bias))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, F)."""
        return F.linear(features, self.weight, self.bias)
