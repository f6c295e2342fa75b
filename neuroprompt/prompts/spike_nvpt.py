"""Spike-NVPT: binary prompt tokens that integrate-and-fire neurons make from learnable currents."""

from __future__ import annotations

import copy
import math
from typing import Annotated

import torch
from snntorch import surrogate
from torch import Tensor, nn

from neuroprompt.contracts.learning import Generator, Prompt, PromptSite
from neuroprompt.prompts._init import Layout, need, need_blocks, need_one_width
from neuroprompt.spiking.neurons import ATAN_ALPHA, IF, Current, spike_train


class SpikeNVPT(Prompt):
    """Learnable currents P (L, N, D) -> IF neurons over T steps -> rates R -> bits B -> tokens.

    Signal Filtering Layer:    U[t] = V[t-1] + P;  S[t] = 1[U[t] > Vth];  V[t] = U[t] (1 - S[t]);  R = (1/T) sum_t S[t]
    Spike Discretization Unit: B = 1[R >= theta];  tokens = s B.      Both steps back-propagate with ATan(alpha).

    Deep: L = depth, new tokens at every block; shallow: L = 1. Where blocks differ in width (Swin), P lies in a row
    without padding, a neuron each, and B is 0 behind a block's own channels. `scale` is s; `learn_scale` learns one s
    a block (L parameters beside P's). It is 1 and fixed by default, the literal bits: a pre-norm block normalises
    its tokens first and LN(s B) = LN(B), so in the deep form s changes nothing. `l1` adds l1 * mean(R) to the loss.
    P starts uniform in [init_low, init_high] Vth, that is in [0, Vth], so about half of the bits are 1 at theta 0.5.
    `alpha` is the ATan's in both steps; `jitter` > 0 adds Gaussian noise of jitter Vth to the current of every training
    step t, none in evaluation. Raises BadSetting, Unsupported.

    Zhan et al. 2026 (arXiv 2604.18284). T, Vth, theta, N, s and the init of P stand nowhere in it: ours.
    """

    enters = "tokens"
    spiking = True
    scale: Tensor

    def __init__(
        self,
        site: PromptSite,
        *,
        tokens: Annotated[int, "prompt tokens of each block"] = 10,
        deep: Annotated[bool, "new tokens at every block; no: at the first alone"] = True,
        steps: Annotated[int, "time steps of the neurons"] = 4,
        threshold: Annotated[float, "threshold of the neurons"] = 1.0,
        theta: Annotated[float, "firing rate from which a bit is 1"] = 0.5,
        scale: Annotated[float, "what the bits are multiplied by"] = 1.0,
        learn_scale: Annotated[bool, "learn one scale a block"] = False,
        l1: Annotated[float, "weight of the mean firing rate in the loss"] = 0.0,
        init_low: Annotated[float, "least initial current, in thresholds"] = 0.0,
        init_high: Annotated[float, "largest initial current, in thresholds"] = 1.0,
        alpha: Annotated[float, "steepness of the surrogate gradient (ATan)"] = ATAN_ALPHA,
        jitter: Annotated[float, "deviation of the noise on training currents, in thresholds"] = 0.0,
    ) -> None:
        super().__init__()
        need_blocks(site, "spike-nvpt")
        need(tokens >= 1, "tokens", tokens, "at least 1")
        need(steps >= 1, "steps", steps, "at least 1")
        need(0 < threshold < math.inf, "threshold", threshold, "a number above 0")
        need(0 < theta <= 1, "theta", theta, "a rate in (0, 1]")
        need(math.isfinite(scale) and scale != 0, "scale", scale, "a number other than 0")
        need(0 <= l1 < math.inf, "l1", l1, "a number of at least 0")
        need(math.isfinite(init_low), "init_low", init_low, "a number")
        need(init_low <= init_high < math.inf, "init_high", init_high, "a number of at least init_low")
        need(0 < alpha < math.inf, "alpha", alpha, "a number above 0")
        need(0 <= jitter < math.inf, "jitter", jitter, "a number of at least 0")
        self.steps, self.theta, self.l1, self.jitter = steps, theta, l1, jitter
        # Spikes that make a bit: the smallest whole number >= theta T. 0.7 * 10 is 7.000000000000001 in floats.
        self.least = math.ceil(theta * steps - 1e-9)
        self.neurons = IF(threshold)
        self.spike_grad = surrogate.atan(alpha=alpha)
        self.neurons.leaky.spike_grad = self.spike_grad
        if not deep:
            need_one_width(site, "shallow spike-nvpt")
        blocks = site.depth if deep else 1
        self.layout = Layout(tokens, site.widths[:blocks])
        start = init_low + (init_high - init_low) * torch.rand(self.layout.shape)
        self.p = nn.Parameter(start * self.neurons.threshold)
        if learn_scale:
            self.scale = nn.Parameter(torch.full((blocks, 1, 1), scale))
        else:
            self.register_buffer("scale", torch.full((blocks, 1, 1), scale), persistent=False)

    def tokens(self) -> Tensor:
        """s B, (L, N, D). In eval mode the neurons run in float64, as every simulator of the exported graph does."""
        if not self.training:
            return self.decode(self.counts().flatten())
        current = self._repeated(self.p.float())
        if self.jitter:
            current = current + self.jitter * self.neurons.threshold * torch.randn_like(current)
        rate = spike_train(self.neurons, current).mean(0)
        soft: Tensor = self.spike_grad(rate - self.theta)
        hard = self._bits(rate.detach() * self.steps)
        # The value is `hard` (>= and not snnTorch's >), the gradient is that of `soft`.
        return self.scale * self.layout.dense(soft + (hard - soft).detach())

    @torch.no_grad()
    def counts(self) -> Tensor:
        """Spikes of every neuron over the T steps, of P's shape; float64 sums of a float32 current are exact."""
        # On the CPU, because not every accelerator has float64.
        current = self.p.cpu().double()
        return spike_train(copy.deepcopy(self.neurons).cpu(), self._repeated(current)).sum(0)

    def bits(self) -> Tensor:
        """B as it is deployed, (L, N, D) of bool."""
        return self.layout.dense(self._bits(self.counts())).bool()

    def density(self) -> float:
        """The share of bits that are 1."""
        return float(self._bits(self.counts()).double().mean())

    def generator(self) -> Generator:
        """Current(P) -> IF, for T steps; neuron k is element k of P flattened."""
        current = Current(self.p.detach().clone().flatten())
        return Generator(nn.Sequential(current, IF(self.neurons.threshold)), self.steps)

    def decode(self, counts: Tensor) -> Tensor:
        """Tokens (L, N, D) from spike counts (n,), one a neuron: s 1[counts >= theta T]."""
        counts = counts.to(self.p.device).reshape(self.p.shape)
        return self.scale * self.layout.dense(self._bits(counts).to(self.scale.dtype))

    def penalty(self) -> Tensor | float:
        """l1 * mean(R); 0 by default."""
        return self.l1 * spike_train(self.neurons, self._repeated(self.p.float())).mean() if self.l1 else 0.0

    def _repeated(self, current: Tensor) -> Tensor:
        return current.expand(self.steps, *current.shape)

    def _bits(self, counts: Tensor) -> Tensor:
        # Counts may be a mean times T, so within rounding of a whole number: compare half-way.
        return (counts > self.least - 0.5).to(counts.dtype)
