"""ONNX Runtime's kernels for many runs: the sums that numpy gives, or no kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.linear import matrix_of
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.loihi.synapses import arriving_fixed
from neuroprompt.simulators import products as kernels
from neuroprompt.simulators.products import products
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

EMPTY = nir.NIRGraph({}, [], type_check=False)


@pytest.fixture(autouse=True, scope="module")
def always_worth_it() -> Iterator[None]:
    """Kernels are made however few the rows are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "ROWS", 1)
        patch.setattr(kernels, "MULTIPLICATIONS", 1)
        yield


def through(weights: Weights, exponent: int = 0) -> Program:
    """A program of one population behind these weights."""
    layer = Population("a", weights.shape[0], 4095, 0, 999, np.zeros(weights.shape[0], np.int64), 6, depth=1)
    projection = Projection("input", "a", weights, exponent=exponent)
    return Program("fixed", 1, weights.shape[1], (layer,), (projection,))


def assert_same_sums(program: Program, graph: nir.NIRGraph, rng: np.random.Generator) -> None:
    """With a kernel, and equal to numpy's sums at every rate."""
    (projection,) = program.projections
    product = products(program, graph, 1)[projection]
    for rate in (0.0, 0.1, 0.5, 1.0):
        spikes = rng.random((7, program.inputs)) < rate
        expected = arriving_fixed(projection, spikes)
        assert np.array_equal(arriving_fixed(projection, spikes, product), expected)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(-300, 300), (0, 300), (-300, 0), (0, 1), (-128, 128)]),
    st.sampled_from([-3, 0, 2]),
)
def test_bytes_of_dense_weights(seed: int, between: tuple[int, int], exponent: int) -> None:
    """Of one sign and of both, odd ones and those that the chip clips among them."""
    rng = np.random.default_rng(seed)
    matrix = rng.integers(*between, tuple(rng.integers(1, 140, 2)))
    assert_same_sums(through(Weights(matrix), exponent), EMPTY, rng)


@st.composite
def convolutions(draw: st.DrawFn) -> nir.Conv2d:
    """Small ones of all strides, paddings and dilations, some of whose weights are 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width, *kernel = draw(st.tuples(*(st.integers(*ends) for ends in ((5, 9), (5, 9), (1, 3), (1, 3)))))
    weights = 2 * rng.integers(-100, 100, (rng.integers(1, 4), rng.integers(1, 4), *kernel))
    weights[rng.random(weights.shape) < 0.2] = 0
    weights[0, 0, 0, 0] = 2
    padding = draw(st.sampled_from([0, 1, (1, 0), "valid", "same"]))
    stride = 1 if padding == "same" else draw(st.sampled_from([1, 2, (2, 1)]))
    bias = np.zeros(len(weights))
    return nir.Conv2d((height, width), weights.astype(float), stride, padding, draw(st.sampled_from([1, 2])), 1, bias)


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_a_convolution_is_recognised_in_its_sparse_rows(node: nir.Conv2d, seed: int) -> None:
    matrix, _ = matrix_of("", node, (node.weight.shape[1], *node.input_shape))
    graph = nir.NIRGraph({"conv": node}, [], type_check=False)
    assert_same_sums(through(Weights(csr_matrix(matrix).astype(np.int32))), graph, np.random.default_rng(seed))


def test_rows_of_other_weights_stay_in_numpy() -> None:
    """One weight changed, weights that do not fit any node, groups, one to one, numbers, and few rows."""
    node = nir.Conv2d((6, 6), np.full((2, 1, 3, 3), 4.0), 1, 1, 1, 1, np.zeros(2))
    graph = nir.NIRGraph({"conv": node}, [], type_check=False)
    rows = csr_matrix(matrix_of("", node, (1, 6, 6))[0]).astype(np.int32)
    assert len(products(through(Weights(rows)), graph, 1)) == 1
    other = rows.copy()
    other.data[5] = 6
    for weights in (other, rows[:-1], rows[:, :-1]):
        assert products(through(Weights(weights)), graph, 1) == {}
    assert products(through(Weights(np.ones(6, np.int32))), graph, 1) == {}
    assert products(replace(through(Weights(rows)), precision="float"), graph, 1) == {}
    assert products(through(Weights(rows)), graph, 0) == {}


def test_a_kernel_that_adds_otherwise_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_dense", lambda matrix: lambda spikes: np.zeros((len(spikes), len(matrix))))
    assert products(through(Weights(np.full((3, 5), 7))), EMPTY, 1) == {}


@pytest.mark.parametrize("states", [False, True])
def test_a_batch_through_kernels_is_its_single_runs(monkeypatch: pytest.MonkeyPatch, states: bool) -> None:
    """Convolution, pooling, dense and recurrent layers; spikes, u and v."""
    model, items = nested_net()
    emulator = SpikingTarget.named("loihi")
    program = model.fixed_program
    used = [q.weights.form for q in products(program, model.graph, 1)]
    assert sorted(used) == ["dense", "dense", "sparse"]
    together = emulator.run(model, items, "fixed", states)
    monkeypatch.setattr(kernels, "ROWS", 10**9)
    for i, item in enumerate(items):
        alone = emulator.run(model, item, "fixed", states)
        for kind in ("spikes", "u", "v"):
            arrays = getattr(alone, kind)
            assert set(arrays) == set(getattr(together, kind))
            for name, array in arrays.items():
                assert np.array_equal(getattr(together, kind)[name][i], array), (kind, name)
    assert all(spikes.any() for spikes in together.spikes.values())


def nested_net() -> tuple[SpikingModel, np.ndarray]:
    """A convolution in a graph of its own, pooling, two dense layers, the last of which hears itself."""
    rng = np.random.default_rng(0)
    conv = nir.Conv2d((12, 12), rng.normal(0.3, 0.3, (4, 1, 3, 3)), 1, 1, 1, 1, np.zeros(4))
    ends = {"input": nir.Input({"input": np.array([1, 12, 12])})}
    ends |= {"output": nir.Output({"output": np.array([4, 12, 12])})}
    inner = nir.NIRGraph({**ends, "conv": conv}, [("input", "conv"), ("conv", "output")])

    def fires(*shape: int) -> nir.LIF:
        ones = np.ones(shape)
        return nir.LIF(tau=ones * 4e-4, r=ones * 4, v_leak=ones * 0, v_threshold=ones, v_reset=ones * 0)

    nodes = {
        "input": nir.Input({"input": np.array([1, 12, 12])}),
        "inner": inner,
        "a": fires(4, 12, 12),
        "flat": nir.Flatten({"input": np.array([4, 12, 12])}, 0, -1),
        "fc": nir.Linear(rng.normal(0.02, 0.1, (20, 576))),
        "b": fires(20),
        "fc2": nir.Linear(rng.normal(0.1, 0.3, (9, 20))),
        "c": fires(9),
        "back": nir.Linear(rng.normal(0, 0.2, (9, 9))),
        "output": nir.Output({"output": np.array([9])}),
    }
    line = ["input", "inner", "a", "flat", "fc", "b", "fc2", "c", "output"]
    edges = [*pairwise(line), ("c", "back"), ("back", "c")]
    items = rng.random((5, 14, 144)) < 0.3
    graph = nir.NIRGraph(nodes, edges, metadata={"dt": 1e-4})
    return model_of_graph(graph, 14, items[0].astype(float)), items
