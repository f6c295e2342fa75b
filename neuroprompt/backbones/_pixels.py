"""What families without a place for tokens share: prompts enter them as pixels, and nowhere else."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, PromptSite, Stream
from neuroprompt.errors import BadSetting, Unsupported


class PixelBackbone(Backbone):
    """A frozen timm network (no classifier), features = forward_head(forward_features(images)) before the classifier.

    `depth` of its PromptSite is 0: there are no blocks that take tokens.
    """

    def __init__(self, model: Any, spec: BackboneSpec, preprocess: Preprocess) -> None:
        super().__init__(model, spec, preprocess, int(model.head_hidden_size))
        self.model = model
        image = (self.channels(model), *preprocess.size)
        self.site = PromptSite(
            depth=0, width=self.features, image=image, patch=1, weights=self.shapes(), layers=self.linear_layers()
        )

    @classmethod
    def channels(cls, model: Any) -> int:
        """Channels of the images that the model takes."""
        return 3

    def forward(self, images: Tensor, tokens: Tensor | Stream | None = None, keyed: int = 0) -> Tensor:
        """Pooled features (B, F) of normalised images (B, C, H, W); raises Unsupported for tokens."""
        self.no_tokens(tokens)
        features: Tensor = self.model.forward_head(self.model.forward_features(images), pre_logits=True)
        return features

    def no_tokens(self, tokens: object) -> None:
        """Raise Unsupported where there are any."""
        if tokens is not None:
            got = f"prompt tokens in {self.spec.name!r}, a {type(self.model).__name__}"
            raise Unsupported(got, "a pixel prompt", "choose another --method, or a Vision Transformer")


class Overlaid(nn.Module):
    """network(images + overlay), overlay (1, C, H, W) being constant: one addition, and exact in any network."""

    overlay: Tensor

    def __init__(self, network: nn.Module, overlay: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("overlay", overlay.detach()[None])

    def forward(self, images: Tensor, *others: Any) -> Tensor:
        """What `network` gives for images (B, C, H, W)."""
        out: Tensor = self.network(images + self.overlay, *others)
        return out


def need_shape(overlay: Tensor | None, image: tuple[int, int, int]) -> None:
    """Raise BadSetting where an overlay is not as large as the images."""
    if overlay is not None and tuple(overlay.shape) != image:
        raise BadSetting(f"an overlay of shape {tuple(overlay.shape)}", f"{image}")
