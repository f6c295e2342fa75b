"""Weights split by sign: the same sums and the same synapses, a bit finer on the chip, and Lava runs them alike."""

from __future__ import annotations

import nir
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.place import place
from neuroprompt.compiler.split import split_signs
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

STEPS = 30


@given(seed=st.integers(0, 999), sparse=st.booleans(), low=st.sampled_from([-3, 0]))
def test_both_lists_together_are_the_matrix(seed: int, sparse: bool, low: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(low, 4, (5, 7)).astype(float)
    layer = Population("a", 5, 1.0, 0.0, 1.0, np.zeros(5))
    whole = Projection("input", "a", Weights(csr_matrix(matrix) if sparse else matrix), lag=2, delay=1, exponent=3)
    program = Program("float", 4, 7, (layer,), (whole,))
    parts = split_signs(program).projections
    assert np.array_equal(sum(q.weights.dense() for q in parts), matrix)
    x = rng.integers(0, 2, (4, 7)).astype(float)
    assert np.array_equal(sum(q.weights.apply(x) for q in parts), x @ matrix.T)
    assert all((q.source, q.target, q.lag, q.delay, q.exponent) == ("input", "a", 2, 1, 3) for q in parts)
    assert all(not q.weights.values.min(initial=0) < 0 < q.weights.values.max(initial=0) for q in parts)
    assert place(split_signs(program))["synapses"] == place(program)["synapses"]


def a_graph(seed: int) -> nir.NIRGraph:
    """Two layers with weights of both signs, the second driving itself."""
    rng = np.random.default_rng(seed)

    def leaky(n: int) -> nir.LIF:
        return nir.LIF(tau=np.full(n, 5e-4), r=np.ones(n), v_leak=np.zeros(n), v_threshold=np.full(n, 0.13))

    nodes = {
        "input": nir.Input({"input": np.array([12])}),
        "w1": nir.Linear(rng.normal(0.1, 0.3, (9, 12))),
        "n1": leaky(9),
        "w2": nir.Linear(rng.normal(0.1, 0.3, (6, 9))),
        "n2": leaky(6),
        "own": nir.Linear(rng.normal(0, 0.1, (6, 6))),
        "output": nir.Output({"output": np.array([6])}),
    }
    edges = [("input", "w1"), ("w1", "n1"), ("n1", "w2"), ("w2", "n2"), ("n2", "own"), ("own", "n2"), ("n2", "output")]
    return nir.NIRGraph(nodes, edges)


def test_lava_runs_them_as_the_emulator_does(lava: SpikingTarget) -> None:
    inputs = (np.random.default_rng(0).random((STEPS, 12)) < 0.4).astype(float)
    model = model_of_graph(a_graph(1), STEPS, inputs, split_signs=True)
    assert any(np.any(q.weights.values % 2) for q in model.fixed_program.projections)
    labels = {"input -> n1 (above 0)", "input -> n1 (below 0)", "n1 -> n2 (above 0)", "n1 -> n2 (below 0)"}
    assert labels | {"n2 -> n2 (above 0)", "n2 -> n2 (below 0)"} == set(model.scale_report["projections"])
    found = verify(model, inputs, ["lava"])
    assert found.reference.spikes > 100
    assert found.targets["lava-fixed"].exact_with_emulator == 1.0
    assert found.targets["lava-fixed"].states_exact_with_emulator is True
    assert found.targets["lava-float"].spike_exact == 1.0
