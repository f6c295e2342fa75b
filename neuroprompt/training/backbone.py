"""Makes a frozen backbone from its spec: the timm model, its weights, and the family that wraps it."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess
from neuroprompt.errors import BadSetting, BadWeights, UnknownName, Unsupported

EMBEDDED: dict[str, Any] = {
    "img_size": 64,
    "patch_size": 8,
    "embed_dim": 128,
    "depth": 6,
    "num_heads": 4,
    "num_classes": 0,
}
"""The embedded backbone: a timm VisionTransformer of 1.2 M parameters, distilled from DeiT-Tiny."""


def load_backbone(spec: BackboneSpec) -> Backbone:
    """The backbone of `spec`, frozen and in eval mode.

    Raises UnknownName for a model that timm does not have, Unsupported for one that no family can wrap, BadWeights for
    weights that do not fit or cannot be had, BadSetting for an image size that the model cannot take.
    """
    if spec.image_size is not None and spec.image_size < 1:
        raise BadSetting(f"image size {spec.image_size}", "a number of pixels")
    model = _embedded(spec) if spec.name == "embedded" else _from_timm(spec)
    for name in Backbone.names():
        family: Any = Backbone.part(name)
        if family.holds(model):
            backbone: Backbone = family(model, spec, _preprocess(model, spec)).requires_grad_(False).eval()
            return backbone
    families = ", ".join(Backbone.names())
    raise Unsupported(f"backbone {spec.name!r} is a {type(model).__name__}", f"a model of these families: {families}")


def load_classifier(spec: BackboneSpec) -> nn.Linear:
    """The classifier that came with the backbone's weights: features (B, F) -> logits (B, S) of its own classes.

    Frozen. Raises Unsupported where it has none, and all that `load_backbone` raises.
    """
    names = () if spec.name == "embedded" else _classifiers(spec.name)
    fix = "choose the linear head, or weights with a classifier"
    if len(names) != 1:
        got = f"backbone {spec.name!r} has no classifier of its own"
        raise Unsupported(got, "one that was trained with classes", fix)
    if spec.weights:
        weights = _read(Path(spec.weights))
        weight, bias = (weights.get(f"{names[0]}.{key}") for key in ("weight", "bias"))
        if weight is None or bias is None:
            raise BadWeights(f"{spec.weights} holds no {names[0]}", "weights with a classifier", fix)
        weight = weight.flatten(1)
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made: Any = timm.create_model(spec.name, pretrained=not spec.random)
        layer = made.get_classifier()
        if not isinstance(layer, nn.Linear):
            raise Unsupported(f"the classifier of {spec.name!r} is a {type(layer).__name__}", "a linear layer", fix)
    return layer.requires_grad_(False)


def _embedded(spec: BackboneSpec) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = VisionTransformer(**EMBEDDED)
    if not spec.random:
        file = Path(spec.weights) if spec.weights else resources.files(Backbone.folder) / "embedded.safetensors"
        weights = _read(Path(str(file)))
        _fits(lambda: model.load_state_dict(weights), str(file), spec.name)
    if spec.image_size not in (None, EMBEDDED["img_size"]):
        _sized(lambda: model.set_input_size((spec.image_size, spec.image_size)), spec)
    return model


def _from_timm(spec: BackboneSpec) -> Any:
    """timm's model without its classifier; an image size of one's own resamples the position table."""
    architecture, _, tag = spec.name.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=4) or ["embedded", "deit_tiny_patch16_224"]
        raise UnknownName(f"timm has no model {spec.name!r}", f"one such as: {', '.join(near)}")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UnknownName(f"timm has no weights {tag!r} of {architecture!r}", f"one of: {', '.join(tags) or 'none'}")
    if spec.random:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return _create(spec)
    # num_classes=0 on both sides keeps timm's loading strict: otherwise it says nothing of keys that are missing.
    if spec.weights:
        weights = _read(Path(spec.weights))
        for classifier in _classifiers(spec.name):
            weights = {key: value for key, value in weights.items() if not key.startswith(f"{classifier}.")}
        source = {"state_dict": weights, "num_classes": 0, "label_offset": 0}
        return _fits(lambda: _create(spec, pretrained=True, pretrained_cfg_overlay=source), spec.weights, spec.name)
    try:
        return _create(spec, pretrained=True)
    except (BadSetting, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever the hub's client raises without a network
        got = f"no weights of {spec.name!r} from timm's hub ({type(error).__name__})"
        raise BadWeights(got, "a network", "give --weights FILE.safetensors, or --random-weights") from error


def _create(spec: BackboneSpec, **source: Any) -> Any:
    if spec.image_size is None:
        return timm.create_model(spec.name, num_classes=0, **source)
    try:
        return _sized(lambda: timm.create_model(spec.name, num_classes=0, img_size=spec.image_size, **source), spec)
    except TypeError:  # a convolutional net takes every size, and has no such argument
        return timm.create_model(spec.name, num_classes=0, **source)


def _classifiers(name: str) -> tuple[str, ...]:
    config = timm.get_pretrained_cfg(name) or timm.get_pretrained_cfg(name.partition(".")[0])
    names = config.classifier if config else None
    return (names,) if isinstance(names, str) else tuple(names or ())


def _read(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, in float32; raises BadWeights."""
    if not file.is_file():
        fix = "give --weights FILE.safetensors, or --random-weights"
        raise BadWeights(f"there are no weights at {file}", "a safetensors file", fix)
    if file.suffix in {".pth", ".pt", ".bin", ".ckpt", ".pkl", ".tar"}:
        fix = "convert it: safetensors.torch.save_file(state_dict, 'weights.safetensors')"
        raise BadWeights(f"{file} is a pickle, which can run code when it is read", "a safetensors file", fix)
    try:
        return {key: value.float() for key, value in load_file(file).items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise BadWeights(f"{file} cannot be read ({error})", "a safetensors file") from error


def _fits(load: Any, file: str, name: str) -> Any:
    """load(), with whatever it finds wrong with the weights as BadWeights: the first key, and both shapes."""
    try:
        return load()
    except (RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        lines = str(error).replace("torch.Size(", "").replace("])", "]").splitlines() or [type(error).__name__]
        first = next((line for line in lines if "loading state_dict" not in line), lines[-1]).strip()
        first = first if len(first) < 200 else first[:200].rpartition(",")[0] + ", ..."
        raise BadWeights(f"weights {file} do not fit {name!r}: {first}", "weights of this model") from error


def _sized(make: Any, spec: BackboneSpec) -> Any:
    try:
        return make()
    except AssertionError as error:
        raise BadSetting(f"{spec.name!r} cannot take images of {spec.image_size} pixels ({error})") from error


def _preprocess(model: nn.Module, spec: BackboneSpec) -> Preprocess:
    """timm's own mean, std and interpolation; ImageNet's and bicubic for the embedded backbone."""
    config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    size = spec.image_size or (config["input_size"][-1] if config else EMBEDDED["img_size"])
    mean = tuple(config.get("mean", IMAGENET_DEFAULT_MEAN))
    std = tuple(config.get("std", IMAGENET_DEFAULT_STD))
    return Preprocess((int(size), int(size)), mean, std, str(config.get("interpolation", "bicubic")))
