"""What prompts each of timm's architectures takes: from a table that comes with the package, or by building it."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

import timm
import torch

from neuroprompt.contracts.learning import Backbone, BackboneSpec
from neuroprompt.errors import NeuropromptError, UnknownName
from neuroprompt.training.backbone import load_backbone

TABLE = "architectures.csv"
"""In the folder of the families: name, family, whether it takes tokens, parameters, and the sides of its images."""


@dataclass(frozen=True)
class Architecture:
    """What one architecture of timm is as a backbone.

    family              the file of `backbones/` that wraps it; "" where none does, and `why` says why not
    pixels, tokens      which prompts may enter; a static one of either kind is `baked`, at no or one node's cost
    parameters          without the classifier
    input_size          (C, H, W) of its images, unless --image-size says otherwise
    tags                of the weights that timm's hub has
    """

    family: str
    pixels: bool
    tokens: bool
    parameters: int
    input_size: tuple[int, int, int]
    tags: tuple[str, ...] = ()
    why: str = ""

    @property
    def baked(self) -> bool:
        """Whether a static prompt becomes constants of the deployed graph."""
        return self.pixels or self.tokens

    @property
    def why_no_tokens(self) -> str:
        """Why prompt tokens may not enter; "" where they may, or where `why` says it."""
        return "" if self.tokens or not self.family else Backbone.part(self.family).why_no_tokens

    def json(self) -> dict[str, Any]:
        """The fields by name, `baked` and `why_no_tokens`."""
        lists = {"input_size": list(self.input_size), "tags": list(self.tags)}
        return asdict(self) | lists | {"baked": self.baked, "why_no_tokens": self.why_no_tokens}


@dataclass(frozen=True)
class Architectures:
    """Architectures of timm by name."""

    models: dict[str, Architecture]

    def json(self) -> dict[str, Any]:
        """How many there are, how many of them take pixels and tokens, how many are baked, and each."""
        values = self.models.values()
        return {
            "architectures": len(values),
            "pixels": sum(a.pixels for a in values),
            "tokens": sum(a.tokens for a in values),
            "baked": sum(a.baked for a in values),
            "models": {name: a.json() for name, a in self.models.items()},
        }


def architectures(pattern: str = "") -> Architectures:
    """Those of timm whose name has `pattern` in it, or matches it where it holds `*`; raises UnknownName for none.

    One that is not in the table, because timm is newer, is built without memory for its weights.
    """
    names = timm.list_models(pattern if "*" in pattern else f"*{pattern}*")
    if not names:
        raise UnknownName(f"no architecture of timm is called {pattern!r}", "a part of a name, such as dinov3 or *vit*")
    known, tags = table(), _tags()
    return Architectures({name: _tagged(known.get(name) or described(name), tags[name]) for name in names})


def described(name: str) -> Architecture:
    """What an architecture is, found by building it on the meta device, where nothing is computed."""
    config = timm.get_pretrained_cfg(name)
    channels, height, width = config.input_size if config else (3, 224, 224)
    try:
        with torch.device("meta"):
            backbone = load_backbone(BackboneSpec(name, random=True))
    except NeuropromptError as error:
        return Architecture("", False, False, 0, (channels, height, width), why=error.got)
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    return Architecture(type(backbone).name, True, backbone.site.depth > 0, parameters, backbone.site.image)


@cache
def table() -> dict[str, Architecture]:
    """The table that comes with the package."""
    with (resources.files(Backbone.folder) / TABLE).open(encoding="utf-8") as file:
        return {row["name"]: _from(row) for row in csv.DictReader(file)}


COLUMNS = ("name", "family", "tokens", "parameters", "channels", "height", "width", "why")


def rows(models: Iterable[tuple[str, Architecture]]) -> Iterable[dict[str, object]]:
    """The table's rows of architectures by name, with COLUMNS as keys."""
    for name, a in models:
        channels, height, width = a.input_size
        values = (name, a.family, int(a.tokens), a.parameters, channels, height, width, a.why)
        yield dict(zip(COLUMNS, values, strict=True))


def _from(row: dict[str, str]) -> Architecture:
    size = (int(row["channels"]), int(row["height"]), int(row["width"]))
    tokens = row["tokens"] == "1"
    return Architecture(row["family"], bool(row["family"]), tokens, int(row["parameters"]), size, why=row["why"])


def _tags() -> dict[str, tuple[str, ...]]:
    """The tags of the weights that timm's hub has, by architecture."""
    tags: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for weights in timm.list_pretrained():
        name, _, tag = weights.partition(".")
        tags[name] += (tag,)
    return tags


def _tagged(architecture: Architecture, tags: tuple[str, ...]) -> Architecture:
    return Architecture(**{**vars(architecture), "tags": tags})
