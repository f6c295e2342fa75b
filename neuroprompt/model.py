"""A frozen backbone, the prompt that enters it and the head on top: what is trained and evaluated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuroprompt.contracts import Backbone, Prompt


class PromptedModel(nn.Module):
    """logits = head(backbone(normalise(images), prompt)); only the prompt and the head learn.

    images (B, 3, H, W) in [0, 1] -> logits (B, K). The backbone stays frozen and in eval mode.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, prompt: Prompt, classes: int) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False).eval()
        self.prompt = prompt
        self.head = nn.Linear(backbone.features, classes)
        nn.init.zeros_(self.head.bias)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        self.register_buffer("mean", torch.tensor(backbone.preprocess.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.preprocess.std).view(3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """(images - mean) / std, for images in [0, 1]."""
        return (images - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, H, W) in [0, 1]."""
        features: Tensor = self.backbone(self.normalise(images), self.prompt.tokens())
        logits: Tensor = self.head(features)
        return logits

    def learned(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by name: `prompt.*` and `head.*`."""
        return {k: p for k, p in self.named_parameters() if k.startswith(("prompt.", "head."))}

    def train(self, mode: bool = True) -> PromptedModel:
        """Switch prompt and head; the backbone stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self
