"""Any classifier of timm that no other family holds: prompts enter as pixels, and the network stays as timm has it."""

from __future__ import annotations

import copy
from inspect import signature
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from neuroprompt.backbones._pixels import Overlaid, PixelBackbone, need_shape
from neuroprompt.contracts.learning import BackboneSpec, Preprocess
from neuroprompt.errors import BadSetting, Unsupported


class General(PixelBackbone):
    """A frozen timm model with `forward_features` and `forward_head`; nothing else is known of it.

    A static pixel prompt is a constant o that is added to the input: network(x + o), one node of C H W additions. To
    fold it into the first convolution would leave an addition too, of a larger map in most nets, and keep a runtime
    from folding the norm behind that convolution.

    Raises BadSetting for images of a size that the network cannot take, Unsupported for a network without features.
    """

    fallback = True
    why_no_tokens = "no family here knows its blocks, so that a baked prompt could not be shown to be exact"

    def __init__(self, model: Any, spec: BackboneSpec, preprocess: Preprocess) -> None:
        super().__init__(model, spec, preprocess)
        self._try()

    @classmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether it has timm's two halves of a forward pass and says how many features they give."""
        head: Any = getattr(model, "forward_head", None)
        if not callable(getattr(model, "forward_features", None)) or not callable(head):
            return False
        return "pre_logits" in signature(head).parameters and hasattr(model, "head_hidden_size")

    def baked(self, tokens: Tensor | None = None, overlay: Tensor | None = None, keyed: int = 0) -> nn.Module:
        """The same network, of images to which the overlay (C, H, W) is added; it shares all weights with this one.

        Raises Unsupported for tokens, BadSetting for another shape.
        """
        self.no_tokens(tokens)
        need_shape(overlay, self.site.image)
        lean = _unfused(self) if self.grouped else self
        return lean if overlay is None else Overlaid(lean, overlay).eval()

    def _try(self) -> None:
        """A forward pass of shapes alone, without arithmetic; sees whether attention is of tokens in groups."""
        # By module, so that one which stands in several places (CoaT's MLP) is swapped, and restored, once.
        tensors = {
            f"{place}.{name}": value
            for place, module in self.named_modules()
            for name, value in (*module._parameters.items(), *module._buffers.items())
            if value is not None
        }
        images = torch.empty(2, *self.site.image, device="meta")
        height, width = self.preprocess.size
        try:
            with torch.no_grad(), _Grouped() as attention:
                there = {name: value.to("meta") for name, value in tensors.items()}
                functional_call(self.eval(), there, (images,), tie_weights=False)
        except NotImplementedError as error:
            got = f"{self.spec.name!r} gives no features for a classifier ({error})"
            raise Unsupported(got, "a classifier", "neuroprompt backbones lists them") from error
        except (RuntimeError, AssertionError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            got = f"{self.spec.name!r} cannot take images of {height} x {width} pixels ({reason})"
            raise BadSetting(got, "a size that it can take", "leave out --image-size for its own") from error
        self.grouped = attention.seen


class _Grouped(TorchFunctionMode):
    """Sees whether attention is asked for with more than (B, heads, n, d), which ONNX's exporter cannot write."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            self.seen = self.seen or args[0].ndim > 4
        return func(*args, **(kwargs or {}))


def _unfused(module: nn.Module) -> nn.Module:
    """The same network with timm's attention in its parts: exact, but for the order of floating-point sums."""
    children = {name: _unfused(child) for name, child in module._modules.items() if child is not None}
    fused = bool(getattr(module, "fused_attn", False))
    if not fused and all(child is module._modules[name] for name, child in children.items()):
        return module
    twin: Any = copy.copy(module)
    twin._modules = {**module._modules, **children}
    if fused:
        twin.fused_attn = False
    return cast(nn.Module, twin)
