"""The direct mapping: class k of the task is class k of the classifier."""

from __future__ import annotations

from torch import Tensor, nn

from neuroprompt.errors import BadSetting
from neuroprompt.heads._mapping import SourceHead


class Direct(SourceHead):
    """logits = source logits, 0 parameters: for a classifier of the task's own classes, in their order.

    Such as CLIP's embeddings of "this is a photo of a CLASS", which EVP trains with (Wu et al. 2022, arXiv 2212.10556,
    released code): `--classifier FILE.safetensors`. Raises BadSetting where there are more or fewer classes.
    """

    def __init__(self, features: int, classes: int, classifier: nn.Linear) -> None:
        super().__init__(features, classifier)
        if classes != classifier.out_features:
            got = f"a classifier of {classifier.out_features} classes for {classes} classes"
            raise BadSetting(got, "one row for each class, in their order", "give --classifier FILE.safetensors")

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, F)."""
        return self.source(features)
