"""The bounds of the tests' float comparisons: right results are within them, whatever the order; faults are not."""

from __future__ import annotations

import ast
import copy
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from float_bounds import U32, U64, dot, gamma, near, of_mean, of_share, of_std, sums
from hypothesis import given
from hypothesis import strategies as st
from net_bounds import assert_rounding_apart, rounding
from torch import Tensor, nn
from torch.nn import functional as F

NUMBERS = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40)


@given(NUMBERS, st.integers(0, 2**32 - 1))
def test_two_orders_of_a_sum(numbers: list[float], seed: int) -> None:
    terms = np.array(numbers)
    orders = terms, np.random.default_rng(seed).permutation(terms)
    exact = sum((Fraction(x) for x in numbers), Fraction())
    one, other = (sum(order.tolist()) for order in orders)
    assert abs(one - other) <= sums(terms)
    assert abs(Fraction(one) - exact) <= Fraction(float(sums(terms))) / 2


@given(NUMBERS, st.integers(0, 2**32 - 1))
def test_a_product_in_float32(numbers: list[float], seed: int) -> None:
    x = np.array(numbers, dtype=np.float32)
    weights = np.random.default_rng(seed).normal(size=(3, len(x))).astype(np.float32)
    exact = weights.astype(np.float64) @ x.astype(np.float64)
    assert (np.abs(weights @ x - exact) <= dot(weights.astype(np.float64), x.astype(np.float64), u=U32)).all()


def test_near_allows_roundings_and_nothing_else() -> None:
    assert near(0.3) == 0.1 + 0.2
    assert sum([0.1] * 10) == near(1.0, 20)
    assert near(0.0) != 1e-15
    assert near(3e-12) != 3e-12 * (1 + 1e-14)
    assert gamma(1) > U64
    with pytest.raises(AssertionError, match="few"):
        gamma(2**22, U32)


def test_what_is_drawn_lies_within_six_standard_errors() -> None:
    rng = np.random.default_rng(0)
    normal, uniform = rng.normal(0, 2, 10_000), rng.random(10_000)
    assert abs(normal.mean()) <= of_mean(2, 10_000)
    assert abs(normal.std() - 2) <= of_std(2, 10_000)
    assert abs(uniform.std() - 12**-0.5) <= of_std(12**-0.5, 10_000, kurtosis=1.8)
    assert abs((uniform < 0.1).mean() - 0.1) <= of_share(0.1, 10_000)
    assert abs((uniform < 0.1).mean() - 0.12) > of_share(0.1, 10_000)


def network() -> nn.Sequential:
    """A few layers of the kinds that backbones have."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.AvgPool2d(2), nn.Conv2d(8, 8, 3), nn.GroupNorm(2, 8),
        nn.ReLU(), nn.Flatten(), nn.Linear(32, 24), nn.LayerNorm(24), nn.GELU(), nn.Linear(24, 10), nn.Softmax(dim=1),
    ).eval()  # fmt: skip


@pytest.mark.floats
def test_a_network_in_float32_lies_within_its_bound() -> None:
    net = network()
    images = torch.randn(5, 3, 10, 10)
    exact, bound = net.double()(images.double()), rounding(net.float(), images)
    assert bound < 1e-4
    assert_rounding_apart(net(images).double(), exact, bound)
    assert rounding(net.double(), images.double()) == near(bound * 2**-29)


@pytest.mark.floats
def test_a_fault_is_larger_than_the_bound() -> None:
    net = network()
    images = torch.randn(5, 3, 10, 10)
    right, bound = net(images), rounding(net, images)
    for i in (0, 4, 8, 11):
        wrong = copy.deepcopy(net)
        wrong[i].get_parameter("weight").data *= 1.01
        with pytest.raises(AssertionError, match="not close"):
            assert_rounding_apart(wrong(images), right, bound)


def test_a_worse_condition_has_a_larger_bound() -> None:
    """The difference of two numbers that are nearly equal keeps their rounding."""
    x = torch.rand(64, 10) + 1

    def far(x: Tensor) -> Tensor:
        return x * 3 - x

    def close(x: Tensor) -> Tensor:
        return x * 1.001 * 1000 - x * 1000

    assert rounding(close, x) > 300 * rounding(far, x)


def test_an_operation_without_a_rule_is_named() -> None:
    with pytest.raises(NotImplementedError, match="rounding of digamma"):
        rounding(torch.digamma, torch.ones(3))


def test_whole_numbers_are_added_without_rounding_and_masks_stay() -> None:
    x = torch.randn(4, 6)

    def masked(x: Tensor) -> Tensor:
        groups = torch.tensor([0, 0, 1, 1, 2, 2], dtype=x.dtype)
        apart = groups[None] - groups[:, None]
        return F.softmax(x[:, None] + torch.zeros(6, 6, dtype=x.dtype).masked_fill(apart != 0, -100.0), dim=-1)

    assert rounding(masked, x) < 1e-4


def test_no_test_has_a_tolerance_of_its_own() -> None:
    """Who compares floats derives the bound; `allclose` and the like bring their own."""
    own = {"allclose", "assert_allclose", "assert_close", "isclose", "approx"}
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        if file.parent.name != "helpers":
            calls = (node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
            names = {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls}
            assert not names & own, f"{file.name} calls {names & own}"
