"""Graphs that say what NIR's neurons do not do, and unusual ones that are right: shapes, names, libraries."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch
from one_neuron import chain, fired, if_node

from neuroprompt.compiler.compile import floats_of_graph, model_of_graph
from neuroprompt.compiler.read import read_graph
from neuroprompt.compiler.reading import reading_of
from neuroprompt.contracts.deployment import Exporter, SpikingTarget
from neuroprompt.errors import BadGraph, Unsupported
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.graph import write_graph


@pytest.mark.parametrize(
    ("metadata", "what"),
    [
        ({"reset": "none"}, "reset = 'none'; expected a reset to v_reset, or one that subtracts the threshold"),
        ({"reset_mechanism": "linear"}, "'linear'"),
        ({"refractory_period": 2e-3}, "refractory_period = 0.002; expected no refractory period"),
        ({"t_refrac": 1}, "t_refrac = 1"),
    ],
)
def test_another_reset_in_the_metadata_is_rejected(metadata: dict[str, Any], what: str, tmp_path: Path) -> None:
    """Of the graph, or of a node; read back from a file too."""
    for graph, who in ((chain(if_node(1.0), **metadata), "the graph says"), (chain(if_node(1.0)), "node 'n0' says")):
        if who.startswith("node"):
            graph.nodes["n0"].metadata = metadata
        write_graph(graph, tmp_path / "graph.nir")
        for again in (graph, read_graph(tmp_path / "graph.nir")):
            with pytest.raises(Unsupported, match=who) as caught:
                fired(again, [0.4] * 4)
            assert what in str(caught.value)


@pytest.mark.parametrize(
    "metadata", [{"reset": "zero, same step"}, {"reset": "hard"}, {"refractory": 0.0}, {"reset": "to zero"}]
)
def test_the_reset_that_nir_has_is_no_matter(metadata: dict[str, Any]) -> None:
    graph = chain(if_node(1.0), **metadata)
    assert fired(graph, [0.4] * 4) == [2]
    assert reading_of(graph).hints == ()


def test_a_reset_in_unknown_words_is_pointed_out() -> None:
    (hint,) = reading_of(chain(if_node(1.0), reset="stochastic")).hints
    assert "'stochastic', which nothing here reads" in hint


# --- files that are right and were refused ----------------------------------------------------------------------------


def leaky(*shape: int) -> nir.LIF:
    numbers = {"tau": 5e-4, "r": 5.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    return nir.LIF(**{key: np.full(shape, value, np.float32) for key, value in numbers.items()})


def test_parameters_of_no_dimension_are_those_of_every_neuron(tmp_path: Path) -> None:
    """Also in a circle, where the size comes from the weights: the same spikes as with vectors."""
    rng = np.random.default_rng(1)
    w, back = rng.normal(0.3, 0.4, (3, 2)), rng.normal(0, 0.4, (3, 3))
    inputs = (rng.random((40, 2)) < 0.5).astype(np.float64)

    def spikes(node: Any, circle: bool, file: bool) -> Any:
        nodes = {"input": nir.Input({"input": np.array([2])}), "w": nir.Linear(w), "n": node}
        nodes["output"] = nir.Output({"output": np.array([3])})
        edges = [("input", "w"), ("w", "n"), ("n", "output")]
        if circle:
            nodes["back"] = nir.Linear(back)
            edges += [("n", "back"), ("back", "n")]
        graph = nir.NIRGraph(nodes, edges, type_check=False)
        if file:
            write_graph(graph, tmp_path / "zero.nir")
            graph = read_graph(tmp_path / "zero.nir")
        result = verify(model_of_graph(graph, 40, inputs), inputs, ["loihi"])
        assert result.targets["loihi-float"].spike_exact == 1.0
        return result.recordings["reference"].spikes["n"]

    for circle in (False, True):
        right = spikes(leaky(3), circle, file=False)
        assert 5 < right.sum() < 115
        for file in (False, True):
            assert np.array_equal(spikes(leaky(), circle, file), right)


def test_names_with_a_slash_or_of_numbers(tmp_path: Path) -> None:
    """HDF5 takes "a/b" for a group in a group, so that even nir.read of what nir.write wrote fails."""
    ends = nir.Input({"input": np.array([1])}), nir.Output({"output": np.array([1])})
    nodes = {"in/x": ends[0], 3: if_node(1.0), "3/b": if_node(1.0), "out": ends[1]}
    graph = nir.NIRGraph(nodes, [("in/x", 3), (3, "3/b"), ("3/b", "out")], type_check=False)
    write_graph(graph, tmp_path / "names.nir")
    with pytest.raises((KeyError, TypeError)):
        nir.read(tmp_path / "names.nir")
    x = np.full((12, 1), 0.4)
    for net in (graph, read_graph(tmp_path / "names.nir")):
        result = verify(model_of_graph(net, 12, np.ones((12, 1))), x, ["loihi"])
        assert set(result.recordings["reference"].spikes) == {"3", "3/b"}
        assert result.targets["loihi-float"].spike_exact == 1.0
        assert result.reference.spikes == 4 + 2


def test_a_network_of_lava_dl_says_what_it_is(tmp_path: Path) -> None:
    w = np.array([[0.5, 1.0], [0.25, 0.75]])
    spikes = (np.random.default_rng(0).random((20, 2)) < 0.5).astype(float)
    Exporter.named("netx").export_graph(chain(nir.Linear(w), if_node(1.0, 2), size=2), tmp_path / "out", spikes)
    with pytest.raises(BadGraph, match=r"is a network of lava-dl's netx.*expected a NIR file"):
        read_graph(tmp_path / "out" / "network.net")


def unusual(kind: str, start: int = 0) -> nir.NIRGraph:
    """A convolution, a pool and two layers, whose numbers are of a type of numpy, and come in the order of Fortran."""
    rng = np.random.default_rng(0)

    def numbers(low: int, high: int, *shape: int) -> Any:
        return np.asfortranarray(rng.integers(low, high, shape).astype(kind))

    def integrators(*shape: int) -> nir.IF:
        ones = np.ones(shape, kind)
        return nir.IF(r=ones, v_threshold=ones + ones, v_reset=ones - ones)

    nodes = {
        "input": nir.Input({"input": np.array([1, 6, 6])}),
        "conv": nir.Conv2d((6, 6), numbers(-3, 4, 3, 1, 3, 3), 1, 0, 1, 1, numbers(0, 1, 3)),
        "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "層": integrators(3, 2, 2),
        "flat": nir.Flatten({"input": np.array([3, 2, 2])}, start, -1),
        "full": nir.Affine(numbers(-2, 3, 5, 12), numbers(0, 2, 5)),
        "last": integrators(5),
        "output": nir.Output({"output": np.array([5])}),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)), type_check=False)


INPUTS = (np.random.default_rng(1).random((30, 36)) < 0.5).astype(float)


def spikes_of(graph: nir.NIRGraph) -> list[Any]:
    model = floats_of_graph(graph, INPUTS)
    spikes = SpikingTarget.named("reference").run(model, INPUTS, "float").spikes
    chip = SpikingTarget.named("loihi").run(model, INPUTS, "float").spikes
    assert all(np.array_equal(fired, chip[name]) for name, fired in spikes.items())
    return [fired.tolist() for fired in spikes.values()]


@pytest.mark.parametrize("kind", ["int8", ">i4", "float16", ">f4", "longdouble"])
def test_numbers_of_any_type_and_order_fire_alike(kind: str, tmp_path: Path) -> None:
    """In memory, in a file, three graphs deep; integers are exact in all of the types."""
    right = spikes_of(unusual("float64"))
    assert [sum(map(sum, fired)) > 10 for fired in right] == [True, True]
    graph = unusual(kind, start=1)
    assert spikes_of(graph) == right
    for _ in range(3):
        ends = {"input": graph.nodes["input"], "output": graph.nodes["output"]}
        graph = nir.NIRGraph(ends | {"inner": graph}, [("input", "inner"), ("inner", "output")], type_check=False)
    assert spikes_of(graph) == right
    nir.write(tmp_path / "net.nir", graph)
    assert spikes_of(read_graph(tmp_path / "net.nir")) == right


def test_tensors_and_axes_that_are_not_there_are_named() -> None:
    graph = unusual("float64")
    graph.nodes["full"].weight = torch.ones(5, 12)
    with pytest.raises(BadGraph, match=r"'full' has weight of type Tensor.*\.detach\(\)\.numpy\(\)"):
        spikes_of(graph)
    with pytest.raises(BadGraph, match="'flat' flattens from axis 5"):
        spikes_of(unusual("float64", start=5))


@pytest.mark.parametrize("ends", [(0, 0), (0, 1), (1, 0), (2, 1)])
def test_a_graph_in_a_graph_has_one_input_and_one_output(ends: tuple[int, int]) -> None:
    """Also where no edge touches it, as in a damaged file that nested empty graphs."""
    shape, (inputs, outputs) = np.array([1]), ends
    inner: dict[str, nir.NIRNode] = {f"in{i}": nir.Input({"input": shape}) for i in range(inputs)}
    inner |= {f"out{i}": nir.Output({"output": shape}) for i in range(outputs)}
    graph = chain(if_node(1.0))
    graph.nodes["inner"] = nir.NIRGraph(inner, [], type_check=False)
    wrong = f"{inputs} Inputs" if inputs != 1 else f"{outputs} Outputs"
    with pytest.raises(Unsupported, match=f"the inner graph 'inner' has {wrong}; expected exactly one"):
        floats_of_graph(graph, np.ones((3, 1)))
