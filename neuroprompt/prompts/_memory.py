"""Memories along depth for token prompts: an LSTM, LIF neurons, or snnTorch's spiking LSTM."""

from __future__ import annotations

from abc import ABC, abstractmethod

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.spiking.neurons import ATAN_ALPHA, LIF

State = tuple[Tensor, ...]


class Memory(nn.Module, ABC):
    """One step a block, the same weights at every block; every token is a sequence of its own."""

    spiking = True

    @abstractmethod
    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Output (n, H) and new state of input (n, D) and the last block's state; None at first: all zeros."""


class LSTM(Memory):
    """(h, m) = LSTM(x, (h, m)); the output is h, (n, H). 4 H (D + H) + 8 H parameters."""

    spiking = False

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(width, hidden)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See the class."""
        h, m = self.cell(x, state)
        return h, (h, m)


class Leaky(Memory):
    """LIF neurons (see neurons.LIF) on I = W LN(x) + b; the output is their spikes, (n, H). D H + H parameters.

    LN has no parameters: it brings the current to a size that the threshold can be chosen for, on any backbone.
    """

    def __init__(self, width: int, hidden: int, tau: float, threshold: float) -> None:
        super().__init__()
        self.current = nn.Linear(width, hidden)
        self.neurons = LIF(tau, threshold)

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See the class."""
        current = _at_least_float32(self.current(_normalised(x)))
        v = torch.zeros_like(current) if state is None else state[0]
        if self.training:
            spikes, v = self.neurons(current, v)
            spikes = spikes.to(v.dtype)  # snnTorch's are float32, whatever the potential
        else:  # the definition: torch cannot export snnTorch's forward, which asks a tensor how to reset
            tau = self.neurons.tau
            u = (1 - 1 / tau) * v + current / tau
            spikes = (u > self.neurons.threshold).to(u.dtype)
            v = u * (1 - spikes)
        return spikes, (v,)


class SpikingLSTM(Memory):
    """snnTorch's SLSTM on LN(x): (u, m) = LSTM(LN(x), (u, m));  s = 1[u > threshold];  u <- u (1 - s).

    The output is s, (n, H). The cell is stepped here: snnTorch 1.0's own forward forgets the state at every step where
    D and H differ, and its "zero" resets one step later. 4 H (D + H) + 8 H parameters.
    """

    def __init__(self, width: int, hidden: int, threshold: float) -> None:
        super().__init__()
        self.slstm = snntorch.SLSTM(width, hidden, threshold=threshold, spike_grad=surrogate.atan(alpha=ATAN_ALPHA))

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See the class."""
        u, m = (_at_least_float32(part) for part in self.slstm.lstm_cell(_normalised(x), state))
        spikes: Tensor = self.slstm.fire(u).to(u.dtype)
        return spikes, (u * (1 - spikes), m)


def _normalised(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _at_least_float32(x: Tensor) -> Tensor:
    """A threshold is no place for bfloat16's three digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
