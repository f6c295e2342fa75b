"""Makes a frozen backbone from its spec: the timm model, its weights, and the family that wraps it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Preprocess
from neuroprompt.contracts.specs import POOLS
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


NO_SIZE = (ZeroDivisionError, RuntimeError, ValueError, IndexError)
"""What timm's models raise, beside assertions, for a size that they cannot take."""


def load_backbone(spec: BackboneSpec, progress: Progress = SILENT) -> Backbone:
    """The backbone of `spec`, frozen and in eval mode; `progress` says what of its weights' file is used.

    Raises UnknownName for a model that timm does not have, Unsupported for one that no family can wrap, BadWeights for
    weights that do not fit or cannot be had, BadSetting for an image size that the model cannot take.
    """
    if spec.image_size is not None and not 1 <= spec.image_size < 2**16:
        raise BadSetting(f"image size {spec.image_size}", "a number of pixels, at most 65535")
    model = _embedded(spec, progress) if spec.name == "embedded" else _from_timm(spec, progress)
    _pool(model, spec)
    _say_size(model, spec, progress)
    family: Any = Backbone.family(model)
    if family is None:
        got = f"backbone {spec.name!r} is a {type(model).__name__}, which is no classifier"
        raise Unsupported(
            got, "a timm model with forward_features and forward_head", "neuroprompt backbones lists them"
        )
    backbone: Backbone = family(model, spec, _preprocess(model, spec)).requires_grad_(False).eval()
    return backbone


def load_classifier(spec: BackboneSpec) -> nn.Linear:
    """The classifier that came with the backbone's weights: features (B, F) -> logits (B, S) of its own classes.

    Frozen. Raises Unsupported where it has none, and all that `load_backbone` raises.
    """
    layer = _last_layer(spec, "classifier", "one that was trained with classes")
    if layer.out_features == _projection(spec.name):
        got = f"{spec.name!r} ends in the projection into {layer.out_features} dimensions that image and text share"
        raise Unsupported(got, "a classifier, whose outputs are classes", TEXT)
    return layer


def load_projection(spec: BackboneSpec) -> nn.Linear:
    """The projection of an image-text model: features (B, F) -> (B, E) in the space of text. Frozen.

    Raises Unsupported where it has none, and all that `load_backbone` raises.
    """
    layer = _last_layer(spec, "projection", "an image-text model such as vit_base_patch32_clip_224.openai")
    if layer.out_features != _projection(spec.name):
        got = f"backbone {spec.name!r} ends in a classifier of {layer.out_features} classes, and has no projection"
        raise Unsupported(got, "an image-text model such as vit_base_patch32_clip_224.openai", "leave out --features")
    return layer


TEXT = "choose the linear head, or give text embeddings: --features projection --classifier FILE.safetensors"


def _last_layer(spec: BackboneSpec, what: str, expected: str) -> nn.Linear:
    """What timm has behind the features, frozen; raises Unsupported where `what` is not there."""
    names = () if spec.name == "embedded" else _classifiers(spec.name)
    fix = "choose the linear head, weights with a classifier, or --classifier FILE.safetensors"
    if what == "projection":
        fix = "leave out --features"
    if len(names) != 1:
        raise Unsupported(f"backbone {spec.name!r} has no {what} of its own", expected, fix)
    if spec.weights:
        weights = weights_for(_random(spec), Path(spec.weights))
        weight, bias = (weights.get(f"{names[0]}.{key}") for key in ("weight", "bias"))
        if weight is not None and bias is None and what == "projection":
            bias = torch.zeros(len(weight))
        if weight is None or bias is None:
            raise BadWeights(f"{spec.weights} holds no {names[0]}", f"weights with a {what}", fix)
        weight = weight.flatten(1)
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model: Any = timm.create_model(spec.name, pretrained=not spec.random)
        layer = model.get_classifier()
        if not isinstance(layer, nn.Linear):
            raise Unsupported(f"the {what} of {spec.name!r} is a {type(layer).__name__}", "a linear layer", fix)
    return layer.requires_grad_(False)


FEWEST_CLASSES, MOST_DIMENSIONS = 1000, 2048
"""timm's classifiers have 1,000 outputs or 11,000 and more; the projections of its image-text models 384 to 1,280."""


def _projection(name: str) -> int:
    """How many dimensions the image-text embedding has that timm gives as this model's classifier; 0 for none."""
    config = None if name == "embedded" else timm.get_pretrained_cfg(name)
    outputs = int(config.num_classes) if config else 0
    return outputs if outputs != FEWEST_CLASSES and outputs <= MOST_DIMENSIONS else 0


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
        _sized(lambda: model.set_input_size((spec.image_size, spec.image_size)), spec, (RuntimeError,))
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


def _create(spec: BackboneSpec, pretrained: bool = False) -> Any:
    make = partial(timm.create_model, spec.name, num_classes=0, pretrained=pretrained)
    if spec.image_size is None:
        return make()
    try:
        return _sized(lambda: make(img_size=spec.image_size), spec, () if pretrained else NO_SIZE)
    except TypeError:  # a convolutional net takes every size, and has no such argument
        return make()


def _classifiers(name: str) -> tuple[str, ...]:
    config = timm.get_pretrained_cfg(name) or timm.get_pretrained_cfg(name.partition(".")[0])
    names = config.classifier if config else None
    return (names,) if isinstance(names, str) else tuple(names or ())


def _sized(make: Callable[[], Any], spec: BackboneSpec, others: tuple[type[Exception], ...] = ()) -> Any:
    errors: tuple[type[Exception], ...] = (AssertionError, *others)
    try:
        return make()
    except errors as error:
        raise BadSetting(f"{spec.name!r} cannot take images of {spec.image_size} pixels ({error})") from error


def _pool(model: Any, spec: BackboneSpec) -> None:
    """Have `model` pool as the spec says; its norms stay where they are. Raises BadSetting."""
    if spec.pool is None:
        return
    fix = f"choose another --pool ({', '.join(POOLS)}), or leave it out"
    got = f"{spec.name!r} cannot pool by {spec.pool!r}"
    if spec.pool not in POOLS or (spec.pool == "token" and getattr(model, "cls_token", None) is None):
        raise BadSetting(got, "a kind of pooling that it has", fix)
    try:
        model.reset_classifier(0, spec.pool)
        pooled = (model if hasattr(model, "global_pool") else model.head).global_pool
    except (AssertionError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        reason = "" if isinstance(error, AttributeError) else f" ({error})"
        raise BadSetting(got + reason, "a kind of pooling that it has", fix) from error
    if pooled != spec.pool and getattr(pooled, "pool_type", None) != spec.pool:
        raise BadSetting(got, "a kind of pooling that it has", fix)


def _say_size(model: Any, spec: BackboneSpec, progress: Progress) -> None:
    """Say where weights are trained at another size than they are evaluated at (resnet50.tv2_in1k: 176 and 224)."""
    config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    own, best = config.get("input_size"), config.get("test_input_size")
    if spec.image_size is None and own and best and tuple(own) != tuple(best):
        line = f"{spec.name} takes images of {own[-1]} pixels, and is evaluated at {best[-1]} by those who trained it"
        progress.say(f"{line}: --image-size {best[-1]} for that")


def _preprocess(model: nn.Module, spec: BackboneSpec) -> Preprocess:
    """timm's own mean, std, interpolation and crop; ImageNet's, bicubic and none for the embedded backbone."""
    config: dict[str, Any] = getattr(model, "pretrained_cfg", None) or {}
    own = config["input_size"][-2:] if config else (EMBEDDED["img_size"],) * 2
    height, width = own if spec.image_size is None else (spec.image_size,) * 2
    mean = tuple(config.get("mean", IMAGENET_DEFAULT_MEAN))
    std = tuple(config.get("std", IMAGENET_DEFAULT_STD))
    return Preprocess(
        (int(height), int(width)),
        mean,
        std,
        str(config.get("interpolation", "bicubic")),
        crop_pct=config.get("crop_pct"),
        crop_mode=str(config.get("crop_mode", "center")),
    )
