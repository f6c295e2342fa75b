"""Configurations as the command lines that make them."""

from __future__ import annotations

import shlex

from neuroprompt.training.config import RunConfig

_OPTIONS = (
    *("limit", "val", "resize", "seed", "epochs", "batch", "optimiser", "momentum", "lr", "prompt_lr", "weight_decay"),
    *("accumulate", "prompt_weight_decay", "warmup", "schedule", "lr_batch", "augment", "patience", "precision"),
    "head",
)
_AS_PATHS = ("folder", "csv", "list", "hf-disk")
_BARE = RunConfig()


def train_command(config: RunConfig, *, private: bool = False) -> str:
    """`neuroprompt train` with what differs from its defaults; `private`: folders and files by their names alone."""
    words = ["neuroprompt", "train", "--method", config.method]
    data, backbone = config.data, config.backbone
    words += ["--data", data_name(data) if private else data]
    if backbone.name != _BARE.backbone.name:
        words += ["--backbone", backbone.name]
    if backbone.weights is not None:
        words += ["--weights", _file_name(backbone.weights) if private else backbone.weights]
    for option, value in (("--pool", backbone.pool), ("--features", backbone.features)):
        words += [option, value] if value is not None else []
    if backbone.classifier is not None:
        words += ["--classifier", _file_name(backbone.classifier) if private else backbone.classifier]
    if backbone.random:
        words += ["--random-weights"]
    if backbone.image_size is not None:
        words += ["--image-size", str(backbone.image_size)]
    for key in _OPTIONS:
        if getattr(config, key) != getattr(_BARE, key):
            words += [f"--{key.replace('_', '-')}", str(getattr(config, key))]
    words += [] if config.exif else ["--no-exif"]
    words += ["--best"] if config.best else []
    for option, settings in (("--set", config.settings), ("--head-set", config.head_settings)):
        for key, value in settings.items():
            words += [option, f"{key}={_file_name(value) if private and isinstance(value, str) else value}"]
    return shlex.join(words)


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def data_name(data: str) -> str:
    """A data set's name without the place where a folder lies: `folder:images`."""
    kind, colon, argument = data.partition(":")
    return f"{kind}:{argument.rstrip('/').rpartition('/')[2]}" if kind in _AS_PATHS else f"{kind}{colon}{argument}"


def data_path(data: str) -> str | None:
    """The folder or file that a data set lies in, None where it comes from elsewhere."""
    kind, _, argument = data.partition(":")
    return argument if kind in _AS_PATHS else None
