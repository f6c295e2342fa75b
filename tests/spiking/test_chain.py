"""NIR graphs: exact copies of a generator, clear refusals, unreadable files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
import snntorch
import torch
from torch import nn

from neuroprompt.compiler.flatten import flatten
from neuroprompt.compiler.read import read_graph
from neuroprompt.compiler.reading import reading_of
from neuroprompt.contracts.learning import Generator
from neuroprompt.errors import BadGraph, BadSetting, CannotWrite, Unsupported
from neuroprompt.spiking.chain import to_nir
from neuroprompt.spiking.graph import steps_of, write_graph
from neuroprompt.spiking.neurons import IF, LIF, Current
from neuroprompt.training.deploy import check_graph


def a_graph() -> nir.NIRGraph:
    return to_nir(Generator(nn.Sequential(nn.Linear(3, 4), LIF(2.0, 0.5), nn.Linear(4, 2, bias=False), IF(0.1)), 7))


def from_nodes(*nodes: Any) -> nir.NIRGraph:
    named = {f"n{i}": node for i, node in enumerate(nodes)}
    names = list(named)
    return nir.NIRGraph(named, list(pairwise(names)), metadata={"steps": 4}, type_check=False)


def an_if(n: int) -> nir.IF:
    return nir.IF(r=np.ones(n), v_threshold=np.ones(n))


def source(n: int) -> nir.Input:
    return nir.Input(input_type={"input": np.array([n])})


def sink(n: int) -> nir.Output:
    return nir.Output(output_type={"output": np.array([n])})


def test_file_keeps_every_value(tmp_path: Path) -> None:
    first, second = nn.Linear(3, 4), nn.Linear(4, 2, bias=False)
    write_graph(to_nir(Generator(nn.Sequential(first, LIF(2.0, 0.5), second, IF(0.1)), 7)), tmp_path / "g.nir")
    graph = read_graph(tmp_path / "g.nir")
    names = [node.name for node in flatten(graph).nodes]
    assert names == ["input", "linear0", "lif1", "linear2", "if3", "output"]
    nodes = graph.nodes
    assert np.array_equal(nodes["linear0"].weight, first.weight.detach().numpy())
    assert np.array_equal(nodes["linear0"].bias, first.bias.detach().numpy())
    assert isinstance(nodes["linear2"], nir.Linear)
    assert np.array_equal(nodes["linear2"].weight, second.weight.detach().numpy())
    assert np.array_equal(nodes["lif1"].tau, np.full(4, 2e-4))
    assert np.array_equal(nodes["lif1"].v_threshold, np.full(4, 0.5))
    # The threshold that was trained with is the float32 one.
    assert np.array_equal(nodes["if3"].v_threshold, np.full(2, np.float32(0.1).astype(float)))
    for key in ("r", "v_reset", "v_threshold"):
        assert getattr(nodes["if3"], key).shape == (2,)
    assert steps_of(graph) == 7
    assert graph.metadata["reset"] == "zero, same step"
    assert float(graph.metadata["dt"]) == 1e-4
    assert [p.name for p in tmp_path.iterdir()] == ["g.nir"]


def test_constant_drive_is_an_exact_bias_without_weights() -> None:
    drive = torch.randn(50)
    graph = to_nir(Generator(nn.Sequential(Current(drive), IF(1.0)), 4))
    node = graph.nodes["current0"]
    assert node.bias.dtype == np.float32
    assert np.array_equal(node.bias, drive.numpy())
    assert not node.weight.any()
    assert node.weight.shape == (50, 1)
    assert list(graph.nodes["input"].input_type["input"]) == [1]


def test_leaky_is_if_or_lif_without_gain() -> None:
    leaky = [snntorch.Leaky(beta=b, reset_mechanism="zero") for b in (1.0, 0.75)]
    graph = to_nir(Generator(nn.Sequential(nn.Linear(2, 3), leaky[0], nn.Linear(3, 3), leaky[1]), 4))
    assert isinstance(graph.nodes["leaky1"], nir.IF)
    node = graph.nodes["leaky3"]
    assert np.array_equal(node.tau, np.full(3, 4e-4))
    assert np.array_equal(node.r, np.full(3, 4.0))


@pytest.mark.parametrize(("delay", "reset"), [(True, "late"), (False, "subtract")])
def test_a_leaky_that_subtracts_says_so_in_the_nodes_metadata(delay: bool, reset: str, tmp_path: Path) -> None:
    """Read back, the file runs as the modules do."""
    torch.manual_seed(0)
    options = {"reset_mechanism": "subtract", "reset_delay": delay}
    layers = nn.Linear(3, 4), snntorch.Leaky(beta=0.75, **options), nn.Linear(4, 4), snntorch.Leaky(beta=1.0, **options)
    for linear in (layers[0], layers[2]):
        nn.init.uniform_(linear.weight, 0.05, 0.35)
    generator = Generator(nn.Sequential(*layers), 40, inputs=3)
    write_graph(to_nir(generator), tmp_path / "graph.nir")
    graph = read_graph(tmp_path / "graph.nir")
    assert reading_of(graph).resets == {"leaky1": reset, "leaky3": reset}
    inputs = (np.random.default_rng(0).random((40, 3)) < 0.7).astype(np.float64)
    assert check_graph(graph, generator, inputs)["spikes"] > 8


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.LayerNorm(3), "LayerNorm"),
        (nn.ReLU(), "ReLU"),
        (snntorch.Leaky(beta=0.5, reset_mechanism="none"), "none"),
        (snntorch.Synaptic(alpha=0.5, beta=0.5), "Synaptic"),
        (Current(torch.zeros(3)), "Current"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_name(module: nn.Module, reason: str) -> None:
    layers = nn.Sequential()
    layers.add_module("first", nn.Linear(2, 3))
    layers.add_module("culprit", module)
    with pytest.raises(Unsupported, match=rf"culprit .*{reason}"):
        to_nir(Generator(layers, 4))


def test_neurons_without_a_drive_and_unequal_sizes_are_refused() -> None:
    with pytest.raises(Unsupported, match="first module"):
        to_nir(Generator(nn.Sequential(IF()), 4))
    with pytest.raises(Unsupported, match="no modules"):
        to_nir(Generator(nn.Sequential(), 4))
    with pytest.raises(Unsupported, match="do not fit"):
        to_nir(Generator(nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 2), IF()), 4))


def damaged(kind: str, file: Path) -> None:
    write_graph(a_graph(), file)
    if kind == "text":
        file.write_text("not a graph")
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "truncated":
        file.write_bytes(file.read_bytes()[:2000])
    else:
        with h5py.File(file, "r+") as f:
            nodes = f["node"]["nodes"]
            if kind == "nan":
                nodes["lif1"]["tau"][2] = np.nan
            elif kind == "inf":
                nodes["linear0"]["weight"][0, 0] = np.inf
            elif kind == "node type":
                del nodes["lif1"]["type"]
                nodes["lif1"]["type"] = "Perceptron"
            elif kind == "parameter":
                del nodes["lif1"]["tau"]
            elif kind == "group":
                del f["node"]


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "nan", "inf", "node type", "parameter", "group"])
def test_damaged_files_are_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    damaged(kind, tmp_path / "g.nir")
    with pytest.raises(BadGraph) as error:
        flatten(read_graph(tmp_path / "g.nir"))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadGraph, match="no file"):
        read_graph(tmp_path / "none.nir")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite):
        write_graph(a_graph(), tmp_path / "file" / "g.nir")
    (tmp_path / "g.nir").mkdir()
    with pytest.raises(CannotWrite):
        write_graph(a_graph(), tmp_path / "g.nir")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "g.nir"]


def test_steps_are_asked_for() -> None:
    graph = from_nodes(source(2), an_if(2), sink(2))
    graph.metadata = {}
    with pytest.raises(BadSetting, match="steps"):
        steps_of(graph)
