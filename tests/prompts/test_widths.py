"""Token prompts of blocks that differ in width: no parameter and no neuron for padding, and equal widths as ever."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from float_bounds import of_std

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.spiking.neurons import spike_train
from neuroprompt.training.deploy import deployed_tokens

WIDTHS = (8, 8, 16, 32)
GROWING = PromptSite(depth=4, width=32, image=(3, 32, 32), patch=4, widths=WIDTHS)
EQUAL = PromptSite(depth=3, width=48, image=(3, 32, 32), patch=16)


def inside(tokens: int) -> torch.Tensor:
    """Where a block's own channels are, (L, N, D)."""
    return torch.stack([(torch.arange(32) < width).expand(tokens, -1) for width in WIDTHS])


def made(method: str, **settings: Any) -> Any:
    return Prompt.named(method, site=GROWING, **settings)


@pytest.mark.parametrize("method", ["vpt-deep", "spike-nvpt"])
def test_a_prompt_holds_every_blocks_own_channels_and_no_padding(method: str) -> None:
    prompt = made(method, tokens=5)
    assert [tuple(p.shape) for p in prompt.parameters()] == [(5 * sum(WIDTHS),)]
    prompt.p.data = torch.arange(1.0, 5 * sum(WIDTHS) + 1)  # above the threshold: all bits are 1
    tokens = prompt.train().tokens()
    assert tokens.shape == (4, 5, 32)
    assert torch.equal(tokens != 0, inside(5))
    if method == "vpt-deep":
        assert torch.equal(tokens[inside(5)], prompt.p)
        assert torch.equal(tokens[1, 0, :8], prompt.p[40:48])
    tokens.sum().backward()
    assert bool((prompt.p.grad > 0).all())


def test_the_generator_has_no_neuron_for_padding() -> None:
    prompt = made("spike-nvpt", tokens=5, steps=7, theta=0.75, threshold=0.3, scale=0.1, learn_scale=True)
    trained, tokens = prompt.train().tokens(), prompt.eval().tokens()
    assert torch.equal(trained, tokens)
    assert not bool(tokens[~inside(5)].any())
    current, neurons = prompt.generator().chain
    assert current().shape == (5 * sum(WIDTHS),)
    spikes = spike_train(neurons, current().detach().double().expand(7, -1))
    assert torch.equal(prompt.decode(spikes.sum(0)), tokens)
    assert torch.equal(prompt.bits(), tokens != 0)
    deployed = deployed_tokens(prompt)
    assert deployed is not None
    assert not bool(deployed[~inside(5)].any())
    assert float((deployed != tokens).float().mean()) < 0.02


def test_density_does_not_count_padding() -> None:
    prompt = made("spike-nvpt", tokens=50).eval()
    assert prompt.density() == float((prompt.tokens() != 0).sum()) / (50 * sum(WIDTHS))
    assert 0.4 < prompt.density() < 0.6


def test_vpt_starts_in_the_range_of_its_code_for_swin() -> None:
    v = math.sqrt(6 / (3 * 4 * 4 + 8))  # the first block's width, at every block
    p = made("vpt-deep", tokens=200).p.detach()
    assert float(p.abs().max()) <= v
    assert abs(float(p.std()) - v / math.sqrt(3)) <= of_std(v / math.sqrt(3), p.numel(), kurtosis=1.8)
    with pytest.raises(BadSetting, match="tokens 0"):
        made("vpt-deep", tokens=0)


def test_prompts_that_go_from_block_to_block_need_one_width() -> None:
    for method, settings in (("vpt-shallow", {}), ("spike-nvpt", {"deep": False})):
        with pytest.raises(Unsupported, match="8 to 32 channels") as caught:
            made(method, **settings)
        assert "\n" not in str(caught.value)


def test_equal_widths_are_as_they_were() -> None:
    """Shape, name and random draws: a run of before loads, and a seed gives the same prompt."""
    spelt_out = PromptSite(depth=3, width=48, image=(3, 32, 32), patch=16, widths=(48, 48, 48))
    assert spelt_out == EQUAL
    v = math.sqrt(6 / (3 * 16 * 16 + 48))
    torch.manual_seed(3)
    deep, shallow = torch.empty(3, 10, 48).uniform_(-v, v), torch.empty(1, 10, 48)
    torch.manual_seed(3)
    shallow.uniform_(-v, v)
    torch.manual_seed(3)
    for method, expected in {"vpt-deep": deep, "vpt-shallow": shallow, "spike-nvpt": torch.rand(3, 10, 48)}.items():
        torch.manual_seed(3)
        prompt: Any = Prompt.named(method, site=EQUAL)
        assert torch.equal(prompt.p, expected), method
        assert [name for name, _ in prompt.named_parameters()] == ["p"]


def test_a_site_whose_widths_do_not_fit() -> None:
    for widths in ((8, 8), (8, 8, 8, 16)):
        with pytest.raises(ValueError, match="4 blocks of at most 32"):
            PromptSite(depth=4, width=32, image=(3, 32, 32), patch=4, widths=widths)
