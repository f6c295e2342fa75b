"""LSPT: prompt tokens that carry what the blocks saw, by spatial coding and by a memory along depth."""

from __future__ import annotations

import math
from typing import Annotated

from torch import Tensor, nn

from neuroprompt.contracts.learning import Prompt, PromptSite, Stream
from neuroprompt.prompts._init import need, need_blocks, need_one_width, vpt_uniform
from neuroprompt.prompts._memory import LSTM, Leaky, Memory, SpikingLSTM, State


class LSPT(Prompt):
    """Z_0 (N, D) is learned; behind block l, Zo_l being its outputs for the prompts and X_l those for the patches:

    spatial prompt coding:    Zs_l = Zo_l + mean of X_l over the patches, for every prompt token
    long-term prompt coding:  (h_l, m_l) = LSTM(Zs_l, (h_{l-1}, m_{l-1}));  h_0 = m_0 = 0;  Z_l = Zs_l + W h_l + b

    One LSTM for all blocks; every token is a sequence of its own. The mean holds no class token and no prompt. W and b
    are 0 at first, so that training begins with spatial coding alone. `lstm_hidden` is H, the size of h; 0 or D: the
    full LSTM, and h_l takes the place of W h_l + b. `residual=False`: Z_l = W h_l + b, or h_l. N D + 4 H (D + H) + 8 H
    + H D + D parameters: at D = 768, 263,424 beside Z_0 with H = 64, and 4,724,736 with the full LSTM.

    `memory` puts spikes in the place of h_l: "lif" (LIF neurons with `tau` and `threshold`) or "slstm" (snnTorch's
    spiking LSTM with `threshold`), on Zs_l normalised; see `_memory`. "none" leaves the memory out, Z_l = Zs_l, and
    `spatial=False` the spatial coding, Zs_l = Zo_l; both together are VPT-shallow. Raises BadSetting, Unsupported.

    Mo et al. 2024 (arXiv 2402.17406), rebuilt: no code and no sizes are published. N, H, W, the residual and its zeros
    are ours (`lstm_hidden=0`, `residual=False` is the literal reading), and so are the spiking memories.
    """

    enters = "tokens"
    per_image = True

    def __init__(
        self,
        site: PromptSite,
        *,
        tokens: Annotated[int, "prompt tokens"] = 10,
        memory: Annotated[str, "memory along the blocks: lstm, lif, slstm or none"] = "lstm",
        spatial: Annotated[bool, "add the mean of the patches to the tokens; no: leave it out"] = True,
        lstm_hidden: Annotated[int, "size of the memory; 0: the backbone's width"] = 64,
        residual: Annotated[bool, "add the memory to the coded tokens; no: it replaces them"] = True,
        tau: Annotated[float, "time constant of the lif memory in blocks"] = 2.0,
        threshold: Annotated[float, "threshold of the spiking memories"] = 0.1,
    ) -> None:
        super().__init__()
        need_blocks(site, "lspt")
        need_one_width(site, "lspt")
        need(memory in ("lstm", "lif", "slstm", "none"), "memory", memory, "lstm, lif, slstm or none")
        need(lstm_hidden >= 0, "lstm_hidden", lstm_hidden, "at least 1, or 0 for the backbone's width")
        need(0 <= threshold < math.inf, "threshold", threshold, "a number of at least 0")
        hidden = lstm_hidden or site.width
        self.residual, self.spatial = residual, spatial
        self.p = nn.Parameter(vpt_uniform(1, tokens, site))
        self.memory: Memory | None = None
        if memory == "none":
            self.spiking = False
            return
        if memory == "lstm":
            self.memory = LSTM(site.width, hidden)
        elif memory == "lif":
            self.memory = Leaky(site.width, hidden, tau, threshold)
        else:
            self.memory = SpikingLSTM(site.width, hidden, threshold)
        self.spiking = self.memory.spiking
        self.back: nn.Module = nn.Identity()
        if hidden != site.width:
            self.back = nn.Linear(hidden, site.width)
            if residual:
                nn.init.zeros_(self.back.weight)
                nn.init.zeros_(self.back.bias)

    def stream(self) -> LSPTStream:
        """A new pass, its memory empty."""
        return LSPTStream(self)


class LSPTStream(Stream):
    """The prompt tokens of one forward pass, with the memory's state and, where it spikes, its spikes."""

    def __init__(self, prompt: LSPT) -> None:
        self.prompt = prompt
        self.state: State | None = None
        self.spikes: list[Tensor] = []

    def enter(self, patches: Tensor) -> Tensor:
        """Z_0 for every image, (B, N, D)."""
        return self.prompt.p.expand(patches.shape[0], -1, -1)

    def after(self, block: int, prompts: Tensor, patches: Tensor) -> Tensor:
        """Z_l, (B, N, D), of Zo_l (B, N, D) and X_l (B, P, D)."""
        coded = prompts + patches.mean(dim=1, keepdim=True) if self.prompt.spatial else prompts
        if self.prompt.memory is None:
            return coded
        out, self.state = self.prompt.memory(coded.flatten(0, 1), self.state)
        out = out.unflatten(0, coded.shape[:2])
        if self.prompt.spiking:
            self.spikes.append(out.detach())
        back: Tensor = self.prompt.back(out)
        return coded + back if self.prompt.residual else back
