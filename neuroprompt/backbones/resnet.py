"""ResNets of timm (with ResNeXt, SE-ResNet and the other names of that class), with a plain or a deep stem."""

from __future__ import annotations

from typing import Any

from timm.models.resnet import ResNet
from torch import nn

from neuroprompt.backbones._convolution import Convolutional


class ResNets(Convolutional):
    """A frozen timm ResNet: pooled features of width 512 (resnet18) or 2048 (resnet50).

    Its first layers are conv1, bn1, act1, maxpool; a deep stem's conv1 is a row of convolutions and norms of its own.
    """

    architecture = ResNet

    @staticmethod
    def first(model: Any) -> tuple[str, str, str]:
        """conv1 and bn1, or the first two layers of a deep stem."""
        return ("conv1", "0", "1") if isinstance(model.conv1, nn.Sequential) else ("", "conv1", "bn1")
