"""What the documentation says of other libraries: by its words the library, a script, and what the script prints."""

from __future__ import annotations

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
    "Norse 1.1.0 ignores r, v_reset and a time step in the file": (
        "",
        """
import nir, numpy as np, torch, norse.torch as norse
def potentials(node, *inputs, **metadata):
    graph = nir.NIRGraph.from_list(nir.Linear(np.eye(1, dtype=np.float32)), node)
    graph.metadata.update(metadata)
    net, state, values = norse.from_nir(graph, ignore_warnings=True), None, []
    for x in inputs:
        _, state = net(torch.full((1, 1), x), state)
        values.append(round(float(next(iter(state.state.values()))[0].v), 6))
    return values
one = np.ones(1, np.float32)
lif = {"tau": one * 0.002, "v_leak": one * 0, "v_threshold": one, "v_reset": one * 0.25}
print(
    *(potentials(nir.LIF(r=one * r, **lif), 1.0, 0.0) for r in (1, 50)),
    potentials(nir.LIF(r=one, **lif), 1.0, 0.0, dt=1e-4),
    potentials(nir.LIF(r=one, **lif), 4.0),
    *(potentials(nir.IF(r=one * r, v_threshold=one, v_reset=one * 0.25), 0.5, 1.0) for r in (1, 50)),
)
""",
        # all with dt = 0.001, and with resets to 0
        "[0.5, 0.25] [0.5, 0.25] [0.5, 0.25] [0.0] [0.5, 0.0] [0.5, 0.0]",
    ),
    "Norse 1.1.0 takes the new current in a CubaLIF, and in LIFCell": (
        "",
        """
import nir, numpy as np, torch, norse.torch as norse
one = np.ones(1, np.float32)
cuba = nir.CubaLIF(tau_syn=one * 2e-3, tau_mem=one * 1e-3, r=one, v_leak=one * 0, v_threshold=one * 9, v_reset=one * 0)
net = norse.from_nir(nir.NIRGraph.from_list(nir.Linear(np.eye(1, dtype=np.float32)), cuba))
_, state = net(torch.ones(1, 1))
_, membrane = state.state["cubalif"][0]
cell = norse.LIFCell(norse.LIFParameters(tau_syn_inv=500.0, tau_mem_inv=1000.0, v_th=torch.tensor(9.0)))
_, cell = cell(torch.ones(1, 1))
print(round(float(membrane.v), 6), round(float(cell.v), 6))  # after one input of 1, in its own step
""",
        "0.5 1.0",
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
    "Spyx 1.0.0 fires a step late and subtracts after the leak": (
        "spyx",
        """
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
from flax import nnx
from spyx import nn
cell, v, rows = nn.LIF((1,), beta=0.5, threshold=1.0, rngs=nnx.Rngs(0)), np.zeros((1, 1)), []
for x in (3.0, 0.0, 0.0):
    z, v = cell(np.full((1, 1), x), v)
    rows.append((float(z[0, 0]), float(v[0, 0])))
print(rows)
""",
        "[(0.0, 3.0), (1.0, 0.5), (0.0, 0.25)]",
    ),
    "Rockpool 3.1.0 subtracts, fires several times a step and drops its bias on export": (
        "rockpool",
        """
import torch
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIFNeuronTorch, LinearTorch
from rockpool.nn.modules.torch.nir import to_nir
torch.set_grad_enabled(False)
neuron = LIFNeuronTorch(1, tau_mem=10.0, threshold=1.0, bias=0.0, noise_std=0.0, dt=1e-3)
spikes, _, record = neuron(torch.tensor([[[2.6], [0.0]]]), record=True)
graph = to_nir(Sequential(LinearTorch((1, 1), has_bias=False), LIFNeuronTorch(1, bias=0.5, dt=1e-3)))
leaks = [node.v_leak.tolist() for node in graph.nodes.values() if type(node).__name__ == "LIF"]
kinds = sorted(type(node).__name__ for node in graph.nodes.values())
print(spikes.flatten().tolist(), [round(v, 1) for v in record["vmem"].flatten().tolist()], leaks, kinds)
""",
        "[2.0, 0.0] [0.6, 0.6] [[0.0]] ['Input', 'LIF', 'Linear', 'Output']",
    ),
    "sinabs 3.1.3 resets beside the spike, and by default subtracts": (
        "sinabs",
        """
import torch, sinabs.activation as sa, sinabs.layers as sl
torch.set_grad_enabled(False)
options = {"spike_fn": sa.SingleSpike, "reset_fn": sa.MembraneReset(reset_value=-0.25)}
layer, default = sl.IAF(**options), sl.IAF()
fired = layer(torch.tensor([[[2.0, 0.5]]])), default(torch.tensor([[[2.5, 0.5]]]))
print(*(each.flatten().tolist() for each in (*fired, layer.v_mem, default.v_mem)))
""",
        "[1.0, 0.0] [2.0, 0.0] [-0.25, 0.25] [0.5, 0.5]",  # the second did not fire, and lost 0.25
    ),
    "lava-dl 0.6.0 has no model of dense_rec, gives biases to LIF and one sign to recurrent weights": (
        "lava-dl",
        """
import sys, tempfile, types, h5py, numpy as np
# The two modules of netx that import torch, which this runtime lacks.
sys.modules["lava.lib.dl.netx.sequential_modules"] = types.ModuleType("sequential_modules")
sys.modules["lava.lib.dl.slayer.neuron.rf"] = rf = types.ModuleType("rf")
rf.neuron_params = None
from lava.lib.dl.netx.blocks import models
from lava.lib.dl.netx.hdf5 import Network
with tempfile.TemporaryDirectory() as folder:
    with h5py.File(folder + "/a.net", "w") as net:
        for i, kind in enumerate(("input", "dense_rec", "dense")):
            net.create_dataset(f"layer/{i}/type", (1,), "S10", [kind.encode()])
            net[f"layer/{i}/shape"] = np.array([1])
        for i in (1, 2):
            layer = net[f"layer/{i}"]
            layer["inFeatures"] = layer["outFeatures"] = 1
            layer["weight"], layer["bias"] = np.array([[255]]), np.array([64])
            layer.create_dataset("neuron/type", (1,), "S10", [b"CUBA"])
            values = {"iDecay": 4096, "vDecay": 0, "vThMant": 1000, "refDelay": 1, "gradedSpike": False}
            for key, value in values.items():
                layer[f"neuron/{key}"] = value
        net["layer/1/weight_rec"] = np.array([[-2]])
    recurrent, dense = Network(net_config=folder + "/a.net").layers
blocks = {getattr(model, "implements_process", None) for model in vars(models).values()}
weights = [int(layer.synapse.weights.init[0, 0]) for layer in (recurrent, dense)]
neuron = dense.neuron
print([type(each) in blocks for each in (recurrent, dense)], weights, type(neuron).__name__, neuron.bias_mant.init)
""",
        "[False, True] [254, 255] LIF [64]",  # whose bias begins in step 0, as the row of Lava has it
    ),
    "lava-dl 0.6.0 needs setuptools without saying so": (
        "lava-dl-full",
        """
import sys
from importlib.metadata import requires
sys.modules["setuptools"] = None
try:
    import lava.lib.dl.slayer
except ImportError as error:
    print(error, any("setuptools" in line for line in requires("lava-dl")))
""",
        "import of setuptools halted; None in sys.modules False",
    ),
}
