"""Any classifier of timm that no other family holds: prompts enter as pixels, and the network stays as timm has it."""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

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

    def baked(self, tokens: Tensor | None = None, overlay: Tensor | None = None) -> nn.Module:
        """The same network, of images to which the overlay (C, H, W) is added; it shares all weights with this one.

        Raises Unsupported for tokens, BadSetting for another shape.
        """
        self.no_tokens(tokens)
        need_shape(overlay, self.site.image)
        return self if overlay is None else Overlaid(self, overlay).eval()

    def _try(self) -> None:
        """A forward pass of shapes alone, without arithmetic."""
        tensors = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        images = torch.empty(2, *self.site.image, device="meta")
        height, width = self.preprocess.size
        try:
            with torch.no_grad():
                functional_call(self.eval(), {name: value.to("meta") for name, value in tensors.items()}, (images,))
        except NotImplementedError as error:
            got = f"{self.spec.name!r} gives no features for a classifier ({error})"
            raise Unsupported(got, "a classifier", "neuroprompt backbones lists them") from error
        except (RuntimeError, AssertionError, ValueError, TypeError, IndexError, ZeroDivisionError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            got = f"{self.spec.name!r} cannot take images of {height} x {width} pixels ({reason})"
            raise BadSetting(got, "a size that it can take", "leave out --image-size for its own") from error
