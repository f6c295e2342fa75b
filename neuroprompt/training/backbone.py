"""Makes a frozen backbone from its spec: the timm model, its weights, and the family that wraps it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess
from neuroprompt.errors import BadSetting, BadWeights, UnknownName, Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.weights import fits, weights_for

EMBEDDED: dict[str, Any] = {
    "img_size": 64,
    "patch_size": 8,
    "embed_dim": 128,
    "depth": 6,
    "num_heads": 4,
    "num_classes": 0,
}
"""The embedded backbone: a timm VisionTransformer of 1.2 M parameters, distilled from DeiT-Tiny."""


def load_backbone(spec: BackboneSpec, progress: Progress = SILENT) -> Backbone:
    """The backbone of `spec`, frozen and in eval mode; `progress` says what of its weights' file is used.

    Raises UnknownName for a model that timm does not have, Unsupported for one that no family can wrap, BadWeights for
    weights that do not fit or cannot be had, BadSetting for an image size that the model cannot take.
    """
    if spec.image_size is not None and spec.image_size < 1:
        raise BadSetting(f"image size {spec.image_size}", "a number of pixels")
    model = _embedded(spec, progress) if spec.name == "embedded" else _from_timm(spec, progress)
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
        weights = weights_for(_random(spec), Path(spec.weights))
        weight, bias = (weights.get(f"{names[0]}.{key}") for key in ("weight", "bias"))
        if weight is None or bias is None:
            raise BadWeights(f"{spec.weights} holds no {names[0]}", "weights with a classifier", fix)
        weight = weight.flatten(1)
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model: Any = timm.create_model(spec.name, pretrained=not spec.random)
        layer = model.get_classifier()
        if not isinstance(layer, nn.Linear):
            raise Unsupported(f"the classifier of {spec.name!r} is a {type(layer).__name__}", "a linear layer", fix)
    return layer.requires_grad_(False)


def _embedded(spec: BackboneSpec, progress: Progress) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = VisionTransformer(**EMBEDDED)
    if not spec.random:
        file = Path(spec.weights or str(resources.files(Backbone.folder) / "embedded.safetensors"))
        weights = weights_for(model, file, progress)
        with fits(file, spec.name):
            model.load_state_dict(weights)
    if spec.image_size not in (None, EMBEDDED["img_size"]):
        _sized(lambda: model.set_input_size((spec.image_size, spec.image_size)), spec)
    return model


def _from_timm(spec: BackboneSpec, progress: Progress) -> Any:
    """timm's model without its classifier; an image size of one's own resamples the position table."""
    architecture, _, tag = spec.name.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=4) or ["embedded", "deit_tiny_patch16_224"]
        raise UnknownName(f"timm has no model {spec.name!r}", f"one such as: {', '.join(near)}")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UnknownName(f"timm has no weights {tag!r} of {architecture!r}", f"one of: {', '.join(tags) or 'none'}")
    if spec.random:
        return _random(spec)
    if spec.weights:
        model = _random(spec)
        classifiers = tuple(f"{name}." for name in _classifiers(spec.name))
        weights = weights_for(model, Path(spec.weights), progress)
        with fits(spec.weights, spec.name):
            model.load_state_dict({k: v for k, v in weights.items() if not k.startswith(classifiers)})
        return model
    try:
        return _create(spec, pretrained=True)
    except (BadSetting, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever the hub's client raises without a network
        got = f"no weights of {spec.name!r} from timm's hub ({type(error).__name__})"
        raise BadWeights(got, "a network", "give --weights FILE.safetensors, or --random-weights") from error


def _random(spec: BackboneSpec) -> Any:
    """The model without a classifier, its weights drawn from one seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _create(spec)


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


def _sized(make: Callable[[], Any], spec: BackboneSpec) -> Any:
    try:
        return make()
    except AssertionError as error:
        raise BadSetting(f"{spec.name!r} cannot take images of {spec.image_size} pixels ({error})") from error


def _preprocess(model: nn.Module, spec: BackboneSpec) -> Preprocess:
    """timm's own mean, std, interpolation and crop; ImageNet's, bicubic and none for the embedded backbone."""
    config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    size = spec.image_size or (config["input_size"][-1] if config else EMBEDDED["img_size"])
    mean = tuple(config.get("mean", IMAGENET_DEFAULT_MEAN))
    std = tuple(config.get("std", IMAGENET_DEFAULT_STD))
    return Preprocess(
        (int(size), int(size)),
        mean,
        std,
        str(config.get("interpolation", "bicubic")),
        crop_pct=config.get("crop_pct"),
        crop_mode=str(config.get("crop_mode", "center")),
    )
