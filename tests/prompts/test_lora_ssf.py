"""LoRA and SSF: what their weights compute, that they begin as the frozen network, and that merging leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from float_bounds import gamma, of_std
from net_bounds import assert_rounding_apart, rounding
from torch import nn

from neuroprompt.contracts.learning import BackboneSpec, Head, Prompt, PromptSite
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.onnxgraph.deployable import deployed
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.model import PromptedModel

SHAPES: dict[str, tuple[int, ...]] = {
    "conv.weight": (6, 3, 2, 2),
    "blocks.0.attn.qkv.weight": (12, 4),
    "blocks.0.attn.qkv.bias": (12,),
    "blocks.0.mlp.fc1.weight": (8, 4),
    "norm.weight": (4,),
    "norm.bias": (4,),
    "pos_embed": (1, 5, 4),
}
SITE = PromptSite(depth=1, width=4, image=(3, 8, 8), patch=4, weights=SHAPES)


def frozen() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn(shape) for name, shape in SHAPES.items()}


def drawn(method: str, **settings: Any) -> Any:
    torch.manual_seed(1)
    prompt = Prompt.named(method, site=SITE, **settings)
    for parameter in prompt.parameters():
        nn.init.normal_(parameter)
    return prompt


def layer(values: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    """What a layer gives for x (B, ...); a bias of 0 where it has none."""
    weight, bias = values[f"{name}.weight"], values.get(f"{name}.bias")
    if weight.ndim == 4:
        return nn.functional.conv2d(x, weight, bias)
    if weight.ndim == 1:
        return nn.functional.layer_norm(x, x.shape[-1:], weight, bias)
    return nn.functional.linear(x, weight, bias)


def apart(values: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    """What a layer gives of values that are normalised already."""
    if values[f"{name}.weight"].ndim == 1:
        return x * values[f"{name}.weight"] + values[f"{name}.bias"]
    return layer(values, name, x)


INPUTS = {"conv": (2, 3, 5, 5), "blocks.0.attn.qkv": (2, 4), "blocks.0.mlp.fc1": (2, 4), "norm": (2, 4)}


def test_lora_is_two_layers_beside_the_frozen_one() -> None:
    """W' x = W x + (alpha / r) B (A x), Hu et al., equation 3; in float64."""
    prompt, before = drawn("lora", rank=3, alpha=6.0, layers="all").double(), frozen()
    before = {name: value.double() for name, value in before.items()}
    after = {**before, **prompt.weights(before)}
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["conv.weight", "blocks.0.attn.qkv.weight", "blocks.0.mlp.fc1.weight"]
    a, b = (part.detach() for part in (prompt.a, prompt.b))
    for name in changed:
        rows, columns = SHAPES[name][0], before[name][0].numel()
        a_i, a = a[: 3 * columns].view(3, columns), a[3 * columns :]
        b_i, b = b[: 3 * rows].view(rows, 3), b[3 * rows :]
        x = torch.randn(5, columns, dtype=torch.float64)
        beside = x @ before[name].flatten(1).T + 2 * (x @ a_i.T) @ b_i.T
        # On either side: a sum over columns, one over 3 ranks, and a sum of two; alpha / r = 2 does not round.
        size = x.abs() @ (before[name].flatten(1).abs() + 2 * b_i.abs() @ a_i.abs()).T
        bound = gamma(columns + 3 + 1) * float(size.max())
        assert_rounding_apart(x @ after[name].flatten(1).T, beside, bound, bound)
    assert not a.numel()
    assert not b.numel()


@pytest.mark.parametrize(
    ("where", "chosen"),
    [("auto", ["blocks.0.attn.qkv.weight"]), ("attention", ["blocks.0.attn.qkv.weight"])],
)
def test_lora_changes_the_layers_that_it_is_given(where: str, chosen: list[str]) -> None:
    assert list(drawn("lora", layers=where).weights(frozen())) == chosen
    convolutions = PromptSite(depth=0, width=6, image=(3, 8, 8), patch=1, weights={"conv.weight": (6, 3, 2, 2)})
    if where == "auto":
        assert list(Prompt.named("lora", site=convolutions, layers=where).weights(frozen())) == ["conv.weight"]
    else:
        with pytest.raises(Unsupported, match="layers=all"):
            Prompt.named("lora", site=convolutions, layers=where)


def test_ssf_scales_and_shifts_what_a_layer_gives() -> None:
    """y' = g y + s; in float64."""
    prompt, before = drawn("ssf").double(), {name: value.double() for name, value in frozen().items()}
    after = {**before, **prompt.weights(before)}
    assert torch.equal(after["pos_embed"], before["pos_embed"])
    scales, shifts = iter(prompt.scale.split([6, 12, 8, 4])), iter(prompt.shift.split([12, 4]))
    for name, shape in INPUTS.items():
        x, scale = torch.randn(shape, dtype=torch.float64), next(scales)
        shift = next(shifts) if f"{name}.bias" in before else torch.zeros_like(scale)
        across = (-1, 1, 1) if len(shape) == 4 else (-1,)
        expected = layer(before, name, x) * scale.view(across) + shift.view(across)
        # On either side: a sum over a row of weights (a norm's is one number), a bias, a scale and a shift. What a norm
        # makes of x is the same in both.
        whole = {key: value.abs() for key, value in before.items()}
        normed = nn.functional.layer_norm(x, x.shape[-1:]) if name == "norm" else x
        size = apart(whole, name, normed.abs()) * scale.detach().abs().view(across) + shift.abs().detach().view(across)
        bound = gamma(before[f"{name}.weight"][0].numel() + 3) * float(size.max())
        assert_rounding_apart(layer(after, name, x), expected, bound, bound)


def test_initial_values() -> None:
    """LoRA begins as the frozen network, SSF beside it, as its released code draws scales and shifts."""
    before = frozen()
    lora: Any = Prompt.named("lora", site=SITE, layers="all")
    assert all(torch.equal(value, before[name]) for name, value in lora.weights(before).items())
    assert float(lora.a.detach().abs().max()) <= 0.5  # the smallest of the layers has 4 inputs
    wide = PromptSite(depth=0, width=4, image=(3, 8, 8), patch=1, weights={"a.weight": (4000, 2), "a.bias": (4000,)})
    ssf: Any = Prompt.named("ssf", site=wide)
    for values, mean in ((ssf.scale, 1.0), (ssf.shift, 0.0)):
        assert abs(float((values.detach() - mean).square().mean().sqrt()) - 0.02) <= of_std(0.02, 4000)
    exact: Any = Prompt.named("ssf", site=wide, deviation=0.0)
    known = {"a.weight": torch.randn(4000, 2), "a.bias": torch.randn(4000)}
    assert all(torch.equal(value, known[name]) for name, value in exact.weights(known).items())


@pytest.mark.parametrize("method", ["lora", "ssf"])
def test_nothing_is_left_at_deployment(method: str) -> None:
    """The deployed network has the modules and parameters of the bare one, shapes and all, and the backbone is kept."""
    backbone = load_backbone(BackboneSpec())
    prompt = Prompt.named(method, site=backbone.site)
    for parameter in prompt.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    model = PromptedModel(backbone, prompt, Head.named("linear", features=backbone.features, classes=3)).eval()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    merged, bare = deployed(model), nn.Sequential(backbone.baked(), model.head).eval()
    assert [(n, p.shape) for n, p in merged.named_parameters()] == [(n, p.shape) for n, p in bare.named_parameters()]
    assert [type(m) for m in merged.modules()] == [type(m) for m in bare.modules()]
    images = torch.rand(2, *backbone.site.image)
    with torch.no_grad():
        trained, frozen_one = model(images), bare(model.inputs(images))
        bounds = rounding(model, images), rounding(merged, model.inputs(images))
        assert_rounding_apart(merged(model.inputs(images)), trained, *bounds)
        assert float((trained - frozen_one).abs().max()) > 100 * sum(bounds)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_settings_that_cannot_be() -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("lora", {"rank": 0}), ("lora", {"alpha": 0.0}), ("lora", {"layers": "mlp"}), ("ssf", {"deviation": -1.0})
    ]  # fmt: skip
    for method, settings in wrong:
        with pytest.raises(BadSetting):
            Prompt.named(method, site=SITE, **settings)
    with pytest.raises(Unsupported, match="names no weights"):
        Prompt.named("ssf", site=PromptSite(depth=0, width=4, image=(3, 8, 8), patch=1))
