"""Load a `.net` file with lava-dl's netx and run it on Lava: run_netx.py NET STEPS IDLE; on Python 3.10.

It stays (`serving.py`): a folder's inputs.npy are spikes (B, T, n); its recorded.npz gets layer<i>, the spikes of every
layer in STEPS chip steps of every item, delays included.
"""

import sys
import tempfile
import types
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

if find_spec("torch") is None:
    # Two modules that netx imports, and that need it, some GB: the runner of its models, and RF neurons' parameters.
    sys.modules["lava.lib.dl.netx.sequential_modules"] = types.ModuleType("sequential_modules")
    sys.modules["lava.lib.dl.slayer.neuron.rf"] = RF = types.ModuleType("rf")
    vars(RF)["neuron_params"] = None

from lava.lib.dl.netx.blocks.models import AbstractPyBlockModel, PyDenseModel
from lava.lib.dl.netx.blocks.process import RecurrentDense
from lava.lib.dl.netx.hdf5 import Network, PyNetworkModel
from lava.magma.core.decorator import implements
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

sys.path.append(str(Path(__file__).resolve().parent))  # python -I leaves it out
from lava_net import Net, children_die_with_us
from lava_processes import LIF_MODEL, SYNAPSES, Sink, SinkModel, Source, SourceModel, with_ports
from serving import serve


@implements(proc=RecurrentDense, protocol=LoihiProtocol)
class RecurrentDenseModel(AbstractPyBlockModel):
    """What lava-dl 0.6.0 has for all blocks but this one: it stands for the processes within."""


def build(net_file: str, steps: int, folder: Path) -> Net:
    """The network, every layer's spikes recorded."""
    net = Network(net_config=net_file)
    models: dict[Any, Any] = {net: PyNetworkModel}
    kept, types_in = {}, {}
    for i, layer in enumerate(net.layers):
        recurrent = isinstance(layer, RecurrentDense)
        models |= {layer: RecurrentDenseModel if recurrent else PyDenseModel, layer.neuron: LIF_MODEL["fixed"]}
        for synapse in (layer.synapse, *([layer.synapse_rec] if recurrent else [])):
            models[synapse] = SYNAPSES["fixed"][type(synapse)]
        kept[f"layer{i}"] = (bool, layer.out.shape)
        types_in[f"layer{i}"] = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    source = Source({"input": (folder / "sent", net.inp.shape, 0)}, steps)
    sink = Sink({name: (folder / name, shape) for name, (_, shape) in kept.items()}, steps)
    source.input.connect(net.inp)
    for i, layer in enumerate(net.layers):
        layer.out.connect(getattr(sink, f"layer{i}"))
    models[source] = with_ports(SourceModel, Source, {"input": LavaPyType(PyOutPort.VEC_DENSE, bool)})
    models[sink] = with_ports(SinkModel, Sink, types_in)
    return Net(sink, models, "fixed", steps, kept, folder=folder)


def main() -> None:
    """The command line."""
    net_file, steps, idle = sys.argv[1:]
    children_die_with_us()
    with tempfile.TemporaryDirectory(prefix="netx-") as name:
        net = build(net_file, int(steps), Path(name))

        def run(folder: Path) -> None:
            items = np.load(folder / "inputs.npy", allow_pickle=False).astype(bool)
            rows = net.run(list(items))
            with (folder / "recorded.npz").open("wb") as file:
                np.savez(file, **{layer: np.stack([row[layer] for row in rows]) for layer in rows[0]})

        serve(run, float(idle))
        net.stop()


if __name__ == "__main__":
    main()
