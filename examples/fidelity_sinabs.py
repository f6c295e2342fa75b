"""Trains the convolution net of fidelity_nets.py with sinabs: fidelity_sinabs.py PACKAGES FOLDER, in a child process.

FOLDER holds events.npz: x (T, N, 2, 16, 16) and labels y (N,); weights.npz gets the weights of its five layers.
"""

import sys
from pathlib import Path

packages, folder = sys.argv[1], Path(sys.argv[2])
sys.path.insert(0, packages)

import numpy as np  # noqa: E402
import sinabs.layers as sl  # noqa: E402
import torch  # noqa: E402
from sinabs.activation import MembraneReset, SingleSpike  # noqa: E402
from torch import nn  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(0)
BATCH = 64


def neurons() -> nn.Module:
    """IF that fire at most once a step and reset to 0: what NIR's IF does."""
    layer: nn.Module = sl.IAFSqueeze(spike_fn=SingleSpike, reset_fn=MembraneReset(), batch_size=BATCH)
    return layer


with np.load(folder / "events.npz") as file:
    x, y = (torch.from_numpy(file[key]) for key in ("x", "y"))
chain = nn.Sequential(
    *(nn.Conv2d(2, 8, 3, padding=1, bias=False), neurons(), sl.SumPool2d(2)),
    *(nn.Conv2d(8, 8, 3, padding=1, bias=False), neurons(), sl.SumPool2d(2)),
    *(nn.Conv2d(8, 16, 3, bias=False), neurons(), nn.Flatten()),
    *(nn.Linear(64, 32, bias=False), neurons(), nn.Linear(32, 6, bias=False), neurons()),
)
optimiser = torch.optim.Adam(chain.parameters(), 3e-3)
for _ in range(10):
    for batch in torch.randperm(len(y)).split(BATCH):
        if len(batch) < BATCH:
            continue
        for layer in chain:
            if isinstance(layer, sl.IAFSqueeze):
                layer.reset_states()
        spikes = chain(x[:, batch].transpose(0, 1).flatten(0, 1)).unflatten(0, (BATCH, -1))
        optimiser.zero_grad()
        nn.functional.cross_entropy(spikes.sum(1), y[batch]).backward()
        nn.utils.clip_grad_norm_(chain.parameters(), 1.0)
        optimiser.step()
weights = [p.detach().numpy() for p in chain.parameters() if p.ndim > 1]
np.savez(folder / "weights.npz", *weights)
