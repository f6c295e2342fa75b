"""Static pixel prompts: published counts, what stands in the frame, EVP's unit gradient, settings out of range."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from float_bounds import U32, gamma, sums
from torch import Tensor

from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import BadSetting, Unsupported

LARGE = PromptSite(depth=12, width=8, image=(3, 224, 224), patch=16)
WIDE = PromptSite(depth=0, width=8, image=(3, 32, 48), patch=1)
FRAMES = ["evp", "autovp", "ilm-vp"]


@pytest.mark.parametrize(
    ("name", "settings", "parameters", "side"),
    [
        ("evp", {}, 69_840, 164),
        ("autovp", {"scale": 0.5}, 138_240, 64),
        ("autovp", {}, 101_376, 128),
        ("autovp", {"scale": 1.25}, 73_728, 160),
        ("autovp", {"scale": 1.5}, 39_936, 192),
        ("ilm-vp", {"side": 32}, 147_456, 32),
        ("ilm-vp", {}, 101_376, 128),
        ("ilm-vp", {"side": 164, "sigmoid": False}, 69_840, 164),
        ("lor-vp", {}, 5_376, None),
    ],
)
def test_published_counts_at_224_pixels(name: str, settings: dict[str, Any], parameters: int, side: int | None) -> None:
    prompt = Prompt.named(name, site=LARGE, **settings)
    assert sum(p.numel() for p in prompt.parameters()) == parameters
    assert prompt.state_dict().keys() == dict(prompt.named_parameters()).keys()
    assert prompt.image_size() == (None if side is None else (side, side))
    prompted = prompt.pixels(torch.rand(1, 3, side or 224, side or 224))
    assert prompted.shape == (1, 3, 224, 224)
    assert prompted[0].numel() == 150_528


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("site", [LARGE, WIDE], ids=["square", "wide"])
def test_a_image_in_the_middle_and_a_frame_of_parameters(name: str, site: PromptSite) -> None:
    prompt = Prompt.named(name, site=site)
    size = prompt.image_size()
    assert size is not None
    (height, width), (tall, wide) = size, site.image[1:]
    top, left = (tall - height) // 2, (wide - width) // 2
    images = torch.rand(2, 3, height, width)
    start = prompt.pixels(images).detach()
    assert torch.equal(start[:, :, top : top + height, left : left + width], images)
    frame = torch.ones(tall, wide, dtype=torch.bool)
    frame[top : top + height, left : left + width] = False
    assert (start[:, :, frame] == (0.0 if name == "evp" else 0.5)).all()
    delta = prompt.get_parameter("delta")
    assert delta.shape == (3, int(frame.sum()))
    torch.nn.init.normal_(delta)
    trained = prompt.pixels(images)
    assert torch.equal(trained[:, :, top : top + height, left : left + width], images)
    expected = delta if name == "evp" else torch.sigmoid(delta)
    assert torch.equal(trained[1][:, frame], expected)


@pytest.mark.parametrize("name", ["autovp", "ilm-vp"])
def test_an_additive_frame_is_delta_itself(name: str) -> None:
    prompt = Prompt.named(name, site=WIDE, sigmoid=False)
    size = prompt.image_size()
    assert size is not None
    delta = prompt.get_parameter("delta")
    assert (prompt.pixels(torch.zeros(1, 3, *size)) == 0).all()
    torch.nn.init.normal_(delta)
    placed, values = (x.detach().double() for x in (prompt.pixels(torch.zeros(1, 3, *size)), delta))
    assert abs(float(placed.sum() - values.sum())) <= sums(values)


def _gradient(prompt: Prompt, weights: Tensor) -> Tensor:
    """Of the mean over a batch of a loss that is linear in the prompted images."""
    size = prompt.image_size()
    assert size is not None
    (prompt.pixels(torch.rand(4, 3, *size)) * weights).sum((1, 2, 3)).mean().backward()
    gradient = prompt.get_parameter("delta").grad
    assert gradient is not None
    return gradient


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_evps_gradient_has_norm_1_over_frame_and_image(scale: float) -> None:
    weights = torch.randn(3, 32, 32) * scale
    site = PromptSite(depth=0, width=8, image=(3, 32, 32), patch=1)
    unit = _gradient(Prompt.named("evp", site=site), weights)
    plain = _gradient(Prompt.named("evp", site=site, unit_gradient=False), weights)
    # g over its norm and the release's 1e-10; a norm of 3072 squares, whose rounding the root halves, and 8 more.
    expected = plain.double() / (weights.double().norm() + 1e-10)
    assert bool(((unit - expected).abs() <= gamma(3 * 32 * 32 // 2 + 8, U32) * expected.abs()).all())
    # The image's part of the gradient counts, as in the release: the frame's own norm stays below 1.
    assert 0.1 < float(unit.norm()) < 0.9
    assert float(_gradient(Prompt.named("evp", site=site), torch.zeros(3, 32, 32)).abs().max()) == 0


def test_evps_unit_gradient_is_refused_where_the_loss_is_scaled() -> None:
    site, images = PromptSite(depth=0, width=8, image=(3, 32, 32), patch=1), torch.rand(1, 3, 23, 23)
    prompt = Prompt.named("evp", site=site)
    with torch.autocast("cpu", torch.float16), pytest.raises(Unsupported, match="bf16-mixed"):
        prompt.pixels(images)
    with torch.autocast("cpu", torch.float16), torch.no_grad():
        prompt.pixels(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert prompt.pixels(images).dtype == torch.float32
    with torch.autocast("cpu", torch.float16):
        Prompt.named("evp", site=site, unit_gradient=False).pixels(images)


@pytest.mark.parametrize(
    ("name", "setting", "values"),
    [
        ("evp", "pad", [0, 112, -3]),
        ("autovp", "scale", [0.0, 1.75, -1.0, float("nan"), float("inf")]),
        ("ilm-vp", "side", [0, 224, -1]),
    ],
)
def test_settings_that_leave_no_image_or_no_frame(name: str, setting: str, values: list[float]) -> None:
    for value in values:
        with pytest.raises(BadSetting, match=f"^{setting} "):
            Prompt.named(name, site=LARGE, **{setting: value})
    tiny = PromptSite(depth=0, width=8, image=(3, 4, 4), patch=1)
    with pytest.raises(BadSetting, match="4 x 4 pixels"):
        Prompt.named("ilm-vp", site=tiny, side=223)
    with pytest.raises(BadSetting, match="4 x 4 pixels"):
        Prompt.named("ilm-vp", site=tiny, side=1)
