"""The form in which frozen backbones are trained: the same features and gradients, in less time and memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from float_bounds import SIGMAS, U32, U64
from timm.models.beit import Beit
from timm.models.cait import Cait
from timm.models.eva import Eva
from timm.models.resnet import BasicBlock, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import ResPostBlock, VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from timm.models.xcit import Xcit
from torch import Tensor, nn

from neuroprompt.backbones._training import TrainingBlock
from neuroprompt.benchmarks.memory import peak_bytes
from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, Prompt, Stream
from neuroprompt.errors import Unsupported

SIZE: dict[str, Any] = {"img_size": (32, 24), "patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 4}
XCIT: dict[str, Any] = {**SIZE, "img_size": (32, 32), "eta": 1.0, "depth": 3}
ROPE: dict[str, Any] = {"use_rot_pos_emb": True, "use_abs_pos_emb": False, "rope_type": "dinov3", "num_reg_tokens": 2}
NETS: dict[str, Callable[[], nn.Module]] = {
    "vit": lambda: VisionTransformer(**SIZE, num_classes=0),
    "vit-norms": lambda: VisionTransformer(**SIZE, num_classes=0, qk_norm=True, global_pool="avg", init_values=0.1),
    "vit-post": lambda: VisionTransformer(**SIZE, num_classes=0, block_fn=ResPostBlock, init_values=None),
    "eva": lambda: Eva(**SIZE, num_classes=0, **ROPE, rope_rotate_half=True),
    "eva-grouped": lambda: Eva(
        **SIZE, num_classes=0, **ROPE, attn_type="rope", qkv_fused=False, num_kv_heads=2, global_pool="token"
    ),
    "beit": lambda: Beit(**SIZE, num_classes=0, use_rel_pos_bias=True, use_shared_rel_pos_bias=True),
    "relpos": lambda: VisionTransformerRelPos(**SIZE, num_classes=0, class_token=True, global_pool="token"),
    "cait": lambda: Cait(**SIZE, num_classes=0, init_values=0.5),
    "xcit": lambda: Xcit(**XCIT, num_classes=0),
}
"""Every family with a form of its own."""


def net(make: Callable[[], nn.Module]) -> Backbone:
    """A frozen backbone of large random weights, in float64."""
    model: Any = make()
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3 if parameter.ndim == 1 else 0.2)
    size = tuple(getattr(getattr(model, "patch_embed", None), "img_size", (32, 32)))
    family: Any = Backbone.family(model)
    backbone = family(model, BackboneSpec("small", random=True), Preprocess(size, (0.0,) * 3, (1.0,) * 3))
    return cast(Backbone, backbone.requires_grad_(False).eval().double())


def gradients(network: nn.Module, images: Tensor, prompt: nn.Module) -> tuple[Tensor, Tensor]:
    """Features, and the gradient of their weighted sum for all that `prompt` learns."""
    entering: Tensor | Stream | None = prompt.stream() if prompt.stream() is not None else prompt.tokens()  # type: ignore[operator]
    features = network(prompt.pixels(images), entering)  # type: ignore[operator]
    weights = torch.linspace(-1, 1, features.numel(), dtype=features.dtype).view_as(features)
    learned = list(prompt.parameters())
    each = torch.autograd.grad((features * weights).sum(), learned, allow_unused=True)
    whole = [torch.zeros_like(p) if g is None else g for g, p in zip(each, learned, strict=True)]
    return features.detach(), torch.cat([g.flatten() for g in whole])


def assert_alike(backbone: Backbone, prompt: Prompt) -> None:
    """The form for training gives the backbone's own features and gradients but for rounding.

    To first order rounding moves a result by a multiple of u. What it does in float64 is so what it does in float32,
    where float64 is the exact result to measure it by, times U64 / U32. Of either form, and SIGMAS of the largest of
    so many values.
    """
    images = torch.rand(3, *backbone.site.image, generator=torch.Generator().manual_seed(1)).double()
    exact = gradients(backbone, images, prompt)
    ours = gradients(backbone.for_training(), images, prompt)
    rounded = gradients(backbone.float(), images.float(), prompt.float())
    for right, mine, off in zip(exact, ours, rounded, strict=True):
        assert right.abs().max() > 0
        limit = 2 * SIGMAS * float((off - right).abs().max()) * U64 / U32
        assert float((mine - right).abs().max()) <= limit
        assert float(right.abs().max()) > 1e6 * limit
    backbone.double()
    prompt.double()


def drawn(method: str, backbone: Backbone, **settings: Any) -> Prompt:
    """A prompt whose parameters are all random."""
    prompt = Prompt.named(method, site=backbone.site, **settings).double()
    for parameter in prompt.parameters():
        nn.init.normal_(parameter, std=0.5)
    return prompt


@pytest.mark.floats
@pytest.mark.parametrize("method", ["vpt-deep", "vpt-shallow", "lspt", "gate-vpt", "lor-vp"])
@pytest.mark.parametrize("name", NETS)
def test_features_and_gradients_are_those_of_the_plain_forward_pass(name: str, method: str) -> None:
    backbone = net(NETS[name])
    if name == "xcit" and method in ("vpt-shallow", "lspt", "gate-vpt"):
        pytest.skip("takes no tokens that are handed on")
    settings = {} if method == "lor-vp" else {"tokens": 5}
    assert_alike(backbone, drawn(method, backbone, **settings))


@pytest.mark.floats
def test_channels_last_changes_nothing_but_rounding() -> None:
    backbone = net(lambda: ResNet(cast(Any, BasicBlock), (1, 1, 1, 1), num_classes=0))
    assert backbone.for_training() is not backbone
    assert_alike(backbone, drawn("lor-vp", backbone))


def test_tokens_of_a_wrong_shape_are_rejected_as_by_the_backbone() -> None:
    backbone = net(NETS["xcit"])
    with pytest.raises(Unsupported, match="handed on"):
        backbone.for_training()(torch.zeros(1, 3, 32, 32).double(), torch.zeros(1, 5, 32).double())


@pytest.mark.parametrize("method", ["vpt-deep", "vpt-shallow", "gate-vpt"])
@pytest.mark.parametrize("name", ["vit", "vit-norms", "eva-grouped", "beit"])
def test_what_is_made_again_has_the_same_bits_and_is_not_kept(name: str, method: str) -> None:
    backbone = net(NETS[name])
    prompt, images = drawn(method, backbone, tokens=5), torch.rand(16, *backbone.site.image).double()
    results, peaks = [], []
    for remakes in (False, True):
        network = backbone.for_training()
        for block in network.modules():
            if isinstance(block, TrainingBlock):
                block.remakes = remakes
        results.append(gradients(network, images, prompt))
        peaks.append(peak_bytes(lambda n=network: gradients(n, images, prompt), network.parameters()))  # type: ignore[misc]
    assert all(torch.equal(kept, again) for kept, again in zip(*results, strict=True))
    if (name, method) == ("beit", "gate-vpt"):  # a learned heat changes the bias: nothing is made again
        assert peaks[1] == peaks[0]
    else:
        assert peaks[1] < peaks[0]


def test_a_gradient_may_be_asked_for_twice() -> None:
    backbone = net(NETS["vit"])
    prompt, images = drawn("vpt-deep", backbone, tokens=5), torch.rand(2, *backbone.site.image).double()
    total = backbone.for_training()(images, prompt.tokens()).sum()
    first, second = (torch.autograd.grad(total, list(prompt.parameters()), retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("form", ["plain", "training"])
@pytest.mark.parametrize("name", ["vit", "xcit", "swin", "resnet"])
def test_checkpointing_gives_the_same_bits_in_less_memory(name: str, form: str) -> None:
    swin: dict[str, Any] = {"img_size": 32, "patch_size": 4, "window_size": 4, "embed_dim": 16}
    more = {
        "swin": lambda: SwinTransformer(**swin, depths=(2, 2), num_heads=(2, 2), num_classes=0),
        "resnet": lambda: ResNet(cast(Any, BasicBlock), (2, 2, 2, 2), num_classes=0),
    }
    backbone = net({**NETS, **more}[name])
    prompt = drawn("lor-vp" if name == "resnet" else "vpt-deep", backbone)
    images = torch.rand(4 if name == "resnet" else 16, *backbone.site.image).double()
    results, peaks = [], []
    for checkpointing in (False, True):
        if checkpointing:
            backbone.checkpoint()
        network = backbone.for_training() if form == "training" else backbone
        results.append(gradients(network, images, prompt))
        peaks.append(peak_bytes(lambda n=network: gradients(n, images, prompt), network.parameters()))  # type: ignore[misc]
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
    assert peaks[1] < peaks[0]
