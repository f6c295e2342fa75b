"""SpikeLoRA: low-rank changes beside linear layers, each rank of which passes where its neuron fires."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, cast

import torch
from snntorch import surrogate
from torch import Tensor, nn

from neuroprompt.contracts.learning import Beside, Generator, Prompt, PromptSite
from neuroprompt.prompts._init import need
from neuroprompt.prompts._weights import layers_of
from neuroprompt.spiking.neurons import ATAN_ALPHA, LIF


class SpikeLoRA(Prompt):
    """y = W x + b + (alpha / sqrt r) B (S(A x) * A x) for chosen layers, with A (r, in) and B (out, r).

    S are the spikes of one LIF neuron for each of the r numbers A x of each token: one step from rest, so that
    S = 1[A x / tau > threshold]. `layers` chooses the layers as lora's does, among linear ones that timm calls. A is
    uniform in +-1/sqrt(in) and B is 0 at first: training begins with the frozen network. r sum (in + out) parameters.
    It depends on the image and cannot be merged: it stands in the deployed graph. Raises BadSetting, Unsupported.

    SpikeLoRA, released code (iwandejong/spikeloralib 0.2.0): r = 8, alpha = 16, tau = 2, threshold 0.1, ATan(2), and
    alpha / sqrt r, which it calls rsLoRA. It fires at A x / tau >= threshold, and its layers are those of language
    models; ours is the strict threshold, and vision models' layers. Its paper is not published.
    """

    enters = "layers"
    per_image = True
    spiking = True

    def __init__(
        self,
        site: PromptSite,
        *,
        rank: Annotated[int, "rank of every change"] = 8,
        alpha: Annotated[float, "a change is multiplied by alpha / sqrt(rank)"] = 16.0,
        tau: Annotated[float, "time constant of the neurons in steps"] = 2.0,
        threshold: Annotated[float, "threshold of the neurons"] = 0.1,
        layers: Annotated[str, "which layers: attention, all, or auto (all where there is no attention)"] = "auto",
    ) -> None:
        super().__init__()
        need(rank >= 1, "rank", rank, "at least 1")
        need(math.isfinite(alpha) and alpha != 0, "alpha", alpha, "a number other than 0")
        need(1 <= tau < math.inf, "tau", tau, "a time constant of at least 1 step")
        need(0 <= threshold < math.inf, "threshold", threshold, "a number of at least 0")
        linear = {name: site.weights[name] for name in site.layers}
        self.layers = layers_of(linear, "spike-lora", layers)
        self.parts = nn.ModuleList(GatedRanks(shape, rank, alpha, tau, threshold) for shape in self.layers.values())
        self.neurons = LIF(tau, threshold)

    def beside(self) -> Mapping[str, Beside]:
        """The gated changes, by the layer's weight."""
        return {name: cast(Beside, part) for name, part in zip(self.layers, self.parts, strict=True)}

    def gate_neurons(self, count: int) -> Generator:
        """`count` neurons, for as many numbers that drive them, in one step."""
        return Generator(nn.Sequential(LIF(self.neurons.tau, self.neurons.threshold)), steps=1, inputs=count)


class GatedRanks(Beside):
    """(alpha / sqrt r) B (S(A x) * A x) of one layer, W (out, in)."""

    def __init__(self, shape: tuple[int, ...], rank: int, alpha: float, tau: float, threshold: float) -> None:
        super().__init__()
        outputs, inputs = shape
        self.scale, self.lif = alpha / math.sqrt(rank), LIF(tau, threshold)
        self.a = nn.Parameter(torch.empty(rank, inputs).uniform_(-1, 1) / math.sqrt(inputs))
        self.b = nn.Parameter(torch.zeros(outputs, rank))

    def drive(self, x: Tensor) -> Tensor:
        """A x, (..., r)."""
        return x @ self.a.mT

    def fired(self, drive: Tensor) -> Tensor:
        """S, (..., r): the first step of the neurons, from rest."""
        over = drive / self.lif.tau - self.lif.threshold
        spikes: Tensor = _spike(over) if self.training else (over > 0).to(drive.dtype)
        return spikes

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        drive = self.drive(x)
        return self.scale * ((self.fired(drive) * drive) @ self.b.mT)


_spike = surrogate.atan(alpha=ATAN_ALPHA)
