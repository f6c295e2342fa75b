"""LoRSP: its sizes, what its gate must do, the ablations, and its parts against the definition written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from float_bounds import U32, gamma, near, of_share
from hypothesis import given, settings
from hypothesis import strategies as st
from net_bounds import assert_rounding_apart, rounding
from torch import Tensor

from neuroprompt.compiler.lower import lower
from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.spiking.chain import to_nir
from neuroprompt.spiking.neurons import LIF, spike_train

WIDE = PromptSite(2, 32, (3, 8, 12), 4)
"""Width and height differ on purpose."""


def lorsp(site: PromptSite = WIDE, std: float = 0.5, **given_: Any) -> Any:
    prompt = Prompt.named("lorsp", site=site, **given_)
    for parameter in prompt.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return prompt.eval()


def written_out(prompt: Any, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """P, S (B, T, C, H, W) and the prompt, by the paper's equations, one pixel row at a time in float64."""
    w, a = prompt.w.detach().double(), prompt.a.detach().double()
    factors, spikes = [], []
    v = torch.zeros_like(images, dtype=torch.float64)
    for t in range(prompt.steps):
        p = torch.empty_like(v)
        for b, image in enumerate(images.double()):
            for c, channel in enumerate(image):
                for h, row in enumerate(channel):
                    p[b, c, h] = (row @ w)[t * prompt.rank : (t + 1) * prompt.rank] @ a[c]
        v = v + (p - v) / prompt.neurons.tau
        s = (v > prompt.neurons.threshold).double()
        v = v * (1 - s)
        factors.append(p)
        spikes.append(s)
    p, s = torch.stack(factors, 1), torch.stack(spikes, 1)
    return p, s, (p * s).mean(1)


@pytest.mark.parametrize(("steps", "rank", "count"), [(4, 4, 6272), (2, 2, 2240)])
def test_it_has_the_papers_sizes(steps: int, rank: int, count: int) -> None:
    prompt = Prompt.named("lorsp", site=PromptSite(12, 384, (3, 224, 224), 16), steps=steps, rank=rank)
    assert sum(p.numel() for p in prompt.parameters()) == count


@pytest.mark.parametrize("tau", [1.0, 3.0, 4.0])
@pytest.mark.parametrize("threshold", [0.0, 0.2])
def test_it_is_the_definition(tau: float, threshold: float) -> None:
    prompt = lorsp(tau=tau, threshold=threshold, steps=3, rank=2)
    images = torch.rand(2, 3, 8, 12)
    p, s, expected = written_out(prompt, images)
    assert 0 < s.mean() < 1
    # Sums of |x| |w| |a|: 12 pixels of a row, then 2 ranks. In eval mode they are summed in float64 and rounded once.
    basis = (images.double() @ prompt.w.double().abs()).split(2, dim=-1)
    sizes = torch.stack([b @ prompt.a.double().abs() for b in basis], dim=1)
    limit = 2 * gamma(14) * sizes + U32 * p.abs()
    assert bool(((prompt.factors(images) - p).abs() <= limit).all())
    assert torch.equal(prompt.spikes(images), s)
    # The mean of 3 steps in float64, rounded, and added to the image in float32.
    wanted, mean = images + expected, sizes.mean(1)
    limit = limit.mean(1) + 2 * gamma(4) * mean + gamma(3, U32) * (images + expected.abs())
    assert bool(((prompt.pixels(images) - wanted).abs() <= limit).all())
    # In training all of it is float32: 14 products and sums, 4 of the mean, the gate's product and the sum.
    limit = gamma(20, U32) * (images + mean)
    assert bool(((prompt.train().pixels(images) - wanted).abs() <= limit).all())


@pytest.mark.parametrize("threshold", [0.0, 0.2])
def test_it_learns_as_snntorchs_neurons_do(threshold: float) -> None:
    prompt = lorsp(tau=3.0, threshold=threshold).train()
    images = torch.rand(2, 3, 8, 12)
    weights = torch.randn(2, 3, 8, 12)
    parameters = list(prompt.parameters())

    @torch.enable_grad()
    def slow(images: Tensor) -> list[Tensor]:
        factors = prompt.factors(images)
        spikes = spike_train(LIF(3.0, threshold), factors.transpose(0, 1)).transpose(0, 1)
        return list(torch.autograd.grad(((spikes * factors).mean(1) * weights).sum(), parameters))

    @torch.enable_grad()
    def fast(images: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad((prompt.pixels(images) * weights).sum(), parameters))

    for i, (one, other) in enumerate(zip(fast(images), slow(images), strict=True)):
        assert one.abs().max() > 0
        # Float32 from end to end, as in training: both sides' bounds, of the gradients themselves.
        bounds = (rounding(lambda x, of=of, i=i: of(x)[i][None], images) for of in (fast, slow))
        assert_rounding_apart(one, other, *bounds)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 8), st.floats(1, 20), st.floats(0.001, 3))
@settings(deadline=None, max_examples=30)
def test_at_threshold_0_the_prompt_is_nowhere_negative(
    seed: int, steps: int, rank: int, tau: float, std: float
) -> None:
    torch.manual_seed(seed)
    prompt = lorsp(steps=steps, rank=rank, tau=tau, std=std)
    images = torch.rand(2, 3, 8, 12)
    with torch.no_grad():
        assert prompt.prompts(images).min() >= 0
        first, spikes = prompt.factors(images)[:, 0], prompt.spikes(images)
        assert torch.equal((first * spikes[:, 0]).float(), first.relu())


def test_it_is_sparse_and_says_how_much() -> None:
    prompt = lorsp(PromptSite(2, 32, (3, 32, 32), 4), std=0.01)
    images = torch.rand(6, 3, 32, 32)
    found = prompt.report(images)
    assert found["spike_density"] == float(prompt.spikes(images).mean())
    assert 0.2 < found["spike_density"] < 0.5
    assert 0.05 < found["exact_zeros"] < 0.6
    assert found["rank_factors"] == 4
    assert found["rank_factors"] < found["rank"] <= 32
    higher = lorsp(PromptSite(2, 32, (3, 32, 32), 4), threshold=0.2)
    assert higher.report(images)["exact_zeros"] > found["exact_zeros"]


def test_it_starts_alive() -> None:
    """With W = 0 or A = 0 nothing would ever learn."""
    prompt: Any = Prompt.named("lorsp", site=WIDE).train()
    prompt.pixels(torch.rand(2, 3, 8, 12)).square().sum().backward()
    for parameter in prompt.parameters():
        assert 0.005 < parameter.detach().std() < 0.02
        assert parameter.grad.abs().max() > 0
    prompt.w.data.zero_()
    prompt.zero_grad()
    prompt.pixels(torch.rand(2, 3, 8, 12)).square().sum().backward()
    assert not prompt.a.grad.any()


def test_the_ablations() -> None:
    images = torch.rand(2, 3, 8, 12)
    dense = lorsp(gate="mean")
    p = dense.factors(images)
    limit = 2 * gamma(5, U32) * p.abs().mean(1)  # four steps and the division, on either side
    assert bool(((dense.prompts(images) - p.mean(1)).abs() <= limit).all())
    assert "spike_density" not in dense.report(images)

    def like(**given_: Any) -> Any:
        other = lorsp(**given_)
        other.load_state_dict(dense.state_dict())
        return other

    kept = like(gate="topk", ratio=0.2)
    with torch.no_grad():
        largest = p * (p.abs() >= p.abs().flatten(2).quantile(0.8, dim=2).view(2, 4, 1, 1, 1))
        # A share of 0.2 of 288 values: the quantile lies between two of them, so one more or less.
        assert abs(float((largest != 0).double().mean()) - 0.2) <= 1 / 288
        assert bool(((kept.prompts(images) - largest.mean(1)).abs() <= limit).all())
        random = like(gate="dropout", ratio=0.2)
        assert torch.equal(random.prompts(images), dense.prompts(images))
        random.train()
        drawn = torch.stack([random.prompts(images) for _ in range(300)])
    assert not torch.equal(drawn[0], drawn[1])
    assert abs(float((drawn[0] == 0).double().mean()) - 0.8**4) <= of_share(0.8**4, drawn[0].numel())
    assert (drawn.mean(0) - dense.prompts(images)).abs().mean() < 0.1 * dense.prompts(images).abs().mean()
    assert all(part.generator() is None and part.gated() is None for part in (dense, kept, random))


@pytest.mark.parametrize("tau", [3.0, 4.0])
def test_the_whole_generator_as_one_graph_and_its_neurons_alone_fire_as_it_does(tau: float) -> None:
    prompt = lorsp(tau=tau)
    images = torch.rand(2, 3, 8, 12)
    generator = prompt.generator()
    spikes = prompt.spikes(images).bool()
    assert spikes.any()
    lanes = prompt.generator_inputs(images).double().numpy()
    assert lanes.shape == (2 * 8, 4, 3 * 4 * 12)
    program = lower(to_nir(generator), 4)
    for lane, inputs in enumerate(lanes):
        (trace,) = simulate(program, inputs).values()
        image, row = divmod(lane, 8)
        expected = spikes[image, :, :, row].flatten(1).numpy()
        assert (trace.spikes == expected).all()


def test_no_image_drives_a_neuron_beyond_largest() -> None:
    prompt = lorsp()
    gated = prompt.gated()
    images = torch.rand(50, 3, 8, 12)
    images[25:] = (images[25:] > 0.5).float()
    assert gated.factors(images).abs().max() <= gated.generator.largest
    # and one image does: white where the weights of that pixel are positive
    weights = torch.einsum("vtr,crw->tcvw", prompt.w.reshape(12, 4, 4), prompt.a)
    found = []
    for sign in (1, -1):
        per_pixel = (sign * weights).clamp(min=0).sum(2)
        t, c, pixel = (int(i) for i in torch.unravel_index(per_pixel.argmax(), per_pixel.shape))
        image = torch.zeros(1, 3, 8, 12)
        image[0, c] = (sign * weights[t, c, :, pixel] > 0).float()
        found.append(float(gated.factors(image).abs().max().detach()))
    # The sum of weights of one sign, 12 of them, in float64, and rounded once. The image was chosen by weights that
    # were summed in float32: it may miss one that is rounding alone.
    assert max(found) == near(gated.generator.largest, 18, U32)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("steps", 0), ("rank", 0), ("rank", 9), ("tau", 0.5), ("threshold", -1.0), ("gate", "x"), ("ratio", 0.0)],
)
def test_wrong_settings_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(BadSetting, match=setting):
        Prompt.named("lorsp", site=WIDE, **{setting: value})
    with pytest.raises(BadSetting, match="never learn"):
        Prompt.named("lorsp", site=WIDE, deviation=0.0)
