"""SPT's prototypes, and that training begins with those of the task's own patch tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from float_bounds import U32, gamma
from net_bounds import assert_rounding_apart

from neuroprompt.contracts.learning import BackboneSpec, Prompt, PromptSite
from neuroprompt.errors import BadSetting
from neuroprompt.training.assemble import build
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import load_data
from neuroprompt.training.loop import train

SITE = PromptSite(depth=2, width=8, image=(3, 32, 32), patch=16)
GROWING = PromptSite(depth=2, width=8, image=(3, 32, 32), patch=4, widths=(4, 8))


def spt(site: PromptSite = SITE, **settings: Any) -> Any:
    return Prompt.named("spt", site=site, **settings)


def test_kmeans_finds_clusters_that_lie_apart() -> None:
    """Whatever the draw, Lloyd's centres are means of their members; here, of clusters 1000 times their own size."""
    centres = torch.eye(3, 8) * 1000
    tokens = torch.cat([centre + torch.rand(50, 8) for centre in centres])
    prompt = spt(tokens=3)
    for seed in range(5):
        torch.manual_seed(seed)
        prompt.begin([tokens, tokens[torch.randperm(150)]])
        for block in prompt.tokens():
            members = torch.cdist(tokens.double(), block.double()).argmin(1)
            for k in range(3):
                assert_rounding_apart(block[k], tokens[members == k].mean(0), 2 * gamma(64, U32) * 1001)


def test_means_and_random_tokens() -> None:
    tokens = torch.arange(48.0).view(6, 8)
    prompt = spt(tokens=3, start="mean")
    prompt.begin([tokens, tokens + 1])
    assert torch.equal(prompt.tokens()[0], torch.stack([tokens[:2].mean(0), tokens[2:4].mean(0), tokens[4:].mean(0)]))
    assert torch.equal(prompt.tokens()[1], prompt.tokens()[0] + 1)
    prompt = spt(tokens=3, start="random")
    prompt.begin([tokens, tokens])
    for block in prompt.tokens():
        rows = [int(row[0] // 8) for row in block]
        assert len(set(rows)) == 3
        assert torch.equal(block, tokens[rows])


def test_equal_tokens_make_equal_prototypes() -> None:
    """A black image's patches are all alike before positions are added: clusters without members stay as they are."""
    prompt = spt(tokens=3)
    prompt.begin([torch.ones(9, 8), torch.ones(9, 8)])
    assert torch.equal(prompt.tokens(), torch.ones(2, 3, 8))


def test_blocks_that_differ_in_width() -> None:
    prompt = spt(GROWING, tokens=3, start="mean")
    narrow, wide = torch.rand(9, 4), torch.rand(9, 8)
    prompt.begin([narrow, wide])
    assert torch.equal(prompt.tokens()[0, :, :4], torch.stack([part.mean(0) for part in narrow.tensor_split(3)]))
    assert torch.equal(prompt.tokens()[1], torch.stack([part.mean(0) for part in wide.tensor_split(3)]))


def test_more_prompts_than_patches() -> None:
    with pytest.raises(BadSetting, match="at most 9"):
        spt(tokens=10).begin([torch.rand(9, 8), torch.rand(9, 8)])
    for wrong in ({"start": "max"}, {"images": 0}, {"tokens": 0}):
        with pytest.raises(BadSetting):
            spt(**wrong)


def test_training_begins_with_the_tasks_own_tokens(tmp_path: Path) -> None:
    """At a rate of 1e-12 nothing moves, so that what was trained is what it began with."""
    config = RunConfig(
        method="spt", settings={"tokens": 2, "start": "mean", "images": 10}, backbone=BackboneSpec(), data="digits",
        lr=1e-12, epochs=1, batch=16, limit=20,
    )  # fmt: skip
    run = train(config, tmp_path / "run", accelerator="cpu")
    p = run.model.prompt.get_parameter("p")
    backbone = run.model.backbone
    assert float((p - build(run.config).prompt.get_parameter("p")).detach().abs().max()) > 0.01
    means = []
    images = load_data("digits", run.model.preprocess, 0, 20).train
    for i in range(20):
        pixels = run.model.normalise(images[i][0][None].float() / 255)
        with torch.no_grad():
            means.append(torch.stack([tokens[0].mean(0) for tokens in backbone.block_inputs(pixels)]))
    # Each prompt is the mean of five whole images, so that it lies within all images' means, in every channel.
    low, high = torch.stack(means).amin(0), torch.stack(means).amax(0)
    assert bool(((p >= low[:, None] - 1e-4) & (p <= high[:, None] + 1e-4)).all())
    again = train(config, tmp_path / "again", accelerator="cpu")
    assert torch.equal(again.model.prompt.get_parameter("p"), p)
