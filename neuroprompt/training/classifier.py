"""Classifiers that output mappings read from: a file of text embeddings, or what came with the backbone's weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.learning import Head
from neuroprompt.errors import BadWeights
from neuroprompt.training.weights import read_weights

FIX = (
    "save weight (classes, features), and scale for text: safetensors.torch.save_file({'weight': w, 'scale': s}, FILE)"
)


class TextClassifier(nn.Linear):
    """Rows of length 1, one a class: logits = `scale` cos(features, row), as CLIP compares image and text."""

    scale: float


def read_classifier(file: Path) -> nn.Linear:
    """The frozen classifier in a safetensors file; raises BadWeights.

    `weight` (S, F) has a row for each class. With a number `scale` (CLIP's is 100) they are text embeddings, and
    logits_s = scale cos(features, row s); without, logits = weight features + `bias` (S,), 0 where there is none.
    """
    tensors = read_weights(file)
    unknown = sorted(tensors.keys() - {"weight", "bias", "scale"})
    weight, bias, scale = (tensors.get(key) for key in ("weight", "bias", "scale"))
    if weight is None or weight.ndim != 2 or not all(weight.shape) or unknown:
        shape = tuple(weight.shape) if weight is not None else None
        got = f"{file} holds {', '.join(unknown)}" if unknown else f"{file} holds a weight of shape {shape}"
        raise BadWeights(got, "a matrix weight (classes, features), and perhaps bias or scale", FIX)
    if not weight.is_floating_point():
        got = f"{file} holds a weight of {str(weight.dtype).removeprefix('torch.')}"
        raise BadWeights(got, "floats", "take the classifier from before quantisation")
    if not torch.isfinite(weight).all():
        raise BadWeights(f"{file} holds values that are not finite", "numbers", FIX)
    layer = (nn.Linear if scale is None else TextClassifier)(weight.shape[1], weight.shape[0])
    if bias is not None and (scale is not None or bias.shape != weight.shape[:1]):
        raise BadWeights(f"{file} holds a bias of shape {tuple(bias.shape)}", "one a class, and none beside scale", FIX)
    if isinstance(layer, TextClassifier) and scale is not None:
        if scale.numel() != 1 or not 0 < float(scale) < torch.inf:
            raise BadWeights(f"{file} holds a scale of {scale.flatten()[:3].tolist()}", "one number above 0", FIX)
        layer.scale = float(scale)
        weight = F.normalize(weight, dim=-1)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(torch.zeros(len(weight)) if bias is None else bias)
    return layer.requires_grad_(False)


class Projected(Head):
    """A head on features that an image-text model's projection takes into the space of text: head(W x + b).

    W and b are frozen and come with the backbone's weights, so that a run does not store them.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, head: Head, projection: nn.Linear) -> None:
        super().__init__()
        self.inner = head
        bias = torch.zeros(projection.out_features) if projection.bias is None else projection.bias
        self.register_buffer("weight", projection.weight.detach().clone(), persistent=False)
        self.register_buffer("bias", bias.detach().clone(), persistent=False)
        self.refit = type(head).refit  # type: ignore[misc]

    def projected(self, features: Tensor) -> Tensor:
        """Features (B, E) in the space of text, of the backbone's (B, F)."""
        return F.linear(features, self.weight, self.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, F)."""
        logits: Tensor = self.inner(self.projected(features))
        return logits

    def source(self, features: Tensor) -> Tensor:
        """Logits (B, S) of the classifier's classes."""
        return self.inner.source(self.projected(features))

    def begin(self) -> None:
        """Let the head read what it is made of."""
        self.inner.begin()

    def fit(self, counts: Tensor) -> None:
        """Let the head learn its mapping."""
        self.inner.fit(counts)
