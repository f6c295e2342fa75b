"""What a bundle's manifest says of images and classes, checked: whoever wrote it may have changed it since."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neuroprompt.bundles.bundle import MANIFEST, Bundle
from neuroprompt.errors import BadBundle
from neuroprompt.images import FILTERS

MOST_PIXELS = 2**24
"""Of an image at the size of the model."""


def preprocess_of(bundle: Bundle) -> Mapping[str, Any]:
    """What becomes of an image before the model, as `Preprocess` has it; raises BadBundle."""
    values = bundle.about.get("preprocess")
    if not isinstance(values, dict):
        raise BadBundle(f"{bundle.folder / MANIFEST} says nothing of preprocessing", "a bundle that takes images")
    for key, (sound, expected) in _SOUND.items():
        if not sound(values.get(key)):
            got = f"preprocess {key} {values.get(key)!r} in {bundle.folder / MANIFEST}"
            raise BadBundle(got, expected, "export it again")
    canvas = values.get("canvas") or values["size"]
    if any(wide < size for wide, size in zip(canvas, values["size"], strict=True)):
        raise BadBundle(f"preprocess canvas {canvas} in {bundle.folder / MANIFEST}", "no smaller than the size")
    return values


def classes_of(bundle: Bundle) -> Sequence[str]:
    """The names of the model's outputs; raises BadBundle."""
    names = bundle.about.get("classes")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise BadBundle(f"classes {names!r} in {bundle.folder / MANIFEST}", "a list of names", "export it again")
    return names


def _is_size(value: object) -> bool:
    sides = value if isinstance(value, list | tuple) else []
    whole = len(sides) == 2 and all(type(side) is int and side > 0 for side in sides)
    return whole and math.prod(sides) <= MOST_PIXELS


def _are_three(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


_SIZE = f"[height, width], at most {MOST_PIXELS:,} pixels"
_SOUND: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "size": (_is_size, _SIZE),
    "canvas": (lambda value: value is None or _is_size(value), f"null or {_SIZE}"),
    "mean": (_are_three, "three numbers"),
    "std": (lambda value: _are_three(value) and all(value), "three numbers other than 0"),
    "interpolation": (lambda value: isinstance(value, str) and value in FILTERS, f"one of {', '.join(FILTERS)}"),
    "exif": (lambda value: value is None or isinstance(value, bool), "true or false"),
    "crop_pct": (lambda value: value is None or (_is_number(value) and 0.05 <= value <= 2), "null or 0.05 to 2"),
    "crop_mode": (lambda value: value in (None, "center", "squash"), "center or squash"),
}
