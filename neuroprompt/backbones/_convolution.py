"""What timm's convolutional families share: pixel prompts in the first convolution, and no place for tokens."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from neuroprompt.backbones._pixels import PixelBackbone, need_shape


class Convolutional(PixelBackbone):
    """A frozen timm network of convolutions (no classifier), which prompts may enter as pixels.

    A convolution W with zero padding is linear: W(x + o) = W x + W o, where the map W o (C, H', W') of a constant
    overlay o is constant too. With the batch norm behind it, s (y - mean) + b and s = gamma / sqrt(var + eps):

        norm(W (x + o)) = W' x + b' + s W o        W' = s W,  b' = b - s mean

    so that a prompt costs one addition. `first` says where both layers are.
    """

    architecture: ClassVar[type[nn.Module]]
    why_no_tokens = "a convolution has no place for tokens"

    @staticmethod
    @abstractmethod
    def first(model: Any) -> tuple[str, str, str]:
        """The module that holds the first convolution and its norm ("" for the model), and their names in it."""

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it is of the family, with timm's own forward pass and an ordinary first convolution."""
        return type(model) is cls.architecture and type(cls._convolution(model)) in (nn.Conv2d, Conv2dSame)

    @classmethod
    def channels(cls, model: Any) -> int:
        """Those of the first convolution."""
        return int(cls._convolution(model).in_channels)

    @classmethod
    def _convolution(cls, model: nn.Module) -> Any:
        owner, conv, _ = cls.first(model)
        return getattr(model.get_submodule(owner), conv)

    def for_training(self) -> nn.Module:
        """This network in channels-last order, in which convolutions are faster: 0.82 to 0.89 of a step's time."""
        return _ChannelsLast(self)

    def baked(self, tokens: Tensor | None = None, overlay: Tensor | None = None, keyed: int = 0) -> nn.Module:
        """The same network with an overlay (C, H, W) as a constant map, and the first norm in the first convolution.

        It shares all other layers with this one. Raises Unsupported for tokens, BadSetting for another shape.
        """
        self.no_tokens(tokens)
        need_shape(overlay, self.site.image)
        owner, conv, norm = self.first(self.model)
        holder = self.model.get_submodule(owner)
        stem = _baked(getattr(holder, conv), getattr(holder, norm), overlay)
        twin = _with(holder, dict(zip((conv, norm), stem, strict=True)))
        return (_with(self.model, {owner: twin}) if owner else twin).eval()


class _ChannelsLast(nn.Module):
    """A backbone whose images, and so all that it makes of them, lie in memory pixel by pixel."""

    def __init__(self, network: Convolutional) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, tokens: Any = None) -> Tensor:
        """What `network` gives for images (B, C, H, W)."""
        features: Tensor = self.network(images.contiguous(memory_format=torch.channels_last), tokens)
        return features


class _Shifted(nn.Module):
    """conv(x) + shift, shift (1, C, H', W') being the same for every image."""

    shift: Tensor

    def __init__(self, conv: nn.Module, shift: Tensor) -> None:
        super().__init__()
        self.conv = conv
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y + self.shift


@torch.no_grad()
def _baked(conv: Any, norm: Any, overlay: Tensor | None) -> tuple[nn.Module, nn.Module]:
    """What stands for convolution and norm; computed in float64 and rounded to the weights' type."""
    exact = copy.deepcopy(conv).double()
    bias = torch.zeros(conv.out_channels, dtype=torch.float64) if exact.bias is None else exact.bias.detach()
    exact.bias = None
    scale = torch.ones_like(bias)
    rest: nn.Module = norm
    if type(norm) in (nn.BatchNorm2d, BatchNormAct2d) and norm.running_mean is not None:
        scale = (norm.running_var.double() + norm.eps).rsqrt()
        bias = bias - norm.running_mean.double()
        if norm.affine:
            scale = scale * norm.weight.double()
        bias = bias * scale + (norm.bias.double() if norm.affine else 0)
        rest = norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
    kind, filters = conv.weight.dtype, scale.view(-1, 1, 1, 1)
    folded = copy.copy(conv)
    weights = {"weight": exact.weight * filters, "bias": bias}
    folded._parameters = {name: nn.Parameter(w.to(kind), requires_grad=False) for name, w in weights.items()}
    if overlay is None:
        return folded, rest
    shift = exact(overlay.double()[None]) * scale.view(-1, 1, 1)
    return _Shifted(folded, shift.to(kind).contiguous()), rest


def _with(module: nn.Module, parts: dict[str, nn.Module]) -> nn.Module:
    """The same module with other parts; what it keeps is shared, and `module` stays as it is."""
    twin = copy.copy(module)
    twin._modules = {**module._modules, **parts}
    return twin
