"""Weights in the layouts that people have: other names, wrappers, averages, halves; what cannot be used says why."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from neuroprompt.contracts.specs import BackboneSpec
from neuroprompt.errors import BadWeights
from neuroprompt.progress import Progress
from neuroprompt.training.backbone import load_backbone, load_classifier
from neuroprompt.training.weights import wrapper

Weights = dict[str, Tensor]


class Said(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def weights_of(name: str) -> Weights:
    torch.manual_seed(1)
    return {key: value.contiguous() for key, value in timm.create_model(name).state_dict().items()}


@pytest.fixture(scope="module")
def vit() -> Weights:
    return weights_of("test_vit")


def same(file: Path, weights: Weights, name: str = "test_vit", said: Progress | None = None) -> bool:
    """Whether a backbone of that file has these weights."""
    model = load_backbone(BackboneSpec(name, str(file)), said or Said()).get_submodule("model")
    return all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())


def rejected(file: Path, *words: str, name: str = "test_vit") -> None:
    with pytest.raises(BadWeights) as caught:
        load_backbone(BackboneSpec(name, str(file)))
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def microsofts(key: str) -> str:
    """A name of timm's Swin as Microsoft's release has it: downsampling ends a stage, and the classifier is `head`."""
    key = re.sub(r"layers\.(\d+)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", key)
    return key.replace("head.fc.", "head.")


def test_swin_as_microsoft_released_it(tmp_path: Path) -> None:
    name = "swin_tiny_patch4_window7_224"
    weights = weights_of(name)
    save_file({microsofts(key): value for key, value in weights.items()}, tmp_path / "ms.safetensors")
    assert same(tmp_path / "ms.safetensors", weights, name)
    classifier = load_classifier(BackboneSpec(name, str(tmp_path / "ms.safetensors")))
    assert torch.equal(classifier.weight, weights["head.fc.weight"])
    wrapped = {f"module.{microsofts(key)}": value for key, value in weights.items()}
    save_file(wrapped, tmp_path / "ddp.safetensors")
    assert same(tmp_path / "ddp.safetensors", weights, name)


PREFIXES = (
    *("module.", "backbone.", "model.", "_orig_mod.", "timm_model.", "state_dict.", "encoder."),
    *("module._orig_mod.", "model.backbone.", "teacher.backbone.", "visual.trunk."),
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_wrapper_is_left_out_and_named(prefix: str, vit: Weights, tmp_path: Path) -> None:
    others = {"optimizer.step": torch.zeros(1), "logit_scale": torch.zeros(1)}
    save_file({f"{prefix}{key}": value for key, value in vit.items()} | others, tmp_path / "w.safetensors")
    said = Said()
    assert same(tmp_path / "w.safetensors", vit, said=said)
    (line,) = said.lines
    assert f"'{prefix}'" in line
    assert "2 other tensors" in line
    classifier = load_classifier(BackboneSpec("test_vit", str(tmp_path / "w.safetensors")))
    assert torch.equal(classifier.weight, vit["head.weight"])


@pytest.mark.parametrize("inside", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
def test_wrappers_of_single_layers_are_left_out_and_named(inside: str, vit: Weights, tmp_path: Path) -> None:
    """torch.compile, FSDP or activation checkpoints of blocks, in a module of one's own."""
    names = {key: re.sub(r"blocks\.(\d)\.", rf"blocks.\1.{inside}.", key) for key in vit}
    save_file({f"net.{names[key]}": value for key, value in vit.items()}, tmp_path / "w.safetensors")
    said = Said()
    assert same(tmp_path / "w.safetensors", vit, said=said)
    assert f"{inside} left out of the names" in said.lines[0]
    assert "'net.'" in said.lines[1]


@pytest.mark.parametrize("prefix", ["model_ema.", "state_dict_ema.", "ema.module.", "ema_model."])
@pytest.mark.parametrize("plain", ["", "model.", "state_dict."])
def test_of_weights_and_their_average_the_average_is_taken(
    plain: str, prefix: str, vit: Weights, tmp_path: Path
) -> None:
    both = {f"{plain}{key}": value + 1 for key, value in vit.items()}
    both |= {f"{prefix}{key}": value for key, value in vit.items()}
    save_file(both, tmp_path / "w.safetensors")
    said = Said()
    assert same(tmp_path / "w.safetensors", vit, said=said)
    assert f"'{prefix}'" in said.lines[0]


def test_nothing_is_said_of_weights_as_timm_has_them(vit: Weights, tmp_path: Path) -> None:
    save_file(vit, tmp_path / "w.safetensors")
    said = Said()
    assert same(tmp_path / "w.safetensors", vit, said=said)
    assert said.lines == []


@given(st.lists(st.text("ab_0", min_size=1, max_size=5), min_size=0, max_size=3))
def test_any_prefix_of_whole_names_is_seen(parts: list[str]) -> None:
    names = [f"blocks.{i}.{part}.weight" for i in range(4) for part in ("q", "k")]
    prefix = "".join(f"{part}." for part in parts)
    assert wrapper([f"{prefix}{name}" for name in names] + ["other"], names) == prefix


def test_a_few_names_that_end_alike_are_no_wrapper() -> None:
    names = [f"blocks.{i}.weight" for i in range(4)]
    assert wrapper(["text.blocks.0.weight", "visual.weight"], names) == ""
    assert wrapper([], names) == ""


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_widths_become_float32(kind: torch.dtype, vit: Weights, tmp_path: Path) -> None:
    narrow = {key: value.to(kind) for key, value in vit.items()}
    save_file(narrow, tmp_path / "w.safetensors")
    assert same(tmp_path / "w.safetensors", {key: value.float() for key, value in narrow.items()})


DAMAGES: dict[str, tuple[Callable[[Weights], Weights], tuple[str, ...]]] = {
    "nan": (lambda w: {**w, "norm.bias": torch.full_like(w["norm.bias"], torch.nan)}, ("norm.bias", "NaN", "64 of 64")),
    "infinite": (lambda w: {**w, "norm.bias": w["norm.bias"] / 0 + torch.inf}, ("norm.bias", "not finite")),
    "int8": (lambda w: {**w, "head.weight": w["head.weight"].to(torch.int8)}, ("head.weight as int8", "floats")),
    "missing": (lambda w: {k: v for k, v in w.items() if k != "norm.bias"}, ("norm.bias",)),
    "shape": (lambda w: {**w, "norm.bias": torch.zeros(3)}, ("norm.bias", "[3]", "[64]")),
    "unknown": (lambda w: {**w, "norm.gamma": torch.zeros(3)}, ("norm.gamma",)),
    "other model": (lambda w: {"conv1.weight": torch.zeros(3)}, ("do not fit",)),
    "nothing": (lambda w: {}, ("do not fit",)),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_what_cannot_be_used_is_one_line(prefix: str, damage: str, vit: Weights, tmp_path: Path) -> None:
    change, words = DAMAGES[damage]
    save_file({f"{prefix}{key}": value for key, value in change(vit).items()}, tmp_path / "w.safetensors")
    rejected(tmp_path / "w.safetensors", "w.safetensors", *words)


def test_nan_in_convolutional_nets_is_named_too(tmp_path: Path) -> None:
    weights = weights_of("resnet18")
    weights["layer1.0.bn1.running_var"][3] = torch.nan
    save_file(weights, tmp_path / "w.safetensors")
    rejected(tmp_path / "w.safetensors", "1 of 64 values in layer1.0.bn1.running_var", name="resnet18")


WRAPPED: dict[str, Callable[[Weights], object]] = {
    "plain": lambda w: w,
    "Lightning": lambda w: {
        "epoch": 3,
        "state_dict": {f"model.{k}": v for k, v in w.items()},
        "hyper_parameters": {"data": Path("/data"), "lr": 0.1},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.ones(())}},
    },
    "DeiT": lambda w: {
        "model": w,
        "optimizer": {"state": {0: {"step": torch.ones(1)}}},
        "args": argparse.Namespace(output=Path("out"), epochs=300),
    },
    "half": lambda w: {key: value.half() for key, value in w.items()},
}


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_a_checkpoint_of_tensors_is_read(wrapped: str, vit: Weights, tmp_path: Path) -> None:
    torch.save(WRAPPED[wrapped](vit), tmp_path / "w.pth")
    kept = {key: value.half().float() for key, value in vit.items()} if wrapped == "half" else vit
    assert same(tmp_path / "w.pth", kept)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_a_checkpoint_with_code_is_rejected_and_its_code_not_run(vit: Weights, tmp_path: Path) -> None:
    torch.save({"model": vit, "trap": Trap(tmp_path / "sprung")}, tmp_path / "w.pth")
    rejected(tmp_path / "w.pth", "w.pth", "more than tensors", "save_file")
    assert not (tmp_path / "sprung").exists()
    (tmp_path / "noise.pt").write_bytes(b"no checkpoint")
    rejected(tmp_path / "noise.pt", "noise.pt", "tensors alone")


def test_a_checkpoint_that_takes_too_long_or_too_much(
    vit: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(vit, tmp_path / "w.pth")
    monkeypatch.setattr("neuroprompt.training.weights.SECONDS", 0.01)
    rejected(tmp_path / "w.pth", "0.01 s")
    monkeypatch.setattr("neuroprompt.training.weights.SECONDS", 60)
    monkeypatch.setattr("neuroprompt.training.weights.SPARE_BYTES", -4 * (tmp_path / "w.pth").stat().st_size + 10_000)
    rejected(tmp_path / "w.pth", "w.pth", "save_file")
