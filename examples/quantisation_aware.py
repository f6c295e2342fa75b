"""Train a spiking net, put it in Loihi's integers, train on in them, and run it: the chip fires as what was trained.

python examples/quantisation_aware.py     (about a quarter of a minute)
"""

from typing import Any

import torch
from torch import nn

import neuroprompt as npt
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.spiking.neurons import LIF

STEPS = 16
torch.set_num_threads(1)
torch.manual_seed(0)


def images(part: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes (T, N, 64), a pixel of x in [0, 1] firing with probability x in every step, and labels."""
    images, labels = zip(*part, strict=True)
    grey = torch.stack([image[0].flatten() for image in images]) / 255
    return torch.bernoulli(grey.expand(STEPS, -1, -1)), torch.tensor(labels)


def counts(chain: nn.Sequential, spikes: torch.Tensor) -> torch.Tensor:
    """How often each of the last neurons fires, (N, 10): the same loop for floats and for integers."""
    synapses_1, neurons_1, synapses_2, neurons_2 = chain
    v_1, v_2, total = (torch.zeros(spikes.shape[1], n) for n in (64, 10, 10))
    for x in spikes:
        hidden, v_1 = neurons_1(synapses_1(x), v_1)
        fired, v_2 = neurons_2(synapses_2(hidden), v_2)
        total = total + fired
    return total


def train(chain: nn.Sequential, epochs: int, lr: float) -> None:
    optimiser = torch.optim.Adam(chain.parameters(), lr)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(counts(chain, spikes[:, batch]), labels[batch]).backward()
            optimiser.step()
    right = (counts(chain, test_spikes).argmax(1) == test_labels).double().mean()
    print(f"{type(chain).__name__}: accuracy {right:.1%}")


digits = npt.Data.named("digits").load(Preprocess((8, 8), interpolation="nearest"), seed=0)
(spikes, labels), (test_spikes, test_labels) = images(digits.train), images(digits.test)

chain = nn.Sequential(nn.Linear(64, 64, bias=False), LIF(2.0), nn.Linear(64, 10, bias=False), LIF(2.0))
train(chain, epochs=15, lr=1e-2)
aware = npt.loihi_aware(chain)
train(aware, epochs=3, lr=1e-3)

model, chip = aware.model(STEPS), SpikingTarget.named("loihi")
fired = [list(chip.run(model, x.numpy(), "fixed").spikes.values())[-1].sum(0) for x in test_spikes.unbind(1)]
print(f"Loihi's integers: {(counts(aware, test_spikes).detach().numpy() == fired).mean():.2%} of the counts as trained")
