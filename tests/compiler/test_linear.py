"""Linear nodes as matrices and in the reference, against PyTorch's own layers."""

from __future__ import annotations

import copy
import warnings
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
import torch
from float_bounds import gamma
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from neuroprompt.compiler.linear import matrix_of, shape_after
from neuroprompt.compiler.lower import lower
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import BadGraph
from neuroprompt.spiking.program import SpikingModel


def by_matrix(node: Any, x: Any) -> Any:
    matrix, bias = matrix_of("n", node, x.shape)
    flat = x.reshape(-1)
    y = (flat if matrix is None else matrix @ flat) + (0 if bias is None else bias)
    return y.reshape(shape_after("n", node, x.shape))


def by_reference(node: Any, x: Any) -> list[Any]:
    """The node between an Input and an Output, on the reference target and as a program on snnTorch."""
    shape = shape_after("n", node, x.shape)
    ends = nir.Input({"input": np.array(x.shape)}), nir.Output({"output": np.array(shape)})
    named = {"in": ends[0], "n": node, "out": ends[1]}
    graph = nir.NIRGraph(named, list(pairwise(named)), type_check=False)
    program = lower(graph, 1)
    found = []
    for name in ("reference", "snntorch"):
        target = SpikingTarget.named(name)
        (values,) = target.run(SpikingModel(graph, program, program), x.reshape(1, -1), "float").values.values()
        found.append(values[0].reshape(shape))
    return found


def assert_all_equal(node: Any, x: Any, right: Any) -> None:
    """All within the rounding of one sum a value, whose terms' absolute values the node gives for absolute numbers."""
    positive = copy.copy(node)
    for name in ("weight", "bias", "scale"):
        if getattr(node, name, None) is not None:
            setattr(positive, name, np.abs(getattr(node, name)))
    limit = 2 * gamma(x.size + 4) * by_matrix(positive, np.abs(x))
    for values in (by_matrix(node, x), *by_reference(node, x)):
        assert (np.abs(values - right) <= limit).all()


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from([0, 1, 2, "same", "valid"]),
)
@settings(deadline=None, max_examples=60)
def test_convolutions_are_torchs(seed: int, kernel: int, stride: int, dilation: int, padding: int | str) -> None:
    rng = np.random.default_rng(seed)
    groups, each, channels = (int(n) for n in rng.integers(1, 4, 3))
    axes = int(rng.integers(1, 3))
    stride = 1 if padding == "same" else stride
    sides = tuple(int(n) for n in rng.integers(5, 9, axes))
    assume(min(sides) > dilation * (kernel - 1))
    kernels = tuple(int(k) for k in rng.integers(1, kernel + 1, axes))
    x = rng.normal(size=(each * groups, *sides))
    weight, bias = rng.normal(size=(channels * groups, each, *kernels)), rng.normal(size=channels * groups)
    given_shape = (sides if axes == 2 else sides[0]) if rng.random() < 0.5 else None
    ways: list[tuple[Any, Any]] = [(nir.Conv1d, functional.conv1d), (nir.Conv2d, functional.conv2d)]
    kind, torchs = ways[axes - 1]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a copy that PyTorch makes for even kernels
        tensors = (torch.from_numpy(a) for a in (x[None], weight, bias))
        right = torchs(*tensors, stride=stride, padding=padding, dilation=dilation, groups=groups)[0].numpy()
    assert_all_equal(kind(given_shape, weight, stride, padding, dilation, groups, bias), x, right)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 1, 1), (3, 2, 1)])
def test_pools_are_torchs(kernel: int, stride: int, padding: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 8, 9))
    window = [np.full(2, n) for n in (kernel, stride, padding)]
    right = functional.avg_pool2d(torch.from_numpy(x), kernel, stride, padding).numpy()
    assert_all_equal(nir.AvgPool2d(*window), x, right)
    assert_all_equal(nir.SumPool2d(*window), x, right * kernel**2)


def test_the_rest_is_by_hand() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3))
    weight, bias = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 2))
    assert_all_equal(
        nir.Affine(weight, bias), x, np.stack([w @ row + b for w, row, b in zip(weight, x, bias, strict=True)])
    )
    assert_all_equal(nir.Linear(weight), x, np.stack([w @ row for w, row in zip(weight, x, strict=True)]))
    assert_all_equal(nir.Scale(np.arange(12.0).reshape(4, 3)), x, x * np.arange(12.0).reshape(4, 3))
    cube = rng.normal(size=(2, 3, 4))
    for start, end in ((0, -1), (1, -1), (0, 1), (1, 2)):
        node = nir.Flatten({"input": np.array(cube.shape)}, start, end)
        assert_all_equal(node, cube, torch.from_numpy(cube).flatten(start, end).numpy())


@pytest.mark.parametrize(
    "node",
    [
        nir.Conv2d((4, 4), np.ones((2, 3, 2, 2)), 1, 0, 1, 1, np.zeros(2)),
        nir.Conv2d((4, 4), np.ones((2, 2, 5, 5)), 1, 0, 1, 1, np.zeros(2)),
        nir.Conv2d(None, np.ones((2, 2, 2, 2)), 0, 0, 1, 1, np.zeros(2)),
        nir.Conv2d((4, 4), np.ones((2, 2, 2, 2)), 1, -1, 1, 1, np.zeros(2)),
        nir.Conv2d((4, 4), np.ones((2, 2, 2, 2)), 1, 0, 1, 1, np.zeros(3)),
        nir.Conv2d((4, 4), np.ones((3, 1, 2, 2)), 1, 0, 1, 2, np.zeros(3)),
        nir.AvgPool2d(np.array([5, 5]), np.array([1, 1]), np.array([0, 0])),
    ],
)
def test_windows_that_do_not_fit_are_refused(node: Any) -> None:
    with pytest.raises(BadGraph, match="'n'"):
        by_matrix(node, np.ones((2, 4, 4)))
