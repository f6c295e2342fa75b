"""The one neuron convention, on snnTorch neurons: strict `v > threshold`, hard reset to 0 in the same step, ATan(2).

It is the only convention that snnTorch, NIR and Lava share exactly: NIR cannot say "subtract", and Lava resets to 0.

    IF    v <- v + I                          s = 1[v > threshold]   v <- v (1 - s)
    LIF   v <- (1 - 1/tau) v + I / tau        s = 1[v > threshold]   v <- v (1 - s)      tau in steps, tau >= 1
"""

from __future__ import annotations

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn

from neuroprompt.errors import BadSetting, Unsupported

ATAN_ALPHA = 2.0
"""Width of the arctangent surrogate: dS/dx = (alpha/2) / (1 + (pi/2 alpha x)^2)."""


class IF(nn.Module):
    """Integrate-and-fire neurons that never leak.

    v[t] = v[t-1] + I[t];  s[t] = 1[v[t] > threshold];  v[t] <- v[t] (1 - s[t]).  NIR: `IF`.
    """

    def __init__(self, threshold: float = 1.0) -> None:
        super().__init__()
        if not threshold >= 0:
            raise BadSetting(f"threshold {threshold}", "a number of at least 0")
        self.threshold = float(torch.tensor(threshold, dtype=torch.float32))  # as snnTorch keeps it
        self.leaky = leaky(1.0, self.threshold)

    def forward(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """One step: (current, v), both of one shape, -> (spikes of 0 and 1, v after reset)."""
        return _step(self.leaky, current, v)


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons with gain 1/tau on the input.

    v[t] = (1 - 1/tau) v[t-1] + I[t]/tau;  s[t] = 1[v[t] > threshold];  v[t] <- v[t] (1 - s[t]).
    NIR: `LIF(tau = tau dt, r = 1, v_leak = 0, v_reset = 0)`.
    """

    def __init__(self, tau: float, threshold: float = 1.0) -> None:
        super().__init__()
        if not tau >= 1:
            raise BadSetting(f"tau {tau}", "a time constant of at least 1 step")
        if not threshold >= 0:
            raise BadSetting(f"threshold {threshold}", "a number of at least 0")
        self.tau = float(tau)
        self.threshold = float(torch.tensor(threshold, dtype=torch.float32))  # as snnTorch keeps it
        self.leaky = leaky(1.0 - 1.0 / self.tau, self.threshold)

    def forward(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """One step: (current, v), both of one shape, -> (spikes of 0 and 1, v after reset)."""
        return _step(self.leaky, current / self.tau, v)


class Current(nn.Module):
    """A constant current, the same at every step: the learnable input of a static prompt; shape (n,)."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self) -> Tensor:
        """The current of one step, shape (n,)."""
        return self.values


def spike_train(neurons: IF | LIF, currents: Tensor) -> Tensor:
    """Run `neurons` on `currents` (T, ...) from rest; the spikes of every step, (T, ...)."""
    v = torch.zeros_like(currents[0])
    spikes = []
    for current in currents:
        s, v = neurons(current, v)
        spikes.append(s)
    return torch.stack(spikes)


def check_convention(neuron: snntorch.Leaky, name: str) -> None:
    """Raise Unsupported where an snnTorch neuron does what neither NIR nor our metadata say; `name` is the module's."""
    wrong = ""
    if not isinstance(neuron, snntorch.Leaky) or type(neuron) is not snntorch.Leaky:
        wrong = f"a {type(neuron).__name__}"
    elif neuron.reset_mechanism not in ("zero", "subtract"):
        wrong = f'reset_mechanism="{neuron.reset_mechanism}"'
    elif neuron.state_quant:
        wrong = "state_quant"
    elif neuron.inhibition:
        wrong = "inhibition"
    elif float(torch.as_tensor(neuron.graded_spikes_factor)) != 1.0:
        wrong = "graded spikes"
    if wrong:
        expected = 'snntorch.Leaky with reset_mechanism "zero" or "subtract"'
        raise Unsupported(f"{name} has {wrong}", expected, "retrain with it")


def _step(leaky: snntorch.Leaky, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    spikes, v = leaky(current, v)
    # snnTorch keeps the last state as a buffer, and with it the whole graph of the step: no copy.deepcopy, and a leak.
    leaky.mem = leaky.reset = torch.zeros(0, device=v.device)
    return spikes, v


def leaky(beta: float | Tensor, threshold: float | Tensor) -> snntorch.Leaky:
    """snnTorch's Leaky in our convention: strict >, reset to 0 in the same step, ATan(2)."""
    return snntorch.Leaky(
        beta=beta,
        threshold=threshold,
        spike_grad=surrogate.atan(alpha=ATAN_ALPHA),
        reset_mechanism="zero",
        reset_delay=False,
    )
