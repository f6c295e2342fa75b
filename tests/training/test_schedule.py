"""The rate of every step: a rise, and then a cosine, steps or a constant; batch-scaled peaks."""

from __future__ import annotations

import pytest
import torch
from float_bounds import U64, near
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from neuroprompt.training.config import SCHEDULES, RunConfig
from neuroprompt.training.optimiser import make_optimiser, set_rate
from neuroprompt.training.schedule import share_of_peak


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SCHEDULES), st.integers(1, 30), st.integers(1, 7), st.floats(0, 40, allow_nan=False), st.data())
def test_a_share_is_in_0_to_1(schedule: str, epochs: int, each: int, warmup: float, data: st.DataObject) -> None:
    config = RunConfig(schedule=schedule, epochs=epochs, warmup=warmup)
    step = data.draw(st.integers(0, epochs * each - 1))
    assert 0 <= share_of_peak(config, step, each) <= 1


def test_steps_fall_as_multisteplr_of_torch_does() -> None:
    """ILM-VP and AutoVP: MultiStepLR with milestones int(0.5 E) and int(0.72 E)."""
    for epochs in (1, 7, 10, 25, 200):
        parameter = nn.Parameter(torch.zeros(1))
        theirs = torch.optim.SGD([parameter], lr=1.0)
        milestones = [int(0.5 * epochs), int(0.72 * epochs)]
        falls = torch.optim.lr_scheduler.MultiStepLR(theirs, milestones, gamma=0.1)
        config = RunConfig(schedule="steps", epochs=epochs, warmup=0.0)
        for epoch in range(epochs):
            if epoch:  # a milestone of 0 is passed before torch counts
                expected = theirs.param_groups[0]["lr"]
                for step in (3 * epoch, 3 * epoch + 2):
                    assert share_of_peak(config, step, 3) == near(expected) or 0 in milestones
            theirs.step()
            falls.step()


def test_a_cosine_by_epochs_is_that_of_torch() -> None:
    """EVP: CosineAnnealingLR over the epochs, of one rate each."""
    theirs = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    falls = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, T_max=9)
    config = RunConfig(schedule="cosine-epochs", epochs=9, warmup=0.0)
    for epoch in range(9):
        shares = {share_of_peak(config, 4 * epoch + i, 4) for i in range(4)}
        assert len(shares) == 1
        # torch multiplies its way along: at most some ten roundings a step of numbers up to 1
        assert abs(shares.pop() - theirs.param_groups[0]["lr"]) <= 100 * U64
        theirs.step()
        falls.step()


def test_a_constant_stays_and_rises_first() -> None:
    config = RunConfig(schedule="constant", epochs=4, warmup=1.0)
    assert [share_of_peak(config, step, 2) for step in range(8)] == [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("batch", "lr_batch", "times"), [(64, 256, 0.25), (128, 256, 0.5), (64, None, 1.0)])
def test_rates_are_scaled_by_the_batch(batch: int, lr_batch: int | None, times: float) -> None:
    config = RunConfig(optimiser="sgd", batch=batch, lr=2.0, prompt_lr=8.0, lr_batch=lr_batch, warmup=0.0)
    optimiser = make_optimiser(
        config, {"prompt.p": nn.Parameter(torch.zeros(1)), "head.w": nn.Parameter(torch.zeros(1))}
    )
    set_rate(optimiser, config, 0, 5)
    assert [group["lr"] for group in optimiser.param_groups] == [8.0 * times, 2.0 * times]
