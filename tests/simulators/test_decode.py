"""From what output neurons do to a class."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from neuroprompt.contracts.deployment import Recording
from neuroprompt.errors import BadData, BadSetting, Unsupported
from neuroprompt.simulators.decode import check_labels, decoded, output_node, way_of

FIRED = np.zeros((4, 5, 3), bool)
FIRED[0, [0, 1, 4], 1] = FIRED[0, 2, 2] = True  # most often 1, first 1
FIRED[1, [3, 4], 0] = FIRED[1, 1, 2] = True  # most often 0, first 2
FIRED[2, 2, 1] = FIRED[2, [2, 3], 2] = True  # 1 and 2 first together, 2 more often
RECORDING = Recording({"out": FIRED}, 1.0)


def test_rate_and_first_spike() -> None:
    assert decoded(RECORDING, "out", "rate").tolist() == [1, 0, 2, 0]
    assert decoded(RECORDING, "out", "first-spike").tolist() == [1, 2, 2, 0]


def test_the_potential_after_the_last_step() -> None:
    values = np.random.default_rng(0).normal(size=(4, 5, 3))
    recording = Recording({}, 1.0, values={"out": values})
    assert decoded(recording, "out", "potential").tolist() == [int(v[-1].argmax()) for v in values]
    assert way_of(recording, "out", None) == "potential"
    with pytest.raises(BadSetting, match="never fires"):
        way_of(recording, "out", "rate")


def test_wrong_ways() -> None:
    assert way_of(RECORDING, "out", None) == "rate"
    with pytest.raises(BadSetting, match="rate, first-spike, potential"):
        way_of(RECORDING, "out", "rank")
    with pytest.raises(Unsupported, match="keeps potentials"):
        way_of(RECORDING, "out", "potential")
    with pytest.raises(BadData, match="the label 3"):
        check_labels(np.array([0, 3]), 3)
    with pytest.raises(BadData, match="the label -1"):
        check_labels(np.array([0, -1]), 3)


def graph(*outputs: str) -> nir.NIRGraph:
    nodes = {"input": nir.Input({"input": np.array([2])}), "a": lif(), "b": lif()}
    nodes |= {f"output{i}": nir.Output({"output": np.array([2])}) for i in range(len(outputs))}
    edges = [("input", "a"), ("a", "b"), *((source, f"output{i}") for i, source in enumerate(outputs))]
    return nir.NIRGraph(nodes, edges, metadata={"dt": 1e-4})


def lif() -> nir.LIF:
    return nir.LIF(tau=np.full(2, 2e-4), r=np.ones(2), v_leak=np.zeros(2), v_threshold=np.ones(2), v_reset=np.zeros(2))


def test_the_classes_are_what_the_output_takes() -> None:
    assert output_node(graph("b")) == "b"
    with pytest.raises(Unsupported, match="2 outputs"):
        output_node(graph("a", "b"))
