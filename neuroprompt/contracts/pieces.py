"""What prompts hand to those who train and deploy them: streams of tokens, spiking parts, and parts beside layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn


class Stream(ABC):
    """Prompt tokens that follow one batch of images from block to block; made anew for every forward pass.

    `temperatures` (L,), where a method has them, divide the attention scores of block i. `spikes` holds, where neurons
    make the tokens, what they emitted behind every block so far, (B, N, H) of 0 and 1: one neuron update each.
    """

    temperatures: Tensor | None = None
    spikes: Sequence[Tensor] = ()

    @abstractmethod
    def enter(self, patches: Tensor) -> Tensor:
        """Prompt tokens (B, N, D) for the first block, of its patch tokens (B, P, D)."""

    @abstractmethod
    def after(self, block: int, prompts: Tensor, patches: Tensor) -> Tensor:
        """Prompt tokens for block `block` + 1, of what `block` made of prompts and patches; not called for the last."""


@dataclass(frozen=True)
class Generator:
    """The spiking part of a prompt: modules in a row, driven for `steps` time steps from rest.

    `chain` holds `Current` (first, where the input is constant), `nn.Linear`, `IF`, `LIF` and snnTorch `Leaky` modules.
    A chain that begins with neurons is driven one to one, by `inputs` values of at most `largest` in magnitude (0: not
    known); otherwise the first module says how many there are.
    """

    chain: nn.Sequential
    steps: int
    inputs: int = 0
    largest: float = 0.0


@dataclass(frozen=True)
class Gated:
    """A prompt X' = X + (1/T) sum_t S_t * P_t in parts: the spikes S_t are those of neurons that P_t drives.

    `factors`: images (B, C, H, W) in [0, 1] -> P (B, T, C, H, W); `generator`: one neuron for each value of an image.
    """

    factors: nn.Module
    generator: Generator


class Beside(nn.Module, ABC):
    """What stands beside a linear layer: y = W x + b + beside(x), gated by neurons that run one step from rest."""

    @abstractmethod
    def drive(self, x: Tensor) -> Tensor:
        """What drives its neurons, (..., n), of the layer's input x (..., in)."""

    @abstractmethod
    def fired(self, drive: Tensor) -> Tensor:
        """Their spikes of 0 and 1, (..., n)."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """What is added to the layer's output, (..., out), of its input x (..., in)."""
