"""What the documentation says of other libraries, one small script for each row: it fails when a library changes.

The scripts run in a child with the library's own packages, at the newest versions that pip installs (November 2026).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from libraries import packages_of, python_of

from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import RuntimeMissing

DOCS = Path(__file__).parents[2] / "docs"
ROWS = {
    "nirtorch 2.6 loses the bias of Affine": (
        "",
        """
import nir, nirtorch, numpy as np
node = nir.Affine(np.eye(2, dtype=np.float32), np.array([5.0, 7.0], np.float32))
module = nirtorch.nir_to_torch(nir.NIRGraph.from_list(node), {})
print({name: np.allclose(p.detach(), [5.0, 7.0]) for name, p in module.named_parameters() if name.endswith("bias")})
""",
        "{'affine.bias': False}",
    ),
    "snnTorch 1.0.0 writes a subtracting reset as a reset to 0": (
        "",
        """
import torch, snntorch
from snntorch.export_nir import export_to_nir
beta, threshold = torch.full((3,), 0.9), torch.ones(3)
leaky = snntorch.Leaky(beta=beta, threshold=threshold, reset_mechanism="subtract", init_hidden=True)
graph = export_to_nir(torch.nn.Sequential(torch.nn.Linear(2, 3), leaky), torch.zeros(1, 2), ignore_dims=[0])
print([node.v_reset.tolist() for node in graph.nodes.values() if type(node).__name__ == "LIF"])
""",
        "[[0.0, 0.0, 0.0]]",
    ),
    "Norse 1.1.0 writes a time constant times dt": (
        "",
        """
import torch, norse.torch as norse
cell = norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(100.0)))
graph = norse.to_nir(norse.SequentialState(torch.nn.Linear(2, 3), cell), torch.zeros(1, 2))
print([f"{float(node.tau):.0e}" for node in graph.nodes.values() if type(node).__name__ == "LIF"])
""",
        "['1e-05']",  # 1 / 100 s times dt = 0.001
    ),
    "SpikingJelly 2.0.0 rejects a soft reset": (
        "spikingjelly",
        """
import torch
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir
net = torch.nn.Sequential(torch.nn.Linear(3, 2), neuron.IFNode(v_reset=None))
try:
    print(export_to_nir(net, torch.zeros(1, 3)))
except NotImplementedError as error:
    print(error)
""",
        "NIR does not distinguish soft reset.",
    ),
    "Spyx 1.0.0 writes CuBaLIF with r = beta and w_in = 1": (
        "spyx",
        """
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
from flax import nnx
from spyx import nn
from spyx.nir import to_nir
rngs = nnx.Rngs(0)
net = nn.Sequential(nnx.Linear(2, 3, rngs=rngs), nn.CuBaLIF((3,), alpha=0.5, beta=0.75, threshold=1.0, rngs=rngs))
graph = to_nir(net, {"input": np.array([2])}, {"output": np.array([3])})
node = next(node for node in graph.nodes.values() if type(node).__name__ == "CubaLIF")
print(np.unique(node.r).tolist(), np.unique(node.w_in).tolist())
""",
        "[0.75] [1.0]",
    ),
    "snnTorch 1.0.0 reads IF as a leak of 0.9": (
        "",
        """
import nir, numpy as np
from snntorch.import_nir import import_from_nir
one = np.ones(2)
graph = nir.NIRGraph.from_list(nir.Affine(np.eye(2), one), nir.IF(r=one, v_threshold=one, v_reset=one * 0))
net = import_from_nir(graph)
print([round(float(m.beta), 3) for m in net.modules() if type(m).__name__ == "Leaky"])
""",
        "[0.9]",
    ),
    "Norse 1.1.0 ignores r": (
        "",
        """
import nir, numpy as np, torch, norse.torch as norse
one, counts = np.ones(1, np.float32), []
for r in (1, 50):
    lif = nir.LIF(tau=one * 0.01, r=one * r, v_leak=one * 0, v_threshold=one, v_reset=one * 0)
    net = norse.from_nir(nir.NIRGraph.from_list(nir.Linear(np.eye(1, dtype=np.float32)), lif), dt=1e-3)
    state, spikes = None, 0
    for _ in range(100):
        z, state = net(torch.full((1, 1), 0.9), state)
        spikes += int(z.sum())
    counts.append(spikes)
print(counts)
""",
        "[0, 0]",
    ),
    "SpikingJelly 2.0.0 fires at its threshold": (
        "spikingjelly",
        """
import torch
from spikingjelly.activation_based import neuron
print(neuron.IFNode(v_threshold=1.0, v_reset=0.0)(torch.ones(1, 1)).tolist())
""",
        "[[1.0]]",
    ),
    "sinabs 3.1.3 fires at its threshold and decays by exp(-1/tau)": (
        "sinabs",
        """
import math, torch, sinabs.layers as sl
fired = sl.IAF(spike_threshold=torch.tensor(1.0))(torch.ones(1, 1, 1))
leak = sl.ExpLeak(tau_mem=torch.tensor(4.0), norm_input=False)(torch.tensor([[[1.0], [0.0], [0.0]]])).flatten()
print(fired.flatten().tolist(), abs(float(leak[1] / leak[0]) - math.exp(-1 / 4)) < 1e-6)
""",
        "[1.0] True",
    ),
    "Nengo 4.1.0 puts a spike between two steps": (
        "nengo",
        """
import nengo, numpy as np
v, rest, fired = np.array([0.9]), np.zeros(1), np.zeros(1)
nengo.LIF(tau_rc=0.02, tau_ref=0.0).step(dt=0.001, J=np.array([20.0]), output=fired, voltage=v, refractory_time=rest)
print(bool(fired[0]), 0 < rest[0] < 0.001)
""",
        "True True",  # without a refractory time it still rests until the spike's own moment
    ),
    "Lava 0.10.0 clips weights, drops odd bits and starts biases a step before inputs": (
        "lava",
        """
import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF
lines, dense = RingBuffer(data=np.ones((1, 2), int)), Dense(weights=np.array([[1000], [3], [-4]]))
neurons, v = LIF(shape=(3,), du=4095, dv=0, vth=100000, bias_mant=64), []
lines.s_out.connect(dense.s_in)
dense.a_out.connect(neurons.a_in)
for _ in range(2):
    neurons.run(RunSteps(1), Loihi2SimCfg(select_tag="fixed_pt"))
    v.append((neurons.v.get() // 64).tolist())
neurons.stop()
print(v)
""",
        "[[1.0, 1.0, 1.0], [256.0, 4.0, -2.0]]",  # 2 steps of a bias of 1, and weights of 254, 2 and -4
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_the_library_still_does_it(row: str) -> None:
    library, script, expected = ROWS[row]
    try:
        folders = packages_of(library) if library else ""
    except RuntimeMissing as error:
        pytest.skip(f"the packages of {library} cannot be had: {error}")
    if library and not SpikingTarget.part(library).available().ok:
        pytest.skip(f"{library} is not installed")
    words = [python_of(library) if library else sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(
        words, env=os.environ | {"PYTHONPATH": folders}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.strip().splitlines()[-1:] == [expected], done.stderr[-2000:]


def test_the_documentation_names_these_versions() -> None:
    """A row is of one version: a pin that moves is to be looked at again."""
    text = (DOCS / "explain" / "simulators.md").read_text() + (DOCS / "libraries.md").read_text()
    for row in ROWS:
        assert " ".join(row.split()[:2]) in text, row
