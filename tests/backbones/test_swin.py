"""Swin Transformers: prompts in every window as in VPT's own code, baked equal to unbaked, blocks of growing width."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import timm
import torch
from net_bounds import assert_rounding_apart, rounding
from safetensors.torch import save_file
from timm.models.swin_transformer import SwinTransformer, window_partition, window_reverse
from timm.models.swin_transformer_v2 import SwinTransformerV2
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess, Stream
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.parity import check_file
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.config import configure
from neuroprompt.training.loop import train

SMALL: dict[str, Any] = {"img_size": 32, "embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4), "num_classes": 0}
PIXELS = Preprocess((32, 32), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "bicubic")
FLAVOURS: dict[str, dict[str, Any]] = {
    "window-4": {"window_size": 4},
    "filled-up": {"window_size": 3},  # 8 and 4 are no multiples of 3: windows are filled up with zeros, and shifted
    "oblong": {"window_size": ((2, 4), (4, 2))},
    "stage-windows": {"window_size": (4, 2)},
    "no-bias": {"window_size": 2, "qkv_bias": False},
    "head-dim": {"window_size": 4, "head_dim": 6},
    "always-shifted": {"window_size": 4, "always_partition": True},
    "dynamic-size": {"window_size": 3, "dynamic_img_size": True},
    "odd-grid": {"img_size": 28, "window_size": 4},
}


def small(window_size: Any = 4, **flavour: Any) -> Backbone:
    """A Swin whose weights, biases and tables of relative positions are all random and large."""
    model = SwinTransformer(**{**SMALL, "window_size": window_size, **flavour})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3 if parameter.ndim == 1 else 0.2)
    for name, parameter in model.named_parameters():
        if name.endswith("bias_table"):
            nn.init.normal_(parameter, std=1.0)
    family = cast(Any, Backbone.part("swin"))
    assert family.holds(model)
    return cast(Backbone, family(model, BackboneSpec("small", random=True), PIXELS).requires_grad_(False).eval())


def literal(backbone: Backbone, images: Tensor, tokens: Tensor) -> Tensor:
    """Features as in VPT's code: prompts first in every window, asked and answered like tokens, then dropped."""
    model = cast(Any, backbone).model
    x, i = model.patch_embed(images), 0
    for stage in model.layers:
        x = stage.downsample(x)
        for block in stage.blocks:
            x, i = _literal_block(block, x, tokens[i, :, : x.shape[-1]]), i + 1
    features: Tensor = model.forward_head(model.norm(x), pre_logits=True)
    return features


def _literal_block(block: Any, x: Tensor, prompt: Tensor) -> Tensor:
    (b, height, width, _), n, attn = x.shape, len(prompt), block.attn
    y = block.norm1(torch.cat([prompt.expand(b, -1, -1), x.flatten(1, 2)], dim=1))
    grid = torch.roll(y[:, n:].unflatten(1, (height, width)), [-s for s in block.shift_size], dims=(1, 2))
    grid = F.pad(grid, (0, 0, 0, -width % block.window_size[1], 0, -height % block.window_size[0]))
    windows = window_partition(grid, block.window_size).flatten(1, 2)
    windows = torch.cat([y[:, :n].repeat_interleave(len(windows) // b, dim=0), windows], dim=1)
    q, k, v = attn.qkv(windows).unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-2, -1) * attn.scale + F.pad(attn._get_rel_pos_bias(), (n, 0, n, 0))
    mask = block.get_attn_mask(grid)
    if mask is not None:
        scores = scores + F.pad(mask, (n, 0, n, 0)).repeat(b, 1, 1)[:, None]
    attended = attn.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))[:, n:]
    back = window_reverse(attended.unflatten(1, block.window_size), block.window_size, *grid.shape[1:3])
    x = x + torch.roll(back[:, :height, :width], block.shift_size, dims=(1, 2))
    out: Tensor = x + block.mlp(block.norm2(x))
    return out


def example(backbone: Backbone, batch: int = 3, prompts: int = 5) -> tuple[Tensor, Tensor]:
    site = backbone.site
    return torch.randn(batch, *site.image), torch.randn(site.depth, prompts, site.width)


@pytest.mark.floats
@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
def test_in_float64_three_forms_differ_by_rounding_alone(flavour: dict[str, Any]) -> None:
    backbone = small(**flavour).double()
    images, tokens = (x.double() for x in example(backbone))
    unbaked, bare, baked, lean = backbone(images, tokens), backbone(images), backbone.baked(tokens), backbone.baked()
    bound, other = rounding(backbone, images, tokens), rounding(baked, images)
    spelt_out = partial(literal, backbone)
    assert_rounding_apart(unbaked, spelt_out(images, tokens), bound, rounding(spelt_out, images, tokens))
    assert_rounding_apart(baked(images), unbaked, bound, other)
    assert_rounding_apart(lean(images), bare, rounding(lean, images), rounding(backbone, images))
    assert (unbaked - bare).abs().max() > 1e-2
    tokens[1, 2, 3] *= 1.01
    with pytest.raises(AssertionError, match="not close"):  # one number of the prompt, off by 1 %
        assert_rounding_apart(backbone.baked(tokens)(images), unbaked, bound, other)


@pytest.mark.floats
@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
def test_baked_equals_unbaked(flavour: dict[str, Any]) -> None:
    backbone = small(**flavour)
    before = copy.deepcopy(backbone.state_dict())
    images, tokens = example(backbone)
    unbaked = backbone(images, tokens)
    baked = backbone.baked(tokens)
    bounds = rounding(baked, images), rounding(backbone, images, tokens)
    assert_rounding_apart(baked(images), unbaked, *bounds)
    tokens[1, 3] = tokens[1, 2]  # one key and its value are not there
    with pytest.raises(AssertionError, match="not close"):
        assert_rounding_apart(backbone.baked(tokens)(images), unbaked, *bounds)
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


def test_windows_are_shifted_and_masked_and_filled_up_here() -> None:
    """What the flavours above are to cover is in them."""
    blocks = [block for stage in cast(Any, small(3)).model.layers for block in stage.blocks]
    assert [(b.window_size, b.shift_size) for b in blocks] == [((3, 3), (0, 0)), ((3, 3), (1, 1))] * 2
    assert [b.input_resolution[0] % 3 for b in blocks] == [2, 2, 1, 1]
    assert float(blocks[1].attn_mask.min()) == -100


def test_without_tokens_it_is_timms_own_network() -> None:
    backbone = small()
    images, _ = example(backbone)
    assert torch.equal(backbone(images), cast(Any, backbone).model(images))


def test_widths_grow_and_only_a_blocks_own_channels_are_read() -> None:
    backbone = small()
    assert (backbone.site.width, backbone.site.widths, backbone.features) == (32, (16, 16, 32, 32), 32)
    images, tokens = example(backbone)
    padding = tokens.clone()
    padding[:2, :, 16:] = 1e6
    assert torch.equal(backbone(images, padding), backbone(images, tokens))
    assert torch.equal(backbone.baked(padding)(images), backbone.baked(tokens)(images))


def test_the_gradient_reaches_tokens_and_nothing_else() -> None:
    backbone = small(3)
    images, tokens = example(backbone)
    tokens.requires_grad_()
    backbone(images, tokens).square().sum().backward()
    assert tokens.grad is not None
    for grad, width in zip(tokens.grad, backbone.site.widths, strict=True):
        assert bool((grad[:, :width] != 0).all())
        assert not bool(grad[:, width:].any())
    assert all(parameter.grad is None for parameter in backbone.parameters())


@pytest.mark.floats
def test_an_overlay_is_a_constant_map() -> None:
    backbone = small().double()
    images, tokens = (x.double() for x in example(backbone))
    overlay = torch.randn(3, 32, 32).double()
    for prompt in (None, tokens):
        baked = backbone.baked(prompt, overlay)
        inputs = images + overlay, *(() if prompt is None else (prompt,))
        assert_rounding_apart(baked(images), backbone(*inputs), rounding(baked, images), rounding(backbone, *inputs))


class Nothing(Stream):
    def enter(self, patches: Tensor) -> Tensor:
        return patches

    def after(self, block: int, prompts: Tensor, patches: Tensor) -> Tensor:
        return prompts


def test_prompts_that_are_handed_on_and_wrong_shapes_are_refused() -> None:
    backbone = small()
    images, tokens = example(backbone)
    for handed_on in (tokens[:1], Nothing()):
        with pytest.raises(Unsupported, match="handed on") as caught:
            backbone(images, handed_on)
        assert "\n" not in str(caught.value)
    with pytest.raises(Unsupported, match="handed on"):
        backbone.baked(tokens[:1])
    for wrong in (tokens[:3], tokens[..., :31], tokens[0]):
        with pytest.raises(BadSetting, match="4 blocks, tokens, 32 channels"):
            backbone(images, wrong)
        with pytest.raises(BadSetting):
            backbone.baked(wrong)


@pytest.mark.floats
def test_the_exported_file_agrees_at_every_batch(tmp_path: Path) -> None:
    backbone = small(3, depths=(2,), num_heads=(2,))  # filled up, shifted and masked
    images, tokens = example(backbone, 12)
    tokens.requires_grad_(False)
    file = tmp_path / "baked.onnx"
    to_onnx(backbone.baked(tokens), backbone.site.image, file)

    class Unbaked(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            out: Tensor = backbone(images, tokens)
            return out

    bound = rounding(backbone, images, tokens) + rounding(backbone.baked(tokens), images)
    assert check_file(file, Unbaked(), images).max_abs_diff <= bound
    assert not operators(file).keys() & {"Loop", "Scan", "If", "Tile"}


def test_swin_v2_is_another_family() -> None:
    model = SwinTransformerV2(img_size=32, window_size=4, embed_dim=16, depths=(1,), num_heads=(2,), num_classes=0)
    assert not cast(Any, Backbone.part("swin")).holds(model)


@pytest.mark.floats
@pytest.mark.filterwarnings("ignore::UserWarning:timm")  # of how it resamples the tables
def test_image_sizes_and_the_tables_of_relative_positions(tmp_path: Path) -> None:
    """Windows shrink with the image, and timm resamples the tables of weights that were trained on larger ones."""
    name, file = "swin_s3_tiny_224", str(tmp_path / "w.safetensors")
    with pytest.raises(BadSetting, match="patch size, 4"):
        load_backbone(BackboneSpec(name, image_size=34, random=True))
    weights = timm.create_model(name, num_classes=7).state_dict()
    save_file({key: value.clone() for key, value in weights.items()}, file)
    backbone = load_backbone(BackboneSpec(name, file, 64))
    assert backbone.site.image == (3, 64, 64)
    assert backbone.site.widths == (96,) * 2 + (192,) * 2 + (384,) * 6 + (768,) * 2
    last = cast(Any, backbone).model.layers[-1].blocks[0]
    assert last.window_size == (2, 2)
    images, tokens = example(backbone, 1)
    unbaked, baked = backbone(images, tokens), backbone.baked(tokens)
    assert_rounding_apart(baked(images), unbaked, rounding(baked, images), rounding(backbone, images, tokens))


def test_a_training_run_counts_no_padding(tmp_path: Path) -> None:
    spec = BackboneSpec("swin_s3_tiny_224", random=True, image_size=32)
    options = {"settings": {"tokens": 2}, "limit": 10, "epochs": 1, "batch": 8}
    run = train(configure(method="spike-nvpt", backbone=spec, **options), tmp_path / "run", accelerator="cpu")
    values = 2 * sum(run.model.backbone.site.widths)
    assert run.metrics.prompt_parameters == values
    tokens = run.model.eval().prompt.tokens()
    assert tokens is not None
    assert run.metrics.density is not None
    assert run.metrics.density == float((tokens != 0).sum()) / values
    assert 0.4 < run.metrics.density < 0.6


def test_swin_base_by_name() -> None:
    backbone = load_backbone(BackboneSpec("swin_base_patch4_window7_224", random=True))
    assert backbone.site.widths == (128,) * 2 + (256,) * 2 + (512,) * 18 + (1024,) * 2
    images, tokens = example(backbone, 1, 10)
    assert backbone(images, tokens).shape == (1, 1024)


@pytest.mark.floats
@pytest.mark.slow
def test_swin_base_is_baked() -> None:
    backbone = load_backbone(BackboneSpec("swin_base_patch4_window7_224", random=True))
    images, tokens = example(backbone, 1, 10)
    unbaked, baked = backbone(images, tokens), backbone.baked(tokens)
    assert_rounding_apart(baked(images), unbaked, rounding(baked, images), rounding(backbone, images, tokens))


@pytest.mark.slow
def test_swin_tiny_with_ten_tokens_in_onnx_runtime(tmp_path: Path) -> None:
    backbone = load_backbone(BackboneSpec("swin_tiny_patch4_window7_224", random=True))
    images, tokens = example(backbone, 4, 10)

    class Unbaked(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            out: Tensor = backbone(images, tokens)
            return out

    for name, module in {"bare": backbone, "lean": backbone.baked(), "baked": backbone.baked(tokens)}.items():
        to_onnx(module, backbone.site.image, tmp_path / f"{name}.onnx")
    check_file(tmp_path / "baked.onnx", Unbaked(), images, batches=(1, 3))
    check_file(tmp_path / "lean.onnx", backbone, images, batches=(1, 3))
    nodes = {name: sum(operators(tmp_path / f"{name}.onnx").values()) for name in ("bare", "lean", "baked")}
    assert nodes["lean"] < nodes["baked"] < nodes["bare"], nodes
