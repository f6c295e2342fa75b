"""A published net that ran on Loihi 2, as a NIR graph: spoken digits (SHD), trained in mlGeNN with EventProp.

git clone https://github.com/neworderofjamie/ml_genn_netx_paper
python examples/shd_on_loihi.py ml_genn_netx_paper/classifier/checkpoints_50_shd_shift-blend_256_2.5e-10_1.0_1000_1234 \
    shd.nir
neuroprompt verify shd.nir --steps 200 --input poisson:0.011

Shoesmith et al., Eventprop training for efficient neuromorphic applications, arXiv:2503.04341. Its classifier.py and
ml_genn_netx, which wrote the chip's files, have 700 input lines; neurons of tau 20 ms behind synapses of tau 5 ms, with
threshold 1 and a reset to 0, that feed back to each other; and 20 readouts that never fire. In a step of 1 ms

    u <- exp(-1/5) u + (1 - exp(-1/20)) W x        v <- exp(-1/20) v + u

mlGeNN fires at v >= 1, NIR and the chip at v > 1. The repository holds the float weights, not the files of the chip.
"""

import sys
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np

LINES, STEP = 700, 1e-3
LEAK, SYNAPSE = 1 - np.exp(-1 / 20), 1 - np.exp(-1 / 5)


def weights(folder: Path, name: str, sources: int) -> nir.Linear:
    """A connection's weights, which mlGeNN keeps as (sources, targets) in a row."""
    files = list(folder.glob(f"*-Conn_{name}-g.npy"))
    if len(files) != 1:
        sys.exit(f"error: {len(files)} files *-Conn_{name}-g.npy in {folder}; expected one; name a checkpoint's folder")
    return nir.Linear(np.load(files[0], allow_pickle=False).reshape(sources, -1).T)


def graph(folder: Path) -> nir.NIRGraph:
    """The net of a checkpoint. NIR multiplies an input by r LEAK w_in SYNAPSE, so that w_in takes SYNAPSE out again."""
    into = weights(folder, "Input_Hidden", LINES)
    hidden = into.weight.shape[0]
    own, out = weights(folder, "Hidden_Hidden", hidden), weights(folder, "Hidden_Output", hidden)

    def same(size: int, **values: float) -> dict[str, np.ndarray]:
        return {name: np.full(size, value) for name, value in values.items()}

    neuron = {"tau_mem": STEP / LEAK, "tau_syn": STEP / SYNAPSE, "r": 1.0, "v_leak": 0.0, "w_in": 1 / SYNAPSE}
    nodes = {
        "input": nir.Input({"input": np.array([LINES])}),
        "input_hidden": into,
        "hidden": nir.CubaLIF(**same(hidden, **neuron, v_threshold=1.0, v_reset=0.0)),
        "hidden_hidden": own,
        "hidden_output": out,
        "readout": nir.CubaLI(**same(out.weight.shape[0], **neuron)),
        "output": nir.Output({"output": np.array([out.weight.shape[0]])}),
    }
    chain = ["input", "input_hidden", "hidden", "hidden_output", "readout", "output"]
    edges = [*pairwise(chain), ("hidden", "hidden_hidden"), ("hidden_hidden", "hidden")]
    return nir.NIRGraph(nodes, edges, metadata={"dt": STEP})


if __name__ == "__main__":
    nir.write(sys.argv[2], graph(Path(sys.argv[1])))
