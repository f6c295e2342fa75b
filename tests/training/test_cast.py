"""Frozen weights that are cast once train the same bits as those that autocast casts in every step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.cast import KINDS, cast_once
from neuroprompt.training.config import configure
from neuroprompt.training.loop import train

NETS = ("embedded", "test_vit", "test_efficientnet")
KIND = torch.bfloat16


def features_and_gradient(network: nn.Module, images: Tensor, tokens: Tensor | None) -> tuple[Tensor, Tensor]:
    """In bf16: features, and the gradient of their weighted sum for what enters beside the images, or for those."""
    entering = images if tokens is None else tokens
    with torch.autocast("cpu", KIND):
        features: Tensor = network(images, tokens)
    weights = torch.linspace(-1, 1, features.numel()).view_as(features)
    (gradient,) = torch.autograd.grad((features.float() * weights).sum(), entering)
    return features.detach(), gradient


class Casts(TorchDispatchMode):
    """Notes where the tensors lie that are cast."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.places: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Sequence[Any], args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._to_copy.default:
            self.places.add(args[0].data_ptr())
        return func(*args, **(kwargs or {}))


def network(name: str) -> tuple[nn.Module, Tensor, Tensor | None]:
    """The form for training of a random backbone, images, and deep tokens where it takes any; both need gradients."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = load_backbone(BackboneSpec(name, random=True))
        images, site = torch.randn(2, *backbone.site.image, requires_grad=True), backbone.site
        tokens = torch.randn(site.depth, 3, site.width, requires_grad=True) if site.depth else None
    return backbone.for_training(), images, tokens


@pytest.mark.parametrize("name", NETS)
def test_features_and_gradients_have_the_same_bits_and_no_frozen_weight_is_cast_again(name: str) -> None:
    form, images, tokens = network(name)
    twin = cast_once(form, KIND)
    before = {key: value.clone() for key, value in form.state_dict().items()}
    with Casts() as usual:
        theirs = features_and_gradient(form, images, tokens)
    ours = features_and_gradient(twin, images, tokens)
    for right, mine in zip(theirs, ours, strict=True):
        assert right.abs().max() > 0
        assert torch.equal(right, mine)
    with Casts() as later:
        features_and_gradient(twin, images, tokens)
    products = {p.data_ptr() for p in (*form.parameters(), *twin.parameters()) if p.ndim > 1 and len(p) > 1}
    assert len(usual.places & products) > 3
    assert not later.places & products
    for key, value in form.state_dict().items():  # the backbone that is evaluated and exported
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key])


def test_what_is_never_called_is_not_cast() -> None:
    """The joint projection of timm's own blocks, whose three parts the form has."""
    form, images, tokens = network("embedded")
    twin = cast_once(form, KIND)
    features_and_gradient(twin, images, tokens)
    new = [p for p in twin.parameters() if p.dtype == KIND]
    whole = {p.data_ptr() for p in form.parameters()}
    rest = [p for name, p in twin.named_parameters() if name.endswith("qkv.weight")]
    assert len(new) > 3
    assert rest
    assert all(p.dtype == torch.float32 and p.data_ptr() in whole for p in rest)


def test_a_run_in_mixed_precision_learns_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also behind a validation, which is in 32 bits."""
    config = configure(
        method="vpt-deep",
        settings={"tokens": 2},
        backbone=BackboneSpec(random=True, image_size=16),
        limit=20,
        epochs=2,
        batch=8,
        precision="bf16-mixed",
    )
    ours = train(config, tmp_path / "ours", accelerator="cpu")
    monkeypatch.setattr("neuroprompt.training.steps.KINDS", dict.fromkeys(KINDS))
    plain = train(config, tmp_path / "plain", accelerator="cpu")
    for name, value in plain.model.learned().items():
        assert torch.equal(value, ours.model.learned()[name]), name
    assert ours.metrics.val_accuracy == plain.metrics.val_accuracy
