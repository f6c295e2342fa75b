"""VAPT: prompt tokens of every block that are made of the image's patches there."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.learning import Prompt, PromptSite, Stream
from neuroprompt.errors import Unsupported
from neuroprompt.prompts._init import need, need_blocks, need_one_width, vpt_uniform


class VAPT(Prompt):
    """Prompts P of block i + 1, of the patches X (B, n, D) that enter it; the first block's Z_0 (N, D) are learned:

    Y = K_i * LN_i(X)            a k x k convolution on the grid of patches, one kernel for all channels: (B, n', D)
    Z = A_i Y + a_i              A_i (N, n') mixes places: (B, N, D)
    P = Z + W2 relu(W1 Z)        W1 (H, D) and W2 (D, H), the same for all blocks

    A and a are 0 at first: training begins with zeros for prompts behind the first block. Each P_j is a function of
    sum_k a_jk x_k, of mixed patches. N D + 2 H D + (L - 1) (2 D + k^2 + (n' + 1) N) parameters. It depends on the
    image, and stands in the deployed graph. Raises BadSetting, Unsupported.

    VAPT, ICLR 2026 (Visual Adaptive Prompt Tuning), and the released code (Minhchuyentoancbn/VAPT), which drops
    channels of Y in training besides: left out here. N, k = 2 and H = 16 are our choice.
    """

    enters = "tokens"
    per_image = True

    def __init__(
        self,
        site: PromptSite,
        *,
        tokens: Annotated[int, "prompt tokens of each block"] = 10,
        kernel: Annotated[int, "side of the convolution over patches"] = 2,
        hidden: Annotated[int, "width of the layer between a token and its change"] = 16,
    ) -> None:
        super().__init__()
        need_blocks(site, "vapt")
        need_one_width(site, "vapt")
        self.grid = (site.image[1] // site.patch, site.image[2] // site.patch)
        need(1 <= kernel <= min(self.grid), "kernel", kernel, f"from 1 to {min(self.grid)}, the patches of a side")
        need(hidden >= 1, "hidden", hidden, "at least 1")
        later, width = site.depth - 1, site.width
        places = math.prod(side - kernel + 1 for side in self.grid)
        self.p = nn.Parameter(vpt_uniform(1, tokens, site))
        self.norm_weight = nn.Parameter(torch.ones(later, width))
        self.norm_bias = nn.Parameter(torch.zeros(later, width))
        self.kernel = nn.Parameter(torch.randn(later, 1, 1, kernel, kernel))
        self.mix = nn.Parameter(torch.zeros(later, tokens, places))
        self.offset = nn.Parameter(torch.zeros(later, tokens, 1))
        self.down, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)

    def stream(self) -> Stream:
        """A new pass."""
        return _Pass(self)

    def made(self, block: int, patches: Tensor) -> Tensor:
        """Prompt tokens (B, N, D) behind block `block`, of its patches (B, n, D)."""
        if patches.shape[1] != math.prod(self.grid):
            got = f"vapt on {patches.shape[1]} patches that are no grid of {self.grid[0]} x {self.grid[1]}"
            raise Unsupported(got, "a patch for every place", "choose another --backbone or --method")
        x = F.layer_norm(patches, patches.shape[-1:], self.norm_weight[block], self.norm_bias[block])
        maps = x.transpose(1, 2).unflatten(2, self.grid).flatten(0, 1).unsqueeze(1)
        places = F.conv2d(maps, self.kernel[block]).flatten(1).unflatten(0, (-1, patches.shape[2])).transpose(1, 2)
        mixed = self.mix[block] @ places + self.offset[block]
        changed: Tensor = mixed + self.up(self.down(mixed).relu())
        return changed


class _Pass(Stream):
    """The prompt tokens of one forward pass; nothing of a block's prompts goes on."""

    def __init__(self, prompt: VAPT) -> None:
        self.prompt = prompt

    def enter(self, patches: Tensor) -> Tensor:
        """Z_0 for every image, (B, N, D)."""
        return self.prompt.p.expand(patches.shape[0], -1, -1)

    def after(self, block: int, prompts: Tensor, patches: Tensor) -> Tensor:
        """P of the next block, (B, N, D)."""
        return self.prompt.made(block, patches)
