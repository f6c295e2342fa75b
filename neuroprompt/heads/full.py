"""The full mapping: a new layer from the logits of the backbone's own classes to the task's classes."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.heads._mapping import SourceHead


class Full(SourceHead):
    """logits = W source logits + b, with W and b drawn as nn.Linear draws them: S K + K parameters, which learn.

    "Fully" of AutoVP: Tsao et al., ICLR 2024 (arXiv 2310.08381), section 3.
    """

    def __init__(self, features: int, classes: int, classifier: nn.Linear) -> None:
        super().__init__(features, classifier)
        layer = nn.Linear(classifier.out_features, classes)
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, F)."""
        return F.linear(self.source(features), self.weight, self.bias)
