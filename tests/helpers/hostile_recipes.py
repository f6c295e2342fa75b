"""Sound recipes with hostile values: TOML of our keys and types, of which a few values are beyond reason."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from damage import ESCAPE
from hub_stand_in import Hub

TAG = "hostile-tag"
"""An element that no page of ours has: where a parser sees one, a name was taken for HTML."""
INTS = (-1, 0, 1, 2, 3, 7, 10**9, 2**31, 2**63, 10**30, -(2**63))
FLOATS = (-1.0, 0.0, 1e-320, 0.5, 1.0, 1e30, 1e308, float("inf"), float("-inf"), float("nan"))
WORDS = (
    "",
    "x",
    "-1",
    "none",
    "/etc/passwd",
    "../../etc/passwd",
    "..",
    ESCAPE,
    f"<{TAG}>",
    "x" * 20_000,
    "\u202e",
    "a\nb",
)
PLACES = ("folder:/", "folder:..", "csv:/etc/passwd", "list:/dev/null", "hf-disk:/", "torchvision:", "torchvision:../x")
SOUND: dict[str, Any] = {
    "method": "vpt-deep",
    "tokens": 2,
    "image-size": 16,
    "batch": 8,
    "limit": 20,
    "epochs": 1,
    "random-weights": True,
    "device": "cpu",
}
METHODS: dict[str, tuple[str, ...]] = {
    "spike-nvpt": ("steps", "theta", "tau"),
    "lorsp": ("steps", "rank", "tau", "threshold"),
    "lor-vp": ("rank",),
    "vpt-deep": ("dropout",),
    "e2vpt": ("tokens",),
    "evp": ("pad",),
    "lora": ("rank", "alpha"),
    "linear": ("x",),
}
MOST = {"epochs": 3, "workers": 0}
"""What is no mistake, but takes as long as it says."""


def sound_recipe(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """TOML of our keys and types, of which a few values are hostile."""
    from neuroprompt.training.recipes import LAUNCH, OPTIONS

    method = rng.choice(sorted(METHODS))
    train, settings, head = {**SOUND, "method": method}, dict[str, Any](), dict[str, Any]()
    kinds = {key.replace("_", "-"): kind for key, kind in (OPTIONS | LAUNCH).items() if key != "method"}
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        key = rng.choice(sorted(kinds))
        train[key] = _value(key, kinds[key], rng)
    for _ in range(rng.choice((0, 0, 1, 2))):
        settings[rng.choice(METHODS[method])] = rng.choice((*INTS, *FLOATS, *WORDS, True, [1], {"x": 1}))
    if rng.random() < 0.2:
        train["head"] = rng.choice(("linear", "frequency", "iterative", "full", "direct", "sequential"))
        head[rng.choice(("init", "sources", "x"))] = rng.choice((*INTS, *FLOATS, *WORDS, True))
    vary = {} if rng.random() < 0.8 else {rng.choice(("rank", "lr", "x")): [rng.choice((*INTS, *FLOATS, *WORDS))]}
    texts = {key: rng.choice(WORDS) for key in ("about", "paper", "table")}
    tables = {"train": train, "set": settings, "head-set": head, "vary": vary}
    lines = [f"{_toml(key)} = {_toml(value)}" for key, value in texts.items()]
    for name, values in tables.items():
        lines += [f"[{name}]", *(f"{_toml(key)} = {_toml(value)}" for key, value in values.items())]
    name = rng.choice(("x.toml", "x.toml", "-x.toml", "a b.toml", f"<{TAG}>.toml", "[red].toml")).replace(" ", "_")
    (place / name).write_text("\n".join(lines), encoding="utf-8")
    return f"train --recipe ./{name} --out out"


def _value(key: str, kind: type, rng: Random) -> Any:
    if key in ("devices", "nodes", "strategy"):  # many would be started
        return rng.choice((0, -1) if kind is int else ("0", "-1", "x", "", ESCAPE))
    if kind is bool:
        return rng.choice((True, False))
    if kind is int:
        return min(rng.choice(INTS), MOST.get(key, 10**30))
    if kind is float:
        return rng.choice((*FLOATS, 0, -1, 10**400))
    return rng.choice((*WORDS, *PLACES) if key == "data" else WORDS)


def _toml(value: Any) -> str:
    """A value, or a key, as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return str(value) if isinstance(value, int) else repr(value)
