"""The NIR paper's own graphs on every simulator: the spikes of its published traces, and of the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.simulators.verify import verify

QUICK = ("norse", "snntorch", "nengo")
SIMULATORS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in (*QUICK, "rockpool", "sinabs", "spikingjelly", "spyx")
]


@pytest.mark.parametrize("name", SIMULATORS)
def test_the_published_spikes_of_one_neuron(name: str, shared: Path, overlaid: Callable[[str], SpikingTarget]) -> None:
    trace = np.genfromtxt(shared / "nir-paper/lif_norse.csv", delimiter=",")  # input, voltage, spike
    model = model_of_graph(read_graph(shared / "nir-paper/lif_norse.nir"), len(trace), trace[:, :1])
    found = overlaid(name).run(model, trace[:, :1], "float")
    (spikes,) = found.spikes.values()
    assert np.flatnonzero(spikes).tolist() == np.flatnonzero(trace[:, 2]).tolist() == [460, 510, 710, 760]


@pytest.mark.parametrize("name", SIMULATORS)
def test_a_trained_recurrent_net(name: str, shared: Path, overlaid: Callable[[str], SpikingTarget]) -> None:
    inputs = (np.random.default_rng(0).random((100, 12)) < 0.5).astype(np.float64)
    model = model_of_graph(read_graph(shared / "nir-paper/braille_noDelay_bias_zero.nir"), 100, inputs)
    reference = SpikingTarget.named("reference")
    right, found = (target.run(model, inputs, "float") for target in (reference, overlaid(name)))
    assert sum(int(spikes.sum()) for spikes in right.spikes.values()) > 200
    for node, spikes in right.spikes.items():
        np.testing.assert_array_equal(found.spikes[node], spikes, err_msg=node)


@pytest.mark.parametrize("name", ["lif_norse", "braille_noDelay_bias_zero"])
def test_lava_has_the_references_spikes_and_the_emulators_integers(
    name: str, shared: Path, lava: SpikingTarget
) -> None:
    """Spikes of float Lava, and spikes, u and v of its integers; its delay of a step is the one that is documented."""
    graph = read_graph(shared / f"nir-paper/{name}.nir")
    inputs = (np.random.default_rng(1).random((100, 12)) < 0.3).astype(np.float64)
    if name == "lif_norse":
        inputs = np.genfromtxt(shared / "nir-paper/lif_norse.csv", delimiter=",")[:, :1]
        late = np.genfromtxt(shared / "nir-paper/lif_lava_cpu_float.csv", delimiter=",")
        assert np.flatnonzero(late[:, 2]).tolist() == [461, 511, 711, 761]  # published with Lava's delay
    found = verify(model_of_graph(graph, len(inputs), inputs), inputs, ["lava"]).targets
    assert found["lava-float"].spike_exact == 1.0
    assert found["lava-fixed"].exact_with_emulator == 1.0
    assert found["lava-fixed"].states_exact_with_emulator is True
    assert found["lava-fixed"].spike_exact > 0.98
    assert min(found["lava-float"].delay.values()) == 1
