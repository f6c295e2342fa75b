"""The contract of every method on every backbone family: it learns, leaves frozen weights alone, and is exported."""

from __future__ import annotations

import copy
import itertools
import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from forms import form_of
from net_bounds import assert_rounding_apart, rounding
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Head, Preprocess, Prompt
from neuroprompt.errors import Unsupported
from neuroprompt.onnxgraph.deployable import Unbaked, bare, deployed
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.parity import TOLERANCE, check_file
from neuroprompt.training.deploy import deployed_tokens
from neuroprompt.training.model import PromptedModel

GREY = Preprocess((32, 32), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bicubic")

PATCHES: dict[str, Any] = {"img_size": 32, "depth": 3, "embed_dim": 32, "num_heads": 2}
# A sum of n products rounds by sqrt(n) of its terms' sizes, and is itself sqrt(n) times smaller than their sum: patches
# of 8 x 8 pixels make a first layer four times better conditioned than those of 16 x 16.
FINE: dict[str, Any] = {**PATCHES, "patch_size": 8}
WINDOWS: dict[str, Any] = {"img_size": 32, "embed_dim": 16, "depths": (2, 1), "num_heads": (2, 4), "window_size": 4}
UNITS: dict[str, Any] = {"img_size": 32, "embed_dim": 16, "num_heads": 2, "stages": (1, 2), "q_pool": 1}
UNITS |= {"mask_unit_size": (4, 4), "mask_unit_attn": (True, False)}
TINY: dict[str, dict[str, Any]] = {
    "beit": {"model": "beit_base_patch16_224", **FINE, "init_values": 0.5},
    "cait": {"model": "cait_xxs24_224", **FINE, "init_values": 0.5},
    "efficientnet": {"model": "test_efficientnet"},
    "eva": {"model": "vit_small_patch16_dinov3", **FINE, "init_values": 0.5},
    "general": {"model": "densenet121", "growth_rate": 8, "block_config": (1, 1)},
    "hiera": {"model": "hiera_tiny_224", **UNITS},
    "relpos": {"model": "vit_relpos_small_patch16_224", **FINE, "init_values": 0.5},
    "resnet": {"model": "resnet18", "layers": (1, 1, 1, 1), "channels": (8, 8, 16, 16)},
    "swin": {"model": "swin_tiny_patch4_window7_224", **WINDOWS},
    "swin-v2": {"model": "swinv2_tiny_window8_256", **WINDOWS},
    "swin-v2-cr": {"model": "swinv2_cr_tiny_224", **WINDOWS},
    "vit": {"model": "vit_tiny_patch16_224", **PATCHES},
    "xcit": {"model": "xcit_nano_12_p16_224", **PATCHES, "eta": 1.0},
}
"""timm's arguments of one small random model of every family; a new family adds its line."""

QUIET = {"beit", "cait", "eva", "hiera", "relpos", "swin-v2", "swin-v2-cr", "xcit"}
"""Families whose blocks do next to nothing at timm's initial values: theirs are drawn larger."""
NO_TOKENS = {"efficientnet", "general", "resnet"}
HANDED_ON = {"gate-vpt", "lspt", "vapt", "vpt-shallow"}
"""Methods whose tokens follow the image from block to block, which some families cannot take."""
DEEP_ONLY = {"hiera", "swin", "swin-v2", "swin-v2-cr", "xcit"}
NO_LINEAR = {"efficientnet", "general", "resnet"}
"""Families whose tiny models have no linear layers that something could stand beside."""

ALIKE = {
    "spt": {"vit"},
    "vfpt": {"vit", "swin"},
    "vapt": {"vit", "cait", "relpos"},
    "lora": {"vit", "swin-v2", "resnet"},
    "ssf": {"vit", "efficientnet"},
    "e2vpt": {"vit", "eva"},
    "spike-lora": {"vit", "swin", "hiera"},
}
"""Methods whose networks are those of others (VPT-deep's or the bare one), or whose prompts know no family. Every run
tries these families; the slow run tries all, and exports these."""

NEARLY = {"hiera": {"vpt-deep", "spike-lora"}, "swin-v2-cr": {"vpt-deep"}}
"""Families that differ from Swin's and Swin V2's in their blocks alone: these methods are tried on them, and all others
where NEUROPROMPT_PAIRS=all."""

PAIRS = [(method, family) for method in Prompt.names() for family in sorted(TINY)]
REFUSED = [
    (method, family)
    for method, family in PAIRS
    if (Prompt.part(method).enters == "tokens" and family in NO_TOKENS)
    or (Prompt.part(method).enters == "layers" and family in NO_LINEAR)
    or (method in {*HANDED_ON, "e2vpt"} and family in DEEP_ONLY)
]
FITTING = [pair for pair in PAIRS if pair not in REFUSED]


def is_asked_often(method: str, family: str) -> bool:
    """Whether a pair belongs to every run of the tests."""
    return family in ALIKE.get(method, {family}) and method in NEARLY.get(family, {method})


TRIED = [
    pytest.param(method, family, marks=() if is_asked_often(method, family) else pytest.mark.slow)
    for method, family in FITTING
    if method in NEARLY.get(family, {method}) or os.environ.get("NEUROPROMPT_PAIRS") == "all"
]


@cache
def _tiny(family: str) -> Backbone:
    options = dict(TINY[family])
    torch.manual_seed(0)
    model = timm.create_model(options.pop("model"), num_classes=0, **options)
    if family in QUIET:
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                inputs = math.prod(parameter.shape[1:]) if name.endswith("weight") else 25
                nn.init.normal_(parameter, std=inputs**-0.5)  # what a layer gives is as large as what it gets
            elif name.endswith("weight"):
                nn.init.uniform_(parameter, 0.5, 1.5)
    model.train()
    with torch.no_grad():  # running statistics as after training, so that folding them shows
        for _ in range(5):
            model(2 * torch.randn(32, 3, 32, 32) + 1)
    part: Any = Backbone.part(family)
    assert part.holds(model)
    backbone: Backbone = part(model, BackboneSpec("tiny", random=True), GREY)
    return backbone.eval()


def tiny(family: str) -> Backbone:
    """A random backbone of that family for images of 32 x 32; each is drawn once and copied."""
    return copy.deepcopy(_tiny(family))


def prompted(method: str, family: str) -> PromptedModel:
    backbone = tiny(family)
    torch.manual_seed(1)
    prompt = Prompt.named(method, site=backbone.site)
    return PromptedModel(backbone, prompt, Head.named("linear", features=backbone.features, classes=4))


def test_every_family_is_here() -> None:
    assert set(TINY) == set(Backbone.names())


@pytest.mark.parametrize(("method", "family"), REFUSED)
def test_what_cannot_enter_is_refused_in_one_line(method: str, family: str) -> None:
    with pytest.raises(Unsupported) as refused:
        prompted(method, family)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("method", "family"), TRIED)
def test_a_few_steps_lower_the_loss_and_change_nothing_else(method: str, family: str) -> None:
    model = prompted(method, family)
    frozen = copy.deepcopy({k: v for k, v in model.state_dict().items() if k not in model.learned()})
    before = copy.deepcopy(model.learned())
    images, labels = torch.rand(8, 3, *model.preprocess.size), torch.arange(8) % 4
    optimiser = torch.optim.Adam(model.learned().values(), lr=1e-2)
    losses = []
    for _ in range(8):
        model.train()
        optimiser.zero_grad()
        loss = cross_entropy(model(images), labels) + model.prompt.penalty()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    for name, value in frozen.items():
        assert torch.equal(model.state_dict()[name], value), name
    assert any(name.startswith("head.") for name in before)
    for name, value in before.items():
        assert not torch.equal(model.learned()[name], value), f"{name} does not learn"


FORMS = {
    *(("spike-nvpt", "vit"), ("vpt-shallow", "vit"), ("lspt", "vit"), ("lorsp", "vit"), ("lor-vp", "vit")),
    *(("vpt-deep", "swin"), ("evp", "resnet"), ("autovp", "efficientnet")),
}
"""One of every form of an exported graph; torch's exporter takes seconds, so that the rest is for the slow run."""

SAME_FORM = dict.fromkeys(("binary-vpt", "spike-nvpt", "spt", "vfpt"), "vpt-deep")
SAME_FORM |= dict.fromkeys(("full", "lora", "ssf"), "linear") | dict.fromkeys(("autovp", "evp", "ilm-vp"), "lor-vp")
"""Methods whose graph is another's with other constants: that the network is, is quicker to see than in its file."""

ASKED = [pair for pair in FITTING if is_asked_often(*pair)]
LIKE_ANOTHER = [pair for pair in ASKED if pair not in FORMS and (SAME_FORM.get(pair[0]), pair[1]) in ASKED]
EXPORTED = [
    pytest.param(*pair, marks=() if pair in FORMS else pytest.mark.slow) for pair in ASKED if pair not in LIKE_ANOTHER
]


FAR = 2e-5
"""More than the rounding of a potential of about 1 by some 20 operations of 100 terms: 20 sqrt(100) 2^-24 = 1.2e-5."""


def nearest(model: PromptedModel, images: Tensor) -> float:
    """How near to its threshold a potential beside a layer comes: there a neuron fires in one form and not in another.

    Methods without such neurons: infinity.
    """
    if model.prompt.enters != "layers":
        return math.inf
    neurons: Any = model.prompt.gate_neurons(1).chain[0]
    return float((model.generator_inputs(images) / neurons.tau - neurons.threshold).abs().min())


def random_prompt(method: str, family: str) -> tuple[PromptedModel, Unbaked, nn.Module, Tensor]:
    """A model away from the zeros that would hide a prompt which is not there; its two forms, and images for it."""
    model = prompted(method, family).eval()
    if method in HANDED_ON:  # numbers with which classes lie far enough apart for the tolerance to say something
        torch.manual_seed(3)
    for parameter in model.prompt.parameters():
        if model.prompt.enters in (
            "weights",
            "layers",
        ):  # a change of their size; one that drowns them only sharpens attention
            parameter.data += 0.05 * torch.randn_like(parameter)
        else:
            torch.nn.init.normal_(parameter, std=0.5)
    torch.nn.init.normal_(model.head.get_parameter("weight"))
    tokens = deployed_tokens(model.prompt)
    images = torch.rand(12, 3, *model.preprocess.size)
    while nearest(model, images) < FAR:
        images = torch.rand(12, 3, *model.preprocess.size)
    return model, Unbaked(model, tokens), deployed(model, tokens), images


@pytest.mark.floats
@pytest.mark.parametrize(("method", "family"), TRIED)
def test_the_deployed_form_is_the_trained_model(method: str, family: str) -> None:
    model, unbaked, baked, images = random_prompt(method, family)
    inputs = model.inputs(images)
    whole, part, folded = rounding(model, images), rounding(unbaked, inputs), rounding(baked, inputs)
    with torch.no_grad():
        trained = model(images)
        assert_rounding_apart(unbaked(inputs), trained, whole, part)
        assert_rounding_apart(baked(inputs), trained, whole, folded)
        # What an exported file is allowed is more than rounding can do, and less than a token does that is not there.
        allowed = TOLERANCE * float(trained.max() - trained.min())
        assert part + folded <= allowed
        if unbaked.tokens is not None:
            unbaked.tokens[:, -1] = unbaked.tokens[:, 0]
            assert float((unbaked(inputs) - trained).abs().max()) > 10 * allowed
        if model.prompt.enters in ("weights", "layers"):
            assert float((bare(model)(inputs) - trained).abs().max()) > 10 * allowed


@pytest.mark.floats
@pytest.mark.parametrize(("method", "family"), EXPORTED)
def test_the_exported_file_is_the_trained_model(method: str, family: str, tmp_path: Path) -> None:
    model, unbaked, baked, images = random_prompt(method, family)
    to_onnx(baked, model.backbone.site.image, tmp_path / "model.onnx")
    inputs = model.inputs(images)
    result = check_file(tmp_path / "model.onnx", unbaked, inputs)
    assert result.max_abs_diff <= rounding(unbaked, inputs) + rounding(baked, inputs)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "family"), LIKE_ANOTHER)
def test_what_is_not_exported_has_the_form_of_what_is(method: str, family: str) -> None:
    ours, theirs = (form_of(random_prompt(name, family)[2]) for name in (method, SAME_FORM[method]))
    assert ours == theirs


def test_forms_of_different_graphs_differ() -> None:
    methods = ("lor-vp", "lorsp", "vpt-deep", "vpt-shallow", "gate-vpt", "lspt")
    forms = [form_of(random_prompt(method, "vit")[2]) for method in methods]
    assert all(one != other for one, other in itertools.combinations(forms, 2))
