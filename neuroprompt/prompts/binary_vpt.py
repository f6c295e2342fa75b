"""Binary VPT: binary prompt tokens by a straight-through threshold, without neurons; Spike-NVPT's control."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from snntorch import surrogate as surrogates
from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.prompts._init import Layout, need, need_blocks, need_one_width
from neuroprompt.spiking.neurons import ATAN_ALPHA


class BinaryVPT(Prompt):
    """Learnable P (L, N, D) -> bits B = 1[P > threshold] -> tokens s B; with `sign`, tokens s (2 B - 1), threshold 0.

    The gradient passes the comparison straight through, dB/dP = 1 (`surrogate` "identity"), or as ATan(2) of
    P - threshold ("atan"). Deep: L = depth, new tokens at every block; shallow: L = 1. P starts uniform in
    [threshold - 1/2, threshold + 1/2], as wide as Spike-NVPT's currents, so about half of the bits are 1.

    `sign` is another model in the shallow form alone, or where a block does not normalise its tokens first: elsewhere
    LN(2 B - 1) = LN(B), and `scale` changes nothing either.

    Spike-NVPT deploys a threshold on P too, so it differs from this method by its surrogate gradient alone: what its
    neurons bring to training is the difference between the two. Raises BadSetting, Unsupported.

    Straight-through: Bengio et al. 2013 (arXiv 1308.3432), section 4; VPT: Jia et al. 2022, Eq. 4. The pair is ours.
    """

    enters = "tokens"

    def __init__(
        self,
        site: PromptSite,
        *,
        tokens: Annotated[int, "prompt tokens of each block"] = 10,
        deep: Annotated[bool, "new tokens at every block; no: at the first alone"] = True,
        threshold: Annotated[float, "value above which a bit is 1"] = 0.5,
        sign: Annotated[bool, "bits are -1 and 1, and the threshold 0; no: 0 and 1"] = False,
        surrogate: Annotated[str, "gradient of the comparison: identity or atan"] = "identity",
        scale: Annotated[float, "what the bits are multiplied by"] = 1.0,
    ) -> None:
        super().__init__()
        need_blocks(site, "binary-vpt")
        need(tokens >= 1, "tokens", tokens, "at least 1")
        need(math.isfinite(threshold), "threshold", threshold, "a number")
        need(surrogate in ("identity", "atan"), "surrogate", surrogate, "identity or atan")
        need(math.isfinite(scale) and scale != 0, "scale", scale, "a number other than 0")
        if not deep:
            need_one_width(site, "shallow binary-vpt")
        self.threshold, self.sign = 0.0 if sign else threshold, sign
        self.surrogate, self.scale = surrogate, scale
        self.layout = Layout(tokens, site.widths if deep else site.widths[:1])
        self.p = nn.Parameter(self.threshold - 0.5 + torch.rand(self.layout.shape))

    def tokens(self) -> Tensor:
        """s B, or s (2 B - 1) with `sign`: (L, N, D), 0 behind a block's own channels."""
        over = self.p - self.threshold
        bits = (over.detach() > 0).to(over.dtype)
        if self.training:
            soft: Tensor = surrogates.atan(alpha=ATAN_ALPHA)(over) if self.surrogate == "atan" else over
            # The value is `bits`, the gradient is that of `soft`; a difference of floats would not be exact.
            bits = _Straight.apply(soft, bits)
        return self.scale * self.layout.dense(2 * bits - 1 if self.sign else bits)

    def bits(self) -> Tensor:
        """B, (L, N, D) of bool."""
        return self.layout.dense((self.p.detach() > self.threshold).float()).bool()

    def density(self) -> float:
        """The share of bits that are 1."""
        return float((self.p.detach() > self.threshold).double().mean())


class _Straight(torch.autograd.Function):
    """The value of `hard` with the gradient of `soft`."""

    @staticmethod
    def forward(ctx: object, soft: Tensor, hard: Tensor) -> Tensor:
        return hard.clone()

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
