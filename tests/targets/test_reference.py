"""The definition of right, on numbers worked out by hand."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.program import Program, SpikingModel

NO_PROGRAM = Program("float", 1, 1, (), ())


def run(inputs: list[list[float]], *nodes: object) -> Recording:
    target = SpikingTarget.named("reference")
    graph = nir.NIRGraph.from_list(*nodes)
    return target.run(SpikingModel(graph, NO_PROGRAM, NO_PROGRAM), np.array(inputs), "float", states=True)


def test_integrate_and_fire_by_hand() -> None:
    node = nir.IF(r=np.array([1.0, 2.0]), v_threshold=np.array([1.0, 1.0]), v_reset=np.array([0.0, -0.5]))
    found = run([[0.5, 0.5]] * 4, node)
    # 0.5, 1.0 (not above 1), 1.5 -> 0, 0.5;   1.0, 2.0 -> -0.5, 0.5, 1.5 -> -0.5
    assert found.spikes["if"].tolist() == [[False, False], [False, True], [True, False], [False, True]]
    assert found.v["if"].tolist() == [[0.5, 1.0], [1.0, -0.5], [0.0, 0.5], [0.5, -0.5]]


def test_leaky_integrate_and_fire_by_hand() -> None:
    ones = np.ones(1)
    node = nir.LIF(tau=ones * 2e-4, r=ones * 2, v_leak=ones * 0.5, v_threshold=ones)
    found = run([[0.5]] * 3, node)
    # v <- v / 2 + (0.5 + 2 * 0.5) / 2: 0.75, 1.125 -> 0, 0.75
    assert found.v["lif"].ravel().tolist() == [0.75, 0.0, 0.75]
    assert found.spikes["lif"].ravel().tolist() == [False, True, False]


def test_spikes_reach_the_next_node_in_the_same_step() -> None:
    first = nir.IF(r=np.ones(2), v_threshold=np.ones(2))
    affine = nir.Affine(weight=np.array([[2.0, -1.0]]), bias=np.array([0.5]))
    last = nir.IF(r=np.ones(1), v_threshold=np.ones(1))
    found = run([[2.0, 0.0], [2.0, 2.0], [0.0, 2.0]], first, affine, last)
    # currents 2.5, 1.5, -0.5
    assert found.spikes["if"].tolist() == [[True, False], [True, True], [False, True]]
    assert found.spikes["if_1"].ravel().tolist() == [True, True, False]
    assert found.v["if_1"].ravel().tolist() == [0.0, 0.0, -0.5]


def test_the_time_step_is_that_of_the_file() -> None:
    ones = np.ones(1)
    node = nir.LIF(tau=ones * 2e-3, r=ones, v_leak=0 * ones, v_threshold=ones * 9)
    graph = nir.NIRGraph.from_list(node)
    graph.metadata = {"dt": 1e-3}
    target = SpikingTarget.named("reference")
    found = target.run(SpikingModel(graph, NO_PROGRAM, NO_PROGRAM), np.ones((2, 1)), "float", states=True)
    assert found.v["lif"].ravel().tolist() == [0.5, 0.75]


def test_inputs_of_another_width_are_refused() -> None:
    with pytest.raises(Unsupported, match="shape"):
        run([[1.0, 1.0]], nir.IF(r=np.ones(3), v_threshold=np.ones(3)))
