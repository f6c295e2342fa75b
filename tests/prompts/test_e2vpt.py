"""E2VPT: what attention computes with keys and values of a prompt's own, how masks prune, and what learns."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from net_bounds import assert_rounding_apart, rounding
from torch import Tensor, nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, Prompt, PromptSite
from neuroprompt.errors import BadSetting, Unsupported

SITE = PromptSite(depth=2, width=8, image=(3, 8, 8), patch=4, keyed=True)


def drawn(site: PromptSite = SITE, **settings: Any) -> Any:
    torch.manual_seed(0)
    return Prompt.named("e2vpt", site=site, **settings)


def tiny_vit() -> Backbone:
    torch.manual_seed(0)
    model: Any = timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, img_size=32, depth=2, embed_dim=32, num_heads=2
    )
    for parameter in model.parameters():  # biases too, which the lean form moves
        nn.init.normal_(parameter, std=0.2)
    part: Any = Backbone.part("vit")
    backbone: Backbone = part(model.eval(), BackboneSpec("tiny", random=True), Preprocess((32, 32)))
    return backbone.eval()


def by_hand(model: Any, images: Tensor, prompts: Tensor, keyed: int) -> Tensor:
    """timm's own layers, with attention written out: softmax(Q [K; K_P; K']^T / sqrt d) [V; V_P; V'] for own tokens."""
    x = model._pos_embed(model.patch_embed(images))
    for block, prompt in zip(model.blocks, prompts, strict=True):
        count, n = len(prompt) - 2 * keyed, x.shape[1]
        y = block.norm1(torch.cat([x, prompt[:count].expand(len(x), -1, -1)], dim=1))
        q, k, v = block.attn.qkv(y).chunk(3, dim=-1)
        k = torch.cat([k, prompt[count : count + keyed].expand(len(x), -1, -1)], dim=1)
        v = torch.cat([v, prompt[count + keyed :].expand(len(x), -1, -1)], dim=1)
        q, k, v = (part.unflatten(-1, (block.attn.num_heads, -1)).transpose(1, 2) for part in (q[:, :n], k, v))
        mixed = (q @ k.mT * block.attn.scale).softmax(-1) @ v
        x = x + block.attn.proj(mixed.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    features: Tensor = model.forward_head(model.norm(x), pre_logits=True)
    return features


@pytest.mark.floats
@pytest.mark.parametrize("shared", [True, False])
def test_keys_and_values_enter_attention_as_they_are(shared: bool) -> None:
    backbone: Any = tiny_vit()
    prompt = drawn(backbone.site, tokens=4, keys=3, shared=shared, prune=0.25)
    for parameter in prompt.parameters():
        nn.init.normal_(parameter)
    tokens, images = prompt.tokens().detach(), torch.rand(4, 3, 32, 32)

    def expected(x: Tensor) -> Tensor:
        exact = backbone.model.double() if x.dtype == torch.float64 else backbone.model.float()
        return by_hand(exact, x, tokens.to(x), 3)

    bound = rounding(expected, images)
    right = expected(images).detach()
    assert_rounding_apart(backbone(images, tokens, 3).detach(), right, bound, bound)
    assert_rounding_apart(backbone.baked(tokens, keyed=3)(images).detach(), right, bound, bound)
    without = torch.cat([tokens[:, :4], tokens[:, 4:6], tokens[:, 7:9]], dim=1)  # the last key and value are not there
    assert float((backbone(images, without, 2).detach() - right).abs().max()) > 20 * bound


def test_masks_drop_the_lowest_scores_of_tokens_and_segments() -> None:
    prompt = drawn(tokens=4, keys=1, segments=4, prune=0.5, prune_segments=0.25)
    with torch.no_grad():
        prompt.p.fill_(1.0)
        prompt.scores.copy_(torch.tensor([0.5, 2.0, 0.4, 1.0]))
        prompt.segment_scores.copy_(torch.tensor([[1.0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1], [-1, 0, 0, 0]]))
    none = [0.0] * 8
    expected = [none, [1.0, 1, 0, 0, 1, 1, 1, 1], none, [0.0, 0, 1, 1, 1, 1, 1, 1]]
    assert prompt.tokens()[:, :4].tolist() == [expected, expected]
    unpruned = drawn(tokens=4, prune=0, prune_segments=0)
    assert unpruned.scores is None
    assert torch.equal(unpruned.tokens()[:, :4], unpruned.p)


def test_a_score_gets_the_gradient_of_its_mask_also_where_it_is_pruned() -> None:
    """dm/dscore counts as 1: d(sum of c m P)/dscore is the sum of c P over blocks and the token's channels."""
    prompt = drawn(tokens=4, keys=1, prune=0.5, prune_segments=0)
    factors = torch.randn(2, 4, 8).double()
    prompt.double()
    (prompt.tokens()[:, :4] * factors).sum().backward()
    expected = (factors * prompt.p.detach()).sum((0, 2))
    bound = 2.0**-50 * float((factors * prompt.p.detach()).abs().sum((0, 2)).max())  # 2 x 16 terms, each order
    assert_rounding_apart(prompt.scores.grad, expected, bound)
    assert torch.equal(prompt.p.grad[:, 2:], torch.zeros(2, 2, 8).double())  # the last of equal scores are pruned


def test_parameters_and_shared_values() -> None:
    prompt = drawn(tokens=10, keys=5, segments=8)
    assert sum(p.numel() for p in prompt.parameters()) == 2 * 15 * 8 + 10 + 80
    assert torch.equal(prompt.tokens()[:, 10:15], prompt.tokens()[:, 15:])
    apart = drawn(tokens=10, keys=5, segments=8, shared=False)
    assert sum(p.numel() for p in apart.parameters()) == 2 * 20 * 8 + 10 + 80
    assert not torch.equal(apart.tokens()[:, 10:15], apart.tokens()[:, 15:])


@pytest.mark.parametrize(
    ("setting", "value"), [("keys", 0), ("prune", 1.0), ("prune_segments", -0.1), ("segments", 3), ("tokens", 0)]
)
def test_bad_settings_are_one_line(setting: str, value: float) -> None:
    with pytest.raises(BadSetting, match=setting):
        drawn(SITE, **{setting: value})


def test_attention_without_keys_of_tokens_is_refused_with_the_reason() -> None:
    with pytest.raises(Unsupported, match="keys and values"):
        drawn(PromptSite(depth=2, width=8, image=(3, 8, 8), patch=4))
