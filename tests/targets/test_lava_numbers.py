"""Numbers on the lines, lists of synapses that add up, exponents below 0: the emulator is real Lava, bit by bit."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest
from analogue_nets import analogue_conv, analogue_layer, jaccard
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import random as random_sparse

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import OutOfRange
from neuroprompt.loihi.synapses import stored_weights
from neuroprompt.spiking.program import GRADED, Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

STEPS = 12


def assert_equal(ours: Recording, theirs: Recording) -> None:
    for name in ours.spikes:
        assert np.array_equal(ours.spikes[name], theirs.spikes[name]), f"spikes of {name}"
        assert np.array_equal(ours.u[name], theirs.u[name]), f"u of {name}"
        assert np.array_equal(ours.v[name], theirs.v[name]), f"v of {name}"
    for name, values in ours.values.items():
        assert np.array_equal(values, theirs.values[name]), f"values of {name}"


def weights_of(rng: np.random.Generator, form: str, rows: int, columns: int) -> Weights:
    low, high = ((-256, 254), (0, 255), (-255, 0))[rng.integers(3)]
    if form == "sparse":
        matrix = random_sparse(rows, columns, 0.3, "csr", random_state=int(rng.integers(1000)))
        matrix.data = rng.integers(low, high + 1, matrix.nnz)
        return Weights(matrix.astype(np.int32)).with_values(stored_weights(matrix.data))
    shape = rows if form == "one to one" else (rows, columns)
    return Weights(stored_weights(rng.integers(low, high + 1, shape)))


def program_of(seed: int) -> tuple[Program, NDArray[np.float64]]:
    """Six small nets side by side, all on the same lines: two lists from the input to a first population, and on."""
    rng = np.random.default_rng(seed)
    lines, none = int(rng.integers(2, 40)), np.zeros(0)
    populations: list[Population] = []
    projections: list[Projection] = []
    for k in range(6):
        form = ("dense", "sparse", "one to one")[k % 3]
        n = lines if form == "one to one" else int(rng.integers(1, 12))
        lag, exponent = int(rng.integers(0, 3)), int(rng.integers(-8, 1))
        du, dv = int(rng.choice([4095, 4095, 2000])), int(rng.choice([0, 400, 4095]))
        bias = (rng.integers(-300, 300, n) * (du == 4095)).astype(np.int32)
        first = Population(f"{k}.a", n, du, dv, int(rng.integers(0, 60_000)), bias, 6, depth=1)
        first = replace(first, currents=((0, rng.integers(-GRADED // 4, GRADED // 4, n)), (3, np.ones(n, np.int64))))
        second = Population(f"{k}.b", 4, 4095, 900, int(rng.integers(0, 200)), none, 6, depth=2)
        second = replace(second, bias=np.zeros(4, np.int32))
        high = Projection("input", first.name, weights_of(rng, form, n, lines), lag, lag, min(7, exponent + 3))
        low = replace(high, weights=weights_of(rng, form, n, lines), exponent=exponent)
        between = Projection(first.name, second.name, weights_of(rng, "dense", 4, n), 0, 0, int(rng.integers(-8, 8)))
        back = Projection(second.name, second.name, weights_of(rng, "dense", 4, 4), 1, 0, -2)
        populations += [first, second]
        projections += [high, low, between, back]
    program = Program("fixed", STEPS, lines, tuple(populations), tuple(projections), input_scale=1.0)
    top = 2**14
    while True:  # as large as fits
        inputs = rng.integers(-top, top + 1, (STEPS, lines)).astype(float)
        try:
            program.encode(inputs)
        except OutOfRange:
            top //= 2
        else:
            return program, inputs


def test_sums_of_numbers_are_lavas(lava: SpikingTarget) -> None:
    fired: list[bool] = []

    @settings(max_examples=5, deadline=None, phases=[Phase.generate])
    @given(st.integers(0, 2**31))
    def check(seed: int) -> None:
        program, inputs = program_of(seed)
        model = SpikingModel(nir.NIRGraph({}, [], type_check=False), program, program)
        ours = SpikingTarget.named("loihi").run(model, inputs, "fixed", states=True)
        assert_equal(ours, lava.run(model, inputs, "fixed", states=True))
        fired.extend(bool(spikes.any()) for spikes in ours.spikes.values())

    check()
    assert 0.2 < np.mean(fired) < 1


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_analogue_nets_on_lava(lava: SpikingTarget, kind: str) -> None:
    graph, inputs = analogue_layer(256, seed=3) if kind == "dense" else analogue_conv(seed=3)
    model = model_of_graph(graph, len(inputs), inputs)
    assert len(model.fixed_program.projections) == 2
    ours = SpikingTarget.named("loihi").run(model, inputs, "fixed", states=True)
    assert_equal(ours, lava.run(model, inputs, "fixed", states=True))
    right = SpikingTarget.named("reference").run(model, inputs, "float")
    assert jaccard(right.spikes["n"], ours.spikes["n"]) >= 0.97
