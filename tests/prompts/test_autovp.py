"""AutoVP's learned scale: where it puts the image, its gradient, and that the exported file does the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import safetensors.torch
import torch
from float_bounds import U64, gamma, near
from torch.nn import functional as F

from neuroprompt.contracts.learning import BackboneSpec, Prompt, PromptSite
from neuroprompt.contracts.padding import margins
from neuroprompt.errors import BadSetting
from neuroprompt.onnxgraph.deployable import Unbaked, bare, deployed
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.parity import check_file
from neuroprompt.training.config import configure
from neuroprompt.training.loop import train

SQUARE = PromptSite(depth=0, width=8, image=(3, 32, 32), patch=1)
WIDE = PromptSite(depth=0, width=8, image=(3, 32, 48), patch=1)


def learned(site: PromptSite = SQUARE, **settings: Any) -> Any:
    return Prompt.named("autovp", site=site, learn_scale=True, **settings)


@pytest.mark.parametrize("site", [SQUARE, WIDE], ids=["square", "wide"])
def test_at_scale_1_the_image_is_where_a_fixed_scale_puts_it(site: PromptSite) -> None:
    prompt, fixed = learned(site), Prompt.named("autovp", site=site)
    size = prompt.image_size()
    assert size == fixed.image_size()
    images = torch.rand(2, 3, *size)
    assert torch.equal(prompt.pixels(images), fixed.pixels(images))
    assert {name: tuple(p.shape) for name, p in prompt.named_parameters()} == {
        "delta": (3, site.image[1] * site.image[2]),
        "scale": (),
    }


@pytest.mark.parametrize("scale", [0.3, 0.7, 1.25, 1.7])
def test_the_image_is_magnified_as_torch_samples_an_affine_grid(scale: float) -> None:
    prompt = learned(WIDE, scale=scale, sigmoid=False).double()
    images = torch.rand(2, 3, *prompt.image_size(), dtype=torch.float64)
    canvas = F.pad(images, margins(prompt.image_size(), (32, 48)))
    s = float(prompt.scale.detach())
    turn = torch.tensor([[[1 / s, 0, 0], [0, 1 / s, 0]]], dtype=torch.float64).expand(2, 2, 3)
    grid = F.affine_grid(turn, list(canvas.shape), align_corners=True)
    expected = F.grid_sample(canvas, grid, align_corners=True)
    # Both find a place below 48 / 0.3 by at most ten roundings; a bilinear weight moves as far as its place, and a
    # pixel in [0, 1] is read by 2 x 2 of them.
    most = 2 * 4 * gamma(10, U64) * 48 / 0.3
    assert float((prompt.pixels(images).detach() - expected).abs().max()) <= most


def test_the_gradient_of_the_scale_is_that_of_a_ramp() -> None:
    """In an image that grows by 1 / 32 a column, what stands 4.5 columns right of the middle is 4.5 / (32 s) more."""
    prompt = learned(scale=1.25).double()
    height, width = prompt.image_size()
    columns = torch.arange(width, dtype=torch.float64) / 32
    pixel = prompt.pixels(columns.expand(1, 3, height, width))[0, 0, 15, 20]
    pixel.backward()
    assert float(prompt.scale.grad) == near(-4.5 / 32 / 1.25**2, 64)


@pytest.mark.parametrize(("scale", "inside"), [(0.5, 9), (1.0, 18), (1.5, 27), (1.7, 30)])
def test_the_frame_ends_where_the_scaled_image_begins(scale: float, inside: int) -> None:
    prompt = learned(scale=scale)
    frame = prompt.constant()[0] == 0.5
    first = (32 - inside) // 2
    assert not frame[first : first + inside, first : first + inside].any()
    assert int(frame.sum()) == 32 * 32 - inside * inside


def test_the_scale_is_bounded_and_can_come_back() -> None:
    prompt = learned(sigmoid=False)
    images = torch.rand(1, 3, *prompt.image_size())
    with torch.no_grad():
        prompt.scale.fill_(5.0)
    largest = prompt.pixels(images)
    with torch.no_grad():
        prompt.scale.fill_(9.0)
    assert torch.equal(prompt.pixels(images), largest)
    assert not prompt.constant().detach().any()  # no frame is left
    prompt.pixels(images).square().sum().backward()
    assert float(prompt.scale.grad) != 0


def test_the_gradient_of_the_scale_is_clipped_where_asked() -> None:
    images = torch.rand(4, 3, 18, 18)
    gradients = []
    for clip in (0.0, 0.001):
        prompt = learned(scale=1.2, scale_clip=clip)
        (prompt.pixels(images) * torch.linspace(-1, 1, 32)).square().sum().backward()
        gradients.append(prompt.scale.grad)
    assert abs(float(gradients[0])) > 0.001
    assert gradients[1] == torch.sign(gradients[0]) * 0.001


def test_settings_out_of_range() -> None:
    for scale in (0.0, 1.75, float("nan")):
        with pytest.raises(BadSetting, match=r"^scale "):
            learned(scale=scale)
    with pytest.raises(BadSetting, match=r"^scale_clip "):
        learned(scale_clip=-1.0)


@pytest.mark.floats
def test_the_recipe_learns_the_scale_and_its_file_agrees(tmp_path: Path) -> None:
    classes = {"weight": torch.randn(20, 128), "scale": torch.tensor(100.0)}
    safetensors.torch.save_file(classes, tmp_path / "text.safetensors")
    backbone = BackboneSpec(random=True, image_size=32, classifier=str(tmp_path / "text.safetensors"))
    settings = {"learn_scale": True, "scale": 1.2}
    few = {"backbone": backbone, "data": "digits", "limit": 16, "epochs": 2, "batch": 8, "val": "0.2"}
    run = train(configure(recipe="autovp", settings=settings, **few), tmp_path / "run", accelerator="cpu")
    scale = cast(Any, run.model.prompt).scale.detach()
    assert 0.1 < float(scale) < 5
    assert float(scale) != torch.tensor(1.2)
    to_onnx(deployed(run.model), (3, 32, 32), tmp_path / "model.onnx")
    to_onnx(bare(run.model, lean=True), (3, 32, 32), tmp_path / "bare.onnx")
    with torch.no_grad():
        inputs = run.model.inputs(torch.rand(12, 3, *run.model.preprocess.size))
        check_file(tmp_path / "model.onnx", Unbaked(run.model), inputs)
    more = operators(tmp_path / "model.onnx") - operators(tmp_path / "bare.onnx")
    assert more["MatMul"] == 2, "the image's place is two products with constants"
    assert more.keys() <= {"MatMul", "Slice", "Add"}
