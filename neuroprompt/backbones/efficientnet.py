"""EfficientNets of timm, with symmetric padding or TensorFlow's, among them EfficientNet-Lite and MobileNetV2."""

from __future__ import annotations

from typing import Any

from timm.models.efficientnet import EfficientNet

from neuroprompt.backbones._convolution import Convolutional


class EfficientNets(Convolutional):
    """A frozen timm EfficientNet: pooled features of width 1280 (tf_efficientnet_lite0).

    Its first layers are conv_stem and bn1, which holds the activation too. The `tf_` nets pad as TensorFlow does: by
    as much as the image's size asks for, and more at the end than at the beginning.
    """

    architecture = EfficientNet

    @staticmethod
    def first(model: Any) -> tuple[str, str, str]:
        """conv_stem and bn1."""
        return "", "conv_stem", "bn1"
