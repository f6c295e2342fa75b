"""Whatever form the emulator chooses for its sums of weights, they are the sums of the integers that are stored."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from neuroprompt.loihi.synapses import arriving_fixed, stored_weights
from neuroprompt.spiking.program import Projection
from neuroprompt.spiking.weights import Weights


@given(
    rate=st.sampled_from([0.0, 0.01, 0.04, 0.08, 0.3, 1.0]),
    signs=st.sampled_from([(-256, 254), (0, 255), (-255, 0), (-8, 8)]),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 1500)),
    exponent=st.integers(0, 7),
    seed=st.integers(0, 2**31),
)
@example(rate=0.08, signs=(255, 255), shape=(3, 2, 2000), exponent=0, seed=0)  # a sum beyond 16 bits
@example(rate=0.04, signs=(-255, -255), shape=(3, 2, 4000), exponent=0, seed=0)
def test_sums_are_those_of_the_stored_integers(
    rate: float, signs: tuple[int, int], shape: tuple[int, int, int], exponent: int, seed: int
) -> None:
    steps, out, lines = shape
    rng = np.random.default_rng(seed)
    weights = rng.integers(*signs, (out, lines), dtype=np.int32, endpoint=True)
    sent = rng.random((steps, lines)) < rate
    wanted = (sent.astype(np.int64) @ stored_weights(weights).astype(np.int64).T) << exponent
    projection = Projection("input", "n", Weights(weights), exponent=exponent)
    for _ in range(2):  # made ready, and used again
        assert np.array_equal(arriving_fixed(projection, sent), wanted)
