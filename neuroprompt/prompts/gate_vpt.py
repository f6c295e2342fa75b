"""GateStream prompt tuning (GateVPT, GaPT): gates decide after each block how much of its prompts goes on."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite, Stream
from neuroprompt.prompts._init import need, need_blocks, need_one_width, share, vpt_uniform

COLDEST, HOTTEST = 0.01, 10.0
"""Limits of the temperatures, as in the released code."""


class GateVPT(Prompt):
    """Z_0 (N, D) is learned; behind block i, Zo_i being its outputs for the prompts Z_{i-1} that entered it:

    Z_i = g_i Zo_i + (1 - g_i) Z_{i-1},  g_i = sigmoid(w_i),  i = 1..L-1;   w_i = -gate_init at first: nearly closed
    attention of block i: softmax(Q K^T / (sqrt(d) temp_i)),  i = 1..L;     temp_i = 1 at first, kept in [0.01, 10]

    N D + (L - 1) + L parameters. Prompts are not pooled here, whatever the backbone's pooling; the released code pools
    them with the patches for MAE. gate_init 5 is that of its example; its N = 100 and dropout of 0.1 are not the
    defaults. `dropout` zeroes that share of Z_0 in training, for each image anew. Raises BadSetting, Unsupported.

    A gate of sigmoid(-5) moves by 0.0066 of its parameter's step. `gate_gain` (G) stores w_i = G u_i: u is what learns,
    and the gates move G times as fast under Adam, G^2 times under SGD.

    Yoo et al. 2023 (arXiv 2306.05067), released code (GatedPromptTuning).
    """

    enters = "tokens"
    per_image = True

    def __init__(
        self,
        site: PromptSite,
        *,
        tokens: Annotated[int, "prompt tokens"] = 10,
        gate_init: Annotated[float, "gates start as sigmoid(-gate_init): the larger, the more closed"] = 5.0,
        gate_gain: Annotated[float, "how much faster the gates learn than the tokens (Adam; SGD: its square)"] = 1.0,
        dropout: Annotated[float, "share of the tokens' values that training zeroes"] = 0.0,
    ) -> None:
        super().__init__()
        need_blocks(site, "gate-vpt")
        need_one_width(site, "gate-vpt")
        need(math.isfinite(gate_init), "gate_init", gate_init, "a number")
        need(0 < gate_gain < math.inf, "gate_gain", gate_gain, "a number above 0")
        self.gain, self.dropout = gate_gain, share(dropout)
        self.p = nn.Parameter(vpt_uniform(1, tokens, site))
        self.gates = nn.Parameter(torch.full((site.depth - 1,), -gate_init / gate_gain))
        self.temperatures = nn.Parameter(torch.ones(site.depth))

    def stream(self) -> GateStream:
        """A new pass."""
        return GateStream(self)


class GateStream(Stream):
    """The prompt tokens of one forward pass: those that entered the last block, and the gates."""

    def __init__(self, prompt: GateVPT) -> None:
        self.p, self.dropout = prompt.p, prompt.dropout if prompt.training else 0.0
        self.gates = (prompt.gain * prompt.gates if prompt.gain != 1 else prompt.gates).sigmoid()
        self.temperatures = prompt.temperatures.clamp(COLDEST, HOTTEST)

    def enter(self, patches: Tensor) -> Tensor:
        """Z_0 for every image, (B, N, D)."""
        self.entered = self.p.expand(patches.shape[0], -1, -1)
        if self.dropout:
            self.entered = nn.functional.dropout(self.entered, self.dropout)
        return self.entered

    def after(self, block: int, prompts: Tensor, patches: Tensor) -> Tensor:
        """Z_i, (B, N, D), of Zo_i (B, N, D)."""
        self.entered = torch.lerp(self.entered, prompts, self.gates[block])
        return self.entered
