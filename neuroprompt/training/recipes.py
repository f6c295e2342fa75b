"""Recipes: the options of `train` in a TOML file, with the paper they come from; shipped in `neuroprompt/recipes`."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from neuroprompt.contracts.specs import BackboneSpec
from neuroprompt.errors import BadSetting, UnknownName

FOLDER = "neuroprompt.recipes"
Value = str | int | float | bool

OPTIONS: dict[str, type] = {
    **dict.fromkeys(("method", "data", "backbone", "weights", "pool", "features", "classifier", "head"), str),
    **dict.fromkeys(("optimiser", "schedule", "val", "resize", "augment"), str),
    **dict.fromkeys(
        ("image_size", "tokens", "epochs", "batch", "lr_batch", "limit", "patience", "seed", "accumulate"), int
    ),
    **dict.fromkeys(("lr", "prompt_lr", "weight_decay", "prompt_weight_decay", "momentum", "warmup"), float),
    **dict.fromkeys(("random_weights", "no_exif", "best"), bool),
}
"""What decides a result, as `train` calls it, with the type of its value."""
LAUNCH: dict[str, type] = {
    **dict.fromkeys(("device", "devices", "strategy", "precision", "log"), str),
    **dict.fromkeys(("nodes", "workers"), int),
    "checkpointing": bool,
}
"""What decides where and how a run computes."""
_TEXTS = ("about", "paper", "table")
_SPEC = {"backbone": "name", "weights": "weights", "image_size": "image_size", "random_weights": "random"}
_SPEC |= {key: key for key in ("pool", "features", "classifier")}


@dataclass(frozen=True)
class Recipe:
    """Settings of a paper: `train` holds options by parameter, `settings` the method's, `head_settings` the head's.

    `paper` and `table` say where they stand, `open` what neither paper nor release says (and what we chose), and `vary`
    the values of those options and settings that the paper's table goes through, for `sweep --grid`.
    """

    name: str
    about: str
    paper: str
    table: str
    train: Mapping[str, Value]
    settings: Mapping[str, Value] = field(default_factory=dict)
    head_settings: Mapping[str, Value] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    vary: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As JSON-able values: what it says of itself, then every setting."""
        said = {
            "paper": self.paper,
            "table": self.table,
            "method": self.train["method"],
            "backbone": self.train.get("backbone", "embedded"),
            "data": self.train.get("data", "digits"),
            "about": self.about,
            "open": list(self.open),
        }
        settings = {"set": dict(self.settings), "head_set": dict(self.head_settings)}
        vary = {key: list(values) for key, values in self.vary.items()}
        return {**said, "train": dict(self.train), **settings, "vary": vary}

    def completed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """`options` of a RunConfig, and ours where they say nothing.

        Our settings of a method or a head are left out where `options` name another one.
        """
        train = dict(self.train)
        spec = BackboneSpec(**{_SPEC[key]: train.pop(key) for key in _SPEC if key in train})  # type: ignore[arg-type]
        own: dict[str, Any] = {"backbone": spec, "recipe": self.name}
        if train.pop("no_exif", False):
            own["exif"] = False
        tokens = {"tokens": train.pop("tokens")} if "tokens" in train else {}
        own |= {key: value for key, value in train.items() if key not in LAUNCH or key == "precision"}
        merged = {**own, **options}
        if merged["method"] == self.train["method"]:
            merged["settings"] = {**tokens, **self.settings, **options.get("settings", {})}
        if merged.get("head", "linear") == self.train.get("head", "linear"):
            merged["head_settings"] = {**self.head_settings, **options.get("head_settings", {})}
        return merged


def names() -> list[str]:
    """The recipes that come with neuroprompt, sorted."""
    files = resources.files(FOLDER).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_recipe(name: str) -> Recipe:
    """The recipe called `name`, or in the file `name` where it ends in .toml; raises UnknownName, BadSetting."""
    if name.endswith(".toml"):
        file = Path(name)
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadSetting(f"recipe {name} cannot be read ({error})", "a TOML file in UTF-8") from error
        return parse(file.name, text)
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=4, cutoff=0.3) or names()
        fix = "neuroprompt recipes lists them; a file of your own ends in .toml"
        raise UnknownName(f"no recipe is called {name!r}", f"one such as: {', '.join(near)}", fix)
    return parse(name, (resources.files(FOLDER) / f"{name}.toml").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Recipe:
    """The recipe of a TOML text; raises BadSetting that names the key."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(f"recipe {name} is no TOML ({error})", "TOML") from error
    _known(name, values, (*_TEXTS, "open", "train", "set", "head-set", "vary"))
    for key in _TEXTS:
        _typed(name, key, values.setdefault(key, ""), str)
    for key in ("train", "set", "head-set", "vary"):
        _typed(name, key, values.setdefault(key, {}), dict)
    _typed(name, "open", values.setdefault("open", []), list)
    for line in values["open"]:
        _typed(name, "open", line, str)
    train = {key.replace("-", "_"): value for key, value in values["train"].items()}
    known = OPTIONS | LAUNCH
    _known(name, train, tuple(known))
    for key, value in train.items():
        _typed(name, key, value, known[key])
    if "method" not in train:
        raise BadSetting(f"recipe {name} without a method", 'method = "..." under [train]')
    settings = [{k.replace("-", "_"): v for k, v in values[key].items()} for key in ("set", "head-set", "vary")]
    for key, value in settings[2].items():
        _typed(name, key, value, list)
    vary = {key: tuple(value) for key, value in settings[2].items()}
    texts = {key: values[key] for key in _TEXTS}
    return Recipe(
        name,
        **texts,
        train=train,
        settings=settings[0],
        head_settings=settings[1],
        open=tuple(values["open"]),
        vary=vary,
    )


def _known(name: str, values: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3) or known
            raise BadSetting(f"recipe {name} with {key!r}", f"one such as: {', '.join(near)}")


def _typed(name: str, key: str, value: object, kind: type) -> None:
    kinds = (int, float) if kind is float else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        raise BadSetting(f"recipe {name} whose {key} is {value!r}", words.get(kind, f"a {kind.__name__}"))
