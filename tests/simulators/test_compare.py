"""Recordings compared cell by cell, over all and by node, and the causes that are told by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from float_bounds import near

from neuroprompt.contracts.deployment import Recording
from neuroprompt.errors import BadSetting
from neuroprompt.simulators.compare import Mismatch, compare, known_cause


def recording(spikes: list[list[int]], **other: object) -> Recording:
    return replace(Recording({"a": np.array(spikes, bool)}, 0.5), **other)  # type: ignore[arg-type]


def test_compare_finds_the_first_mismatch() -> None:
    reference = recording([[1, 0, 0], [0, 1, 1]], v={"a": np.array([[0.0, 0.5, 0.25], [0.75, 0.0, 0.0]])})
    other = recording([[1, 0, 0], [1, 1, 0]], v={"a": np.array([[0.0, 0.5, 0.25], [0.0, 0.0, 9.0]])})
    found = compare(reference, other)
    assert found.spike_exact == 4 / 6
    assert found.jaccard == 2 / 4
    assert found.first_mismatch == Mismatch("a", 1, 0, reference_v=0.75, v=0.0)
    assert (found.spikes, found.spikes_reference, found.seconds) == (3, 3, 0.5)
    assert found.rate_cosine == near(3 / 15**0.5)


def test_compare_takes_the_earliest_step_of_any_node() -> None:
    a = Recording({"a": np.array([[0], [1]], bool), "b": np.array([[1], [1]], bool)}, 0.0)
    b = Recording({"a": np.array([[0], [0]], bool), "b": np.array([[0], [1]], bool)}, 0.0)
    assert compare(a, b).first_mismatch == Mismatch("b", 0, 0, None, None)


def test_equal_and_silent_recordings() -> None:
    silent = recording([[0, 0]])
    assert compare(silent, silent).jaccard == compare(silent, silent).rate_cosine == 1.0
    assert compare(silent, silent).spike_exact == 1.0
    loud = recording([[1, 0]])
    assert (compare(silent, loud).jaccard, compare(silent, loud).rate_cosine) == (0.0, 0.0)


def test_recordings_of_other_nets_are_refused() -> None:
    with pytest.raises(BadSetting, match="shape"):
        compare(recording([[1, 0]]), recording([[1, 0, 0]]))
    with pytest.raises(BadSetting, match="same nodes"):
        compare(recording([[1, 0]]), Recording({"b": np.zeros((1, 2), bool)}, 0.0))


def two_nodes(a: list[int], b: list[int]) -> Recording:
    return Recording({"a": np.array(a, bool)[:, None], "b": np.array(b, bool)[:, None]}, 0.0)


def test_nodes_have_figures_of_their_own() -> None:
    found = compare(two_nodes([1, 0, 1], [0, 1, 1]), two_nodes([1, 0, 1], [0, 1, 0]))
    assert found.nodes["a"].spike_exact == found.nodes["a"].jaccard == 1.0
    assert found.nodes["a"].first_mismatch is None
    assert (found.nodes["b"].spike_exact, found.nodes["b"].jaccard) == (2 / 3, 1 / 2)
    assert found.nodes["b"].first_mismatch == found.first_mismatch
    assert found.first_mismatch is not None
    assert found.first_mismatch.step == 2


def test_a_delay_is_told_node_by_node() -> None:
    reference = two_nodes([1, 0, 1, 0, 0], [0, 1, 0, 0, 0])
    late = two_nodes([0, 1, 0, 1, 0], [0, 0, 0, 1, 0])
    assert known_cause(reference, late, "float", {}) == "late: a by 1 step, b by 2 steps"
    half = two_nodes([1, 0, 1, 0, 0], [0, 0, 0, 1, 0])
    assert known_cause(reference, half, "float", {}) == "late: b by 2 steps"
    assert known_cause(reference, reference, "fixed", {}) is None
    lost = two_nodes([0, 0, 0, 0, 0], [0, 1, 0, 0, 0])  # silence is no delay
    assert known_cause(reference, lost, "float", {}) is None
    assert str(known_cause(reference, lost, "fixed", {})).startswith("integers")


def test_a_potential_at_its_threshold_is_a_tie() -> None:
    reference = recording([[0], [1]], v={"a": np.array([[0.2], [0.0]])})
    other = recording([[0], [0]], v={"a": np.array([[0.2], [0.3]])})
    assert str(known_cause(reference, other, "float", {"a": 0.3 - 1e-12})).startswith("a tie")
    assert str(known_cause(other, reference, "float", {"a": 0.3})).startswith("a tie")  # whichever did not fire
    assert known_cause(reference, other, "float", {"a": 0.4}) is None
