"""Load a `.net` file with lava-dl's netx and run it on Lava: run_netx.py NET INPUTS STEPS OUT; on Python 3.10.

INPUTS is an .npy (T, n) of spikes. OUT gets layer<i>: the spikes of every layer in STEPS chip steps, delays included.
"""

import os
import sys
import tempfile
import threading
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
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

sys.path.append(str(Path(__file__).resolve().parent))  # python -I leaves it out
from lava_processes import LIF_MODEL, SYNAPSES, Sink, SinkModel, Source, SourceModel, with_ports
from run_lava import abort_when_one_dies, die_with_parent


@implements(proc=RecurrentDense, protocol=LoihiProtocol)
class RecurrentDenseModel(AbstractPyBlockModel):
    """What lava-dl 0.6.0 has for all blocks but this one: it stands for the processes within."""


def run(net_file: str, inputs: Any, steps: int, folder: Path) -> dict[str, Any]:
    """The spikes (steps, n) of every layer."""
    net = Network(net_config=net_file)
    # The model of every process is named: else Lava runs every Python file beside theirs to find one.
    models: dict[Any, Any] = {net: PyNetworkModel}
    files, types_in = {}, {}
    for i, layer in enumerate(net.layers):
        recurrent = isinstance(layer, RecurrentDense)
        models |= {layer: RecurrentDenseModel if recurrent else PyDenseModel, layer.neuron: LIF_MODEL["fixed"]}
        for synapse in (layer.synapse, *([layer.synapse_rec] if recurrent else [])):
            models[synapse] = SYNAPSES["fixed"][type(synapse)]
        files[f"layer{i}"] = folder / f"{i}.npy"
        np.lib.format.open_memmap(files[f"layer{i}"], "w+", bool, (steps, *layer.out.shape)).flush()
        types_in[f"layer{i}"] = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    source, sink = Source({"input": (inputs, 0)}), Sink(files)
    source.input.connect(net.inp)
    for i, layer in enumerate(net.layers):
        layer.out.connect(getattr(sink, f"layer{i}"))
    models[source] = with_ports(SourceModel, Source, {"input": LavaPyType(PyOutPort.VEC_DENSE, bool)})
    models[sink] = with_ports(SinkModel, Sink, types_in)
    done = threading.Event()
    watcher = threading.Thread(target=abort_when_one_dies, args=(sink, done, folder), daemon=True)
    watcher.start()
    sink.run(
        RunSteps(steps), Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models), {"pypy_channel_size": 2}
    )
    done.set()
    watcher.join()
    sink.stop()
    return {name: np.load(file) for name, file in files.items()}


def main() -> None:
    """The command line."""
    net_file, inputs, steps, out = sys.argv[1:]
    os.register_at_fork(after_in_child=die_with_parent)
    with tempfile.TemporaryDirectory(prefix="netx-") as folder:
        spikes = run(net_file, np.load(inputs, allow_pickle=False).astype(bool), int(steps), Path(folder))
    with Path(out).open("wb") as file:
        np.savez(file, **spikes)


if __name__ == "__main__":
    main()
