"""The rate at which a spiking part costs what an equal quantised network costs: by hand, and as a fixed point."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from float_bounds import gamma, near
from hypothesis import given
from hypothesis import strategies as st

from neuroprompt.energy.break_even import BreakEven, break_even, break_even_of
from neuroprompt.energy.count_spikes import Node
from neuroprompt.errors import BadSetting, Unpriced
from neuroprompt.spiking.activity import Activity

PRICES = "horowitz-45nm-int8-memory"


def activity(rate: float, lines: int, neurons: int, steps: int) -> Activity:
    """A dense layer of IF neurons whose lines fire with `rate`; one state each."""
    dense, updates = lines * neurons * steps, neurons * steps
    synops = round(rate * dense)
    return Activity(synops=synops, updates=updates, synops_dense=dense, reads=synops, states=2 * updates)


def test_by_hand() -> None:
    result = break_even(activity(0.5, 100, 10, 4), 10, 4, PRICES)
    # 2000 synops x (0.03 + 2.5) + 40 updates x (3.2 + 2 x 10) pJ
    assert result.joules_spiking == near((5060 + 928) * 1e-12)
    # 1000 products x ((3/8 or 1) x 0.2 + 0.03 + 2.5) + 10 x (3.2 + 2.5) pJ; log2(5) needs 3 bits
    assert result.bits == 3
    assert result.joules_quantised == near(((2605 + 57) * 1e-12, (2730 + 57) * 1e-12))
    # What rests is a difference, and so is the numerator: 2662 + 2 x 5060 + 928 pJ make 1734, 8 times the roundings.
    assert result.break_even_rate == near(((2662 - 928) / 10120, (2787 - 928) / 10120), 8 * 8)
    assert result.rate == 0.5
    assert "17.1% to 18.4%; here it is 50.0%; it costs 2.1 to 2.2 times" in result.describe()
    assert "not measured" in result.describe()
    assert json.loads(json.dumps(result.json(), allow_nan=False)) == result.json()
    assert result.joules_at(result.rate) == near(result.joules_spiking, 32)


@given(st.integers(8, 400), st.integers(1, 400), st.integers(1, 12), st.floats(0, 1))
def test_at_that_rate_both_cost_the_same(lines: int, neurons: int, steps: int, rate: float) -> None:
    result = break_even(activity(rate, lines, neurons, steps), neurons, steps, PRICES)
    half = 0.5 * 2.53e-12  # of a synaptic operation, which the count cannot have
    for limit, joules in zip(result.break_even_rate, result.joules_quantised, strict=True):
        if limit is None:
            assert result.joules_rest >= joules - rounded(result, joules)
        else:
            there = break_even(replace_rate(limit, lines, neurons, steps), neurons, steps, PRICES)
            allowed = half + rounded(there, joules) + rounded(result, joules)
            assert abs(there.joules_spiking - joules) <= allowed
            assert (result.joules_spiking > joules + allowed) <= (result.rate > limit)


def rounded(result: BreakEven, joules: float) -> float:
    """At most 32 roundings of the sums that were subtracted: all that is spent, its synapses' part and the limit."""
    return float(gamma(32)) * (2 * result.joules_spiking + joules)


def replace_rate(rate: float, lines: int, neurons: int, steps: int) -> Activity:
    made = activity(0.0, lines, neurons, steps)
    synops = round(rate * made.synops_dense)
    return replace(made, synops=synops, reads=synops)


def test_numbers_on_the_lines_cost_products_and_lower_the_rate() -> None:
    spikes = activity(0.5, 100, 10, 4)
    numbers = replace(spikes, synops_graded=spikes.synops)
    a, b = (break_even(x, 10, 4, PRICES).break_even_rate[1] for x in (spikes, numbers))
    assert a is not None
    assert b is not None
    assert b < a


def test_neurons_without_synapses_break_even_at_no_rate() -> None:
    result = break_even(Activity(spikes=9, updates=40, updates_active=9, states=80), 10, 4, PRICES)
    assert result.break_even_rate == (None, None)
    assert "at no rate of events (it has no synapses" in result.describe()


def test_few_synapses_for_an_update_break_even_at_no_rate() -> None:
    result = break_even(activity(0.25, 4, 100, 8), 100, 8, PRICES)
    assert result.break_even_rate == (None, None)
    assert "updates alone cost more" in result.describe()


@pytest.mark.parametrize("prices", ["loihi", "horowitz-45nm-int8"])
def test_a_list_that_prices_one_side_alone_is_refused(prices: str) -> None:
    with pytest.raises(Unpriced, match="without a price"):
        break_even(activity(0.5, 10, 10, 4), 10, 4, prices)


def test_no_steps_or_no_neurons() -> None:
    with pytest.raises(BadSetting, match="at least 1"):
        break_even(Activity(), 0, 4, PRICES)


def test_weights_that_are_0_are_no_connections_of_either_side() -> None:
    made = activity(0.5, 100, 10, 4)
    node = Node("a", made, neurons=10, steps=4, events=0, weights=1000, zeros=0, footprint=0)
    assert break_even_of(made, [node]) == break_even(made, 10, 4, PRICES)
    sparse = break_even_of(made, [replace(node, zeros=400)])
    assert sparse.rate == near(0.5 / 0.6)
    assert sparse.joules_quantised[1] < break_even(made, 10, 4, PRICES).joules_quantised[1]
