"""Numbers as spikes: the codes are those of snnTorch's spikegen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from float_bounds import U32, gamma
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from snntorch import spikegen

from neuroprompt.compiler.encode import encoded
from neuroprompt.errors import BadData, UnknownName


@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(2, 40))
def test_latency_is_snntorchs(seed: int, steps: int) -> None:
    x = np.random.default_rng(seed).random(30).astype(np.float32)
    x[:3] = (0.0, 1.0, 0.005)
    theirs = spikegen.latency(torch.from_numpy(x), num_steps=steps, linear=True, normalize=True, clip=True)
    times = (1 - x.astype(float)) * (steps - 1)
    # In float32 a few roundings of a time may carry the others to the other side of a half.
    clear = np.abs(times % 1 - 0.5) > gamma(16, U32) * steps
    ours = encoded(np.tile(x.astype(float), (steps, 1)), "latency")
    assert np.array_equal(ours[:, clear], theirs.numpy()[:, clear])
    assert ours.sum(axis=0)[:3].tolist() == [0, 1, 0]


@given(st.integers(0, 2**32 - 1))
def test_delta_is_snntorchs(seed: int) -> None:
    x = np.random.default_rng(seed).integers(-8, 9, (20, 10)) / 16  # rises of 1/16 and 2/16: none is at 0.1
    assert np.array_equal(encoded(x, "delta"), spikegen.delta(torch.from_numpy(x), threshold=0.1).numpy())


def test_rate_fires_with_the_chance_that_the_number_says() -> None:
    x = np.tile([0.0, 0.2, 0.7, 1.0], (20_000, 1))
    spikes = encoded(x, "rate", seed=3)
    rates = spikes.mean(axis=0)
    assert rates[[0, 3]].tolist() == [0.0, 1.0]
    # Five standard deviations of a binomial share.
    assert np.abs(rates - x[0]).max() < 5 * np.sqrt(0.25 / len(x))
    assert np.array_equal(spikes, encoded(x, "rate", seed=3))
    assert not np.array_equal(spikes, encoded(x, "rate", seed=4))


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        (np.array([[1.5]]), "rate", "from 1.5 to 1.5; expected numbers from 0 to 1"),
        (np.array([[0.1], [-0.2]]), "latency", "from -0.2 to 0.1"),
        (np.array([[0.1], [0.2]]), "latency", "change from step to step"),
    ],
)
def test_numbers_that_a_code_cannot_say_are_one_line(inputs: NDArray[np.float64], code: str, words: str) -> None:
    with pytest.raises(BadData, match=words):
        encoded(inputs, code)


def test_another_code_names_those_there_are() -> None:
    with pytest.raises(UnknownName, match="'morse'; expected one of: rate, latency, delta"):
        encoded(np.zeros((2, 1)), "morse")
