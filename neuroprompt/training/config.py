"""The configuration of a training run: all that decides its result, as JSON. It is read without torch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from neuroprompt.contracts.specs import BackboneSpec, validation_share
from neuroprompt.errors import BadSetting

OPTIMISERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "cosine-epochs", "steps", "constant")
AUGMENTS = ("none", "flip", "crop", "crop+flip", "resized-crop", "resized-crop+flip")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""Mixed only: a threshold or current that is rounded to 16 bits would train other spikes than are deployed."""


@dataclass(frozen=True)
class RunConfig:
    """All that decides the result of a training run.

    data       `data`, `limit` (at most so many images a split), `val` (which validate: auto, split, none or a share),
               `resize` ("timm": as the backbone's weights were evaluated, or "plain": straight to its size), `exif`
               (image files are turned as their EXIF says), `augment` (of training images: see `training.augment`)
    head       `head` names the output mapping, with its `head_settings`
    steps      `epochs`, `batch` (images a step, taken in `accumulate` parts), `optimiser` (adamw, adam, sgd with
               `momentum`), `lr` (peak), `weight_decay`, and `prompt_lr`, `prompt_weight_decay` where the prompt's
               differ; `lr_batch` (rates are for so many images a step, and times batch / lr_batch); `warmup` (epochs
               of linear rise) and then `schedule` (see `training.schedule`)
    end        `patience` (epochs without a better validation accuracy after which training ends) and `best` (the best
               epoch by validation is kept beside the last)

    `recipe` names the recipe that settings were taken from; it decides nothing by itself. `classes`, `weights_sha256`
    and `classifier_sha256` are filled in by training: the second is of the file `backbone.weights`, or of the loaded
    tensors where there is no file; the third of the file `backbone.classifier`. Raises BadSetting.
    """

    method: str = "spike-nvpt"
    settings: Mapping[str, Any] = field(default_factory=dict)
    backbone: BackboneSpec = field(default_factory=BackboneSpec)
    data: str = "digits"
    limit: int | None = None
    seed: int = 0
    epochs: int = 10
    batch: int = 64
    accumulate: int = 1
    optimiser: str = "adamw"
    momentum: float = 0.9
    lr: float = 1e-2
    prompt_lr: float | None = None
    weight_decay: float = 1e-4
    prompt_weight_decay: float | None = None
    warmup: float = 1.0
    schedule: str = "cosine"
    lr_batch: int | None = None
    augment: str = "none"
    patience: int | None = None
    best: bool = False
    recipe: str = ""
    head: str = "linear"
    head_settings: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "32-true"
    val: str = "auto"
    resize: str = "timm"
    exif: bool = True
    classes: tuple[str, ...] = ()
    weights_sha256: str = ""
    classifier_sha256: str = ""

    def __post_init__(self) -> None:
        for name, values in (
            *(("optimiser", OPTIMISERS), ("precision", PRECISIONS), ("resize", ("timm", "plain"))),
            *(("schedule", SCHEDULES), ("augment", AUGMENTS)),
        ):
            if getattr(self, name) not in values:
                raise BadSetting(f"{name} {getattr(self, name)!r}", f"one of {', '.join(values)}")
        validation_share(self.val)
        for name, least in (
            *(("epochs", 1), ("batch", 1), ("accumulate", 1), ("seed", 0), ("warmup", 0)),
            *(("weight_decay", 0), ("prompt_weight_decay", 0), ("lr_batch", 1), ("patience", 1), ("limit", 1)),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value < 2**32:  # torch multiplies them
                raise BadSetting(f"{name} {value}", f"at least {least}, and below 2^32")
        for name in ("lr", "prompt_lr"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise BadSetting(f"{name} {value}", "a number above 0")
        if not 0 <= self.momentum < 1:
            raise BadSetting(f"momentum {self.momentum}", "a number from 0 to below 1")
        if self.backbone.random and self.backbone.weights is not None:
            raise BadSetting(f"weights {self.backbone.weights} beside random weights", "one of the two")
        for name in ("patience", "best"):
            if getattr(self, name) and self.val == "none":
                raise BadSetting(f"{name} with val none", "images to validate with", "for example --val 0.1")

    def json(self) -> dict[str, Any]:
        """The configuration as JSON-able values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: object) -> RunConfig:
        """The configuration that `json` wrote; raises BadSetting for anything else."""
        fields = _checked(values, cls, "a configuration")
        if "classes" not in fields or "backbone" not in fields:
            raise BadSetting("a configuration without classes and backbone", "that of a training run")
        if not all(isinstance(name, str) for name in fields["classes"]):
            raise BadSetting(f"classes {fields['classes']}", "their names")
        spec = BackboneSpec(**_checked(fields["backbone"], BackboneSpec, "a backbone"))
        return cls(**{**fields, "backbone": spec, "classes": tuple(fields["classes"])})

    def digest(self) -> str:
        """A SHA-256 of all that decides the result: it ties the files of a run folder together.

        Fields that came later count only where they differ from their defaults, so that older folders keep theirs.
        """
        values = self.json()
        del values["recipe"]
        for holder, defaults, later in (
            (values, _defaults(RunConfig), _LATER),
            (values["backbone"], _SPEC, _LATER_SPEC),
        ):
            for key in later:
                if holder[key] == defaults[key]:
                    del holder[key]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def configure(**options: Any) -> RunConfig:
    """A RunConfig of `options`, its method, head, their settings and its data checked; raises UnknownName, BadSetting.

    `recipe` (a name, or a TOML file) has the settings that `options` leaves out. A path in `data` becomes absolute, so
    that the configuration holds from every folder.
    """
    from neuroprompt.contracts.learning import Head, Prompt  # here, because they need torch
    from neuroprompt.training.dataset import absolute
    from neuroprompt.training.recipes import load_recipe

    if options.get("recipe"):
        recipe = load_recipe(options.pop("recipe"))
        options = recipe.completed(options)
    config = RunConfig(**options)
    Prompt.check_settings(config.method, config.settings)
    Head.check_settings(config.head, config.head_settings)
    return dataclasses.replace(config, data=absolute(config.data))


_LATER = ("accumulate", "schedule", "lr_batch", "augment", "patience", "best", "classifier_sha256")
_LATER_SPEC = ("features", "classifier")


def _defaults(kind: type) -> dict[str, Any]:
    return {f.name: f.default for f in dataclasses.fields(kind)}


_SPEC = _defaults(BackboneSpec)

_JSON_TYPES: dict[Any, tuple[type, ...]] = {
    str: (str,),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    int | None: (int, type(None)),
    str | None: (str, type(None)),
    float | None: (int, float, type(None)),
    tuple[str, ...]: (list, tuple),
    BackboneSpec: (dict,),
    Mapping[str, Any]: (dict,),
}


def _checked(values: object, kind: type, what: str) -> dict[str, Any]:
    """The fields of the dataclass `kind` in a JSON object, each of its type; raises BadSetting."""
    if not isinstance(values, dict):
        raise BadSetting(f"{what} that is {type(values).__name__}", "a JSON object")
    hints = get_type_hints(kind)
    for key, value in values.items():
        if key not in hints:
            raise BadSetting(f"{what} with {key!r}", "only what this version knows", "use the version that wrote it")
        kinds = _JSON_TYPES[hints[key]]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise BadSetting(f"{what} whose {key} is {value!r}", f"{' or '.join(k.__name__ for k in kinds)}")
    return values
