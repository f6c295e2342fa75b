"""What holds for every prompt method, and VPT's initial values."""

from __future__ import annotations

import math

import pytest
import torch
from float_bounds import of_std

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting, Unsupported

WEIGHTS = {"model.blocks.0.attn.qkv.weight": (144, 48), "model.blocks.0.attn.qkv.bias": (144,)}
SITE = PromptSite(
    depth=3,
    width=48,
    image=(3, 32, 32),
    patch=16,
    keyed=True,
    weights=WEIGHTS,
    layers=("model.blocks.0.attn.qkv.weight",),
)
NO_BLOCKS = PromptSite(depth=0, width=48, image=(3, 32, 32), patch=16)


@pytest.mark.parametrize("name", Prompt.names())
def test_every_method_enters_where_it_says(name: str) -> None:
    prompt = Prompt.named(name, site=SITE)
    tokens = prompt.tokens()
    assert (tokens is not None) == (prompt.enters == "tokens" and not prompt.per_image)
    frozen = {name: torch.ones(shape) for name, shape in WEIGHTS.items()}
    assert bool(prompt.weights(frozen)) == (prompt.enters == "weights")
    assert (prompt.stream() is not None) == (prompt.enters == "tokens" and prompt.per_image)
    if tokens is not None:
        assert tokens.shape[0] in (1, SITE.depth)
        assert tokens.shape[2] == SITE.width
    if prompt.enters == "tokens":
        with pytest.raises(Unsupported, match="blocks"):
            Prompt.named(name, site=NO_BLOCKS)
    assert prompt.spiking == (prompt.generator() is not None or bool(prompt.beside()))
    assert float(prompt.penalty()) == 0


@pytest.mark.parametrize("name", Prompt.names())
def test_every_setting_can_be_typed_and_has_a_default(name: str) -> None:
    settings = Prompt.part(name).settings()
    assert "site" not in settings
    typed = Prompt.typed(name, {key: str(parameter.default) for key, parameter in settings.items()})
    assert typed == {key: parameter.default for key, parameter in settings.items()}
    assert isinstance(Prompt.named(name, site=SITE, **typed), Prompt)


@pytest.mark.parametrize(("name", "blocks"), [("vpt-deep", 3), ("vpt-shallow", 1)])
def test_vpt_starts_uniform_in_the_range_of_its_code(name: str, blocks: int) -> None:
    prompt = Prompt.named(name, site=SITE, tokens=200)
    tokens = prompt.tokens()
    assert tokens is not None
    tokens = tokens.detach()
    assert tokens.shape == (blocks, 200, 48)
    v = math.sqrt(6 / (3 * 16 * 16 + 48))
    assert float(tokens.abs().max()) <= v
    assert abs(float(tokens.std()) - v / math.sqrt(3)) <= of_std(v / math.sqrt(3), tokens.numel(), kurtosis=1.8)
    assert [tuple(p.shape) for p in prompt.parameters()] == [tokens.shape]
    with pytest.raises(BadSetting, match="tokens 0"):
        Prompt.named(name, site=SITE, tokens=0)


def test_linear_probing_has_nothing_to_learn_before_the_head() -> None:
    assert list(Prompt.named("linear", site=SITE).parameters()) == []
