"""Puts a configuration's model together: the frozen backbone, the prompt that enters it, and the head."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Head, Prompt
from neuroprompt.errors import BadCheckpoint, BadSetting
from neuroprompt.files import sha256
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.backbone import load_backbone, load_classifier, load_projection
from neuroprompt.training.classifier import Projected, read_classifier
from neuroprompt.training.config import RunConfig
from neuroprompt.training.model import PromptedModel


def build(config: RunConfig, weights: Path | None = None) -> PromptedModel:
    """The untrained model of a configuration; raises BadCheckpoint where the backbone's weights have changed."""
    return assemble(config, load_backbone_of(config, weights))


def assemble(config: RunConfig, backbone: Backbone) -> PromptedModel:
    """The untrained model on a backbone that is loaded; prompt and head are drawn from `config.seed`."""
    with seeded(config.seed):
        prompt = make_prompt(config, backbone)
        return PromptedModel(backbone, prompt, make_head(config, backbone))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Initial values are drawn from `seed`: first the prompt's, then the head's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def make_prompt(config: RunConfig, backbone: Backbone) -> Prompt:
    """The untrained prompt; raises UnknownName, BadSetting, Unsupported."""
    Prompt.check_settings(config.method, config.settings)
    return Prompt.named(config.method, site=backbone.site, **config.settings)


def make_head(config: RunConfig, backbone: Backbone) -> Head:
    """The untrained head for `config.classes`; raises UnknownName, BadSetting, Unsupported."""
    Head.check_settings(config.head, config.head_settings)
    spec, projection = config.backbone, None
    options: dict[str, Any] = {"features": backbone.features, "classes": len(config.classes)}
    if spec.features not in (None, "projection"):
        raise BadSetting(f"features {spec.features!r}", "projection")
    with torch.random.fork_rng(devices=[]):  # so that a head's own values are the same whatever loading draws
        if spec.features:
            projection = load_projection(spec)
            options["features"] = projection.out_features
        if Head.part(config.head).needs_classifier:
            options["classifier"] = _classifier(config)
    head = Head.named(config.head, **options, **config.head_settings)
    return head if projection is None else Projected(head, projection)


def _classifier(config: RunConfig) -> nn.Linear:
    """The classifier of a configuration; raises BadCheckpoint where its file is another than in training."""
    if config.backbone.classifier is None:
        return load_classifier(config.backbone)
    file = Path(config.backbone.classifier)
    layer = read_classifier(file)
    if config.classifier_sha256 and sha256(file) != config.classifier_sha256:
        expected = f"SHA-256 {config.classifier_sha256[:12]}..."
        raise BadCheckpoint(f"{file} is not the classifier of training", expected, "put the file back, or train again")
    return layer


def load_backbone_of(config: RunConfig, weights: Path | None = None, progress: Progress = SILENT) -> Backbone:
    """The backbone of a configuration with its preprocessing; `weights` takes the place of the file of its weights.

    Raises BadCheckpoint where their SHA-256 is not that of the configuration, if it has one.
    """
    spec, expected = config.backbone, config.weights_sha256
    fix = "give the file it was trained with: --weights FILE.safetensors"
    if expected and spec.weights is not None:
        file = Path(weights or spec.weights)
        if not file.is_file():
            raise BadCheckpoint(f"the backbone's weights are not at {file}", "the file of training", fix)
        if sha256(file) != expected:
            raise BadCheckpoint(f"{file} is not what the prompt was trained on", f"SHA-256 {expected[:12]}...", fix)
    backbone = load_backbone(dataclasses.replace(spec, weights=str(weights)) if weights else spec, progress)
    crop_pct = None if config.resize == "plain" else backbone.preprocess.crop_pct
    backbone.preprocess = dataclasses.replace(backbone.preprocess, exif=config.exif, crop_pct=crop_pct)
    if expected and spec.weights is None and digest_of(spec, backbone) != expected:
        got = f"the weights of backbone {spec.name!r} are not those that the prompt was trained on"
        raise BadCheckpoint(got, f"SHA-256 {expected[:12]}...", f"{fix}, or train again")
    return backbone


def digest_of(spec: BackboneSpec, backbone: Backbone) -> str:
    """SHA-256 of the weights' file, or of the tensors where they come from timm's hub, the package or a seed."""
    if spec.weights is not None:
        return sha256(Path(spec.weights))
    digest = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        # Position tables are resampled to the image's size, by arithmetic that may differ between releases.
        if "pos" not in name:
            digest.update(name.encode() + value.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()
