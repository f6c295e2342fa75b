"""Prompt tokens that depend on the image: sizes, and the recurrences by hand."""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import Any

import pytest
import snntorch
import torch
from float_bounds import U32, gamma
from net_bounds import assert_rounding_apart, rounding
from stream_nets import MEMORIES, prompt_for, small
from torch import Tensor
from torch.nn import functional as F

from neuroprompt.contracts.learning import Prompt, PromptSite, Stream
from neuroprompt.errors import BadSetting, Unsupported

VIT_B = PromptSite(depth=12, width=768, image=(3, 224, 224), patch=16)


def stream_of(prompt: Prompt) -> Stream:
    stream = prompt.stream()
    assert stream is not None
    return stream


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "beside"),
    [
        ({}, 263_424),
        ({"lstm_hidden": 0}, 4_724_736),
        ({"lstm_hidden": 768}, 4_724_736),
        ({"memory": "slstm"}, 263_424),
        ({"memory": "lif"}, 768 * 64 + 64 + 64 * 768 + 768),
        ({"memory": "none"}, 0),
        ({"memory": "none", "spatial": False}, 0),
        ({"spatial": False}, 263_424),
    ],
)
def test_parameters_of_lspt(settings: dict[str, Any], beside: int) -> None:
    prompt = Prompt.named("lspt", site=VIT_B, tokens=50, **settings)
    assert sum(p.numel() for p in prompt.parameters()) == 50 * 768 + beside
    assert prompt.per_image
    assert prompt.tokens() is None
    assert prompt.spiking == (settings.get("memory") in ("slstm", "lif"))


def test_parameters_of_gate_vpt() -> None:
    prompt = Prompt.named("gate-vpt", site=VIT_B, tokens=100)
    assert sum(p.numel() for p in prompt.parameters()) == 76_800 + 11 + 12


@pytest.mark.parametrize(
    "wrong", [{"memory": "gru"}, {"lstm_hidden": -1}, {"tokens": 0}, {"threshold": -1.0}, {"memory": "lif", "tau": 0.5}]
)
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadSetting):
        Prompt.named("lspt", site=VIT_B, **wrong)


@pytest.mark.parametrize("method", ["lspt", "gate-vpt", "vapt"])
def test_a_backbone_without_blocks_of_one_width_is_refused(method: str) -> None:
    with pytest.raises(Unsupported, match="enters as tokens"):
        Prompt.named(method, site=PromptSite(depth=0, width=0, image=(3, 32, 32), patch=1))
    with pytest.raises(Unsupported, match=f"{method}'s tokens follow the image from block to block"):
        Prompt.named(method, site=PromptSite(depth=2, width=32, image=(3, 32, 32), patch=4, widths=(16, 32)))


def test_a_gate_of_no_number_is_refused() -> None:
    with pytest.raises(BadSetting):
        Prompt.named("gate-vpt", site=VIT_B, gate_init=math.nan)


# --- the recurrences, by hand ----------------------------------------------------------------------------------------


def by_hand(prompt: Any, memory: str, outputs: Tensor, patches: Tensor) -> Tensor:
    """Z_1 .. Z_L of one image, (L, N, D): token by token, written out; outputs (L, N, D), patches (L, P, D)."""
    results = torch.zeros_like(outputs)
    for n in range(outputs.shape[1]):
        h = torch.zeros(prompt.back.in_features, dtype=outputs.dtype)
        m = h.clone()
        for block in range(len(outputs)):
            coded = outputs[block, n] + sum(patches[block]) / len(patches[block])
            if memory == "lif":
                layer = prompt.memory.current
                h = 0.5 * h + (layer.weight @ F.layer_norm(coded, coded.shape) + layer.bias) / 2
                out = (h > 0.1).double()
                h = torch.where(out > 0, 0.0, h)
            else:
                cell = prompt.memory.cell if memory == "lstm" else prompt.memory.slstm.lstm_cell
                x = coded if memory == "lstm" else F.layer_norm(coded, coded.shape)
                i, f, g, o = (cell.weight_ih @ x + cell.bias_ih + cell.weight_hh @ h + cell.bias_hh).chunk(4)
                m = f.sigmoid() * m + i.sigmoid() * g.tanh()
                out = h = o.sigmoid() * m.tanh()
                if memory == "slstm":
                    out = (h > 0.1).double()
                    h = torch.where(out > 0, 0.0, h)
            results[block, n] = coded + prompt.back.weight @ out + prompt.back.bias
    return results


def run(prompt: Prompt, outputs: Tensor, patches: Tensor) -> Tensor:
    """Z_1 .. Z_L of a batch, (L, B, N, D)."""
    stream = stream_of(prompt)
    return torch.stack([stream.after(i, outputs[i], patches[i]) for i in range(len(outputs))])


@pytest.mark.parametrize("memory", MEMORIES)
def test_lspt_is_its_equations(memory: str) -> None:
    prompt = prompt_for(small(), "lspt", memory=memory, lstm_hidden=7)
    outputs, patches = torch.randn(3, 2, 3, 24).double(), torch.randn(3, 2, 16, 24).double()
    stream = stream_of(prompt)
    assert torch.equal(stream.enter(patches[0]), prompt.p.expand(2, 3, 24))
    found = torch.stack([stream.after(i, outputs[i], patches[i]) for i in range(3)])
    bound = rounding(partial(run, prompt), outputs, patches)
    for image in range(2):
        written, numbers = partial(by_hand, prompt, memory), (outputs[:, image], patches[:, image])
        assert_rounding_apart(found[:, image], written(*numbers), bound, rounding(written, *numbers))
    assert len(stream.spikes) == (0 if memory == "lstm" else 3)
    for spikes in stream.spikes:
        assert spikes.shape == (2, 3, 7)
        assert 0 < float(spikes.mean()) < 1
        assert set(spikes.unique().tolist()) == {0.0, 1.0}


def test_the_literal_reading_of_lspt() -> None:
    """The full LSTM without a residual: the next block's prompt is h itself."""
    prompt = prompt_for(small(), "lspt", lstm_hidden=0, residual=False)
    outputs, patches = torch.randn(2, 1, 3, 24).double(), torch.randn(2, 1, 16, 24).double()
    stream, cell = stream_of(prompt), prompt.memory.cell
    bound = rounding(partial(run, prompt), outputs, patches)
    h, m = cell((outputs[0] + patches[0].mean(1, keepdim=True))[0])
    assert_rounding_apart(stream.after(0, outputs[0], patches[0])[0], h, bound, bound)  # the same operations
    h, m = cell((outputs[1] + patches[1].mean(1, keepdim=True))[0], (h, m))
    assert_rounding_apart(stream.after(1, outputs[1], patches[1])[0], h, bound, bound)


def test_lspt_begins_as_spatial_coding_alone() -> None:
    prompt = Prompt.named("lspt", site=small().site)
    outputs, patches = torch.randn(2, 10, 24), torch.randn(2, 16, 24)
    assert torch.equal(stream_of(prompt).after(0, outputs, patches), outputs + patches.mean(1, keepdim=True))


def test_lspt_without_its_memory_is_spatial_coding_alone() -> None:
    prompt = prompt_for(small(), "lspt", memory="none")
    stream = stream_of(prompt)
    for _ in range(2):  # no state either
        outputs, patches = torch.randn(2, 3, 24).double(), torch.randn(2, 16, 24).double()
        assert torch.equal(stream.after(0, outputs, patches), outputs + patches.mean(1, keepdim=True))


@pytest.mark.parametrize("memory", MEMORIES)
def test_lspt_without_spatial_coding_sees_no_patches(memory: str) -> None:
    prompt = prompt_for(small(), "lspt", memory=memory, spatial=False)
    coded = copy.deepcopy(prompt)
    coded.spatial = True
    outputs, patches = torch.randn(3, 2, 3, 24).double(), torch.randn(3, 2, 16, 24).double()
    result = run(prompt, outputs, patches)
    assert torch.equal(result, run(prompt, outputs, torch.randn_like(patches)))
    # A sum with zeros is exact, so the same operations follow.
    assert torch.equal(result, run(coded, outputs, torch.zeros_like(patches)))
    assert not torch.equal(result, run(coded, outputs, patches))


def test_lspt_without_both_parts_is_vpt_shallow() -> None:
    backbone = small()
    bare = prompt_for(backbone, "lspt", memory="none", spatial=False)
    shallow = prompt_for(backbone, "vpt-shallow")
    shallow.p.data.copy_(bare.p)
    images = torch.rand(2, 3, 32, 32).double()
    result, expected = backbone(images, bare.stream()), backbone(images, shallow.tokens())
    bound = rounding(lambda x: backbone(x, shallow.tokens()), images)
    assert_rounding_apart(result, expected, bound, bound)  # the same equations


def test_gates_can_start_half_open() -> None:
    site = small().site
    stream = stream_of(Prompt.named("gate-vpt", site=site, gate_init=0.0).double())
    entered, outputs = stream.enter(torch.randn(2, 16, 24).double()), torch.randn(2, 10, 24).double()
    # lerp: a difference, its half, which is exact, and a sum.
    limit = gamma(3) * (entered.abs() + outputs.abs())
    assert bool(((stream.after(0, outputs, outputs) - (entered + outputs) / 2).abs() <= limit).all())


def test_spiking_memories_are_the_same_in_training_and_in_eval_mode() -> None:
    """In training the neurons are snnTorch's own, in eval mode the definition."""
    for memory in ("lif", "slstm"):
        prompt = prompt_for(small(), "lspt", memory=memory)
        outputs, patches = torch.randn(3, 4, 3, 24).double(), torch.randn(3, 4, 16, 24).double()
        bound = rounding(partial(run, prompt), outputs, patches)
        trained, deployed = (run(prompt.train(mode), outputs, patches) for mode in (True, False))
        assert_rounding_apart(trained, deployed, bound, bound)  # the same equations


def test_the_spiking_lstm_is_snntorchs() -> None:
    """Where the sizes are equal, snnTorch's own forward keeps its state: the same spikes from the same state."""
    prompt = prompt_for(small(), "lspt", memory="slstm", lstm_hidden=0)
    slstm = prompt.memory.slstm
    assert type(slstm) is snntorch.SLSTM
    state = None
    for _ in range(4):
        x = torch.randn(5, 24).double()
        u, m = (torch.zeros(5, 24).double(),) * 2 if state is None else state
        spikes, syn, mem = copy.deepcopy(slstm)(F.layer_norm(x, (24,)), m, u)
        found, state = prompt.memory(x, state)
        assert torch.equal(found, spikes)
        assert torch.equal(state[1], syn)
        assert torch.equal(state[0], torch.where(spikes > 0, 0.0, mem))


def test_gates_mix_what_left_a_block_with_what_entered_it() -> None:
    prompt = prompt_for(small(), "gate-vpt")
    stream, z = stream_of(prompt), prompt.p.expand(2, 3, 24)
    assert torch.equal(stream.enter(torch.randn(2, 16, 24).double()), z)
    size = z.abs()
    for i in range(3):
        outputs = torch.randn(2, 3, 24).double()
        g = 1 / (1 + math.exp(-float(prompt.gates[i].detach())))
        z, size = g * outputs + (1 - g) * z, g * outputs.abs() + (1 - g) * size
        # The gate, four operations of it, and four that mix: at most 8 roundings a block on either side.
        assert bool(((stream.after(i, outputs, outputs) - z).abs() <= 2 * gamma(8 * (i + 1)) * size).all())
    assert stream.temperatures is not None
    assert torch.equal(stream.temperatures, prompt.temperatures.clip(0.01, 10))


def test_gates_that_are_nearly_closed_leave_prompts_as_they_entered() -> None:
    site = small().site
    stream = stream_of(Prompt.named("gate-vpt", site=site, gate_init=40.0))
    entered, patches = stream.enter(torch.randn(2, 16, 24)), torch.randn(2, 16, 24)
    outputs = torch.randn(2, 10, 24)
    # sigmoid(-40) = 4e-18 of what left the block, and a rounding of what entered it.
    limit = 5e-18 * outputs.abs() + 2 * U32 * entered.abs()
    assert bool(((stream.after(0, outputs, patches) - entered).abs() <= limit).all())
    usual: Any = Prompt.named("gate-vpt", site=site)
    assert usual.gates.sigmoid().max() < 0.01
    assert usual.gates.shape == (3,)
    assert torch.equal(usual.temperatures, torch.ones(4))


# --- in a backbone ---------------------------------------------------------------------------------------------------
