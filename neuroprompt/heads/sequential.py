"""The sequential mapping: each class in turn takes the free source class that it is most often taken for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuroprompt.heads._mapping import FrequencyHead


class Sequential(FrequencyHead):
    """logits_k = source logits[index[k]]; index[k] = argmax_s count[s, k] over s not in index[:k]; 0 parameters.

    Counted once, before training, on training images with the prompt as it is drawn. Of equal counts the smallest s.
    `frequency` begins with the largest count of all instead, whatever its class.

    EVP's mapping for backbones without text: Wu et al. 2022 (arXiv 2212.10556), released code, which counts on images
    without the frame.
    """

    refit = "once"

    def __init__(self, features: int, classes: int, classifier: nn.Linear) -> None:
        super().__init__(features, classes, classifier)

    def fit(self, counts: Tensor) -> None:
        """Map anew from counts (S, K)."""
        left = counts.clone()
        for k in range(left.shape[1]):
            source = int(left[:, k].argmax())
            self.index[k, 0] = source
            left[source] = -torch.inf
