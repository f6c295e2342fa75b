"""The plain facts that training and deployment share: which backbone, how images enter it, where a prompt may enter.

Nothing here needs torch, so that a machine without it can read what a run or a bundle was made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neuroprompt.errors import BadSetting


@dataclass(frozen=True)
class BackboneSpec:
    """Which backbone, from where: enough to build it again.

    `name` is "embedded" or a timm model name; `weights` a safetensors file, or None for timm's hub (or the package,
    for the embedded one); `random` true where weights are random on purpose; `pool` how tokens or pixels become
    features (one of POOLS), None for the model's own way. `features` is "projection" where an image-text model's
    features go on through its projection into the space of text. `classifier` is a safetensors file with the classes
    that label mappings read from, in place of the backbone's own (see `training.classifier`).
    """

    name: str = "embedded"
    weights: str | None = None
    image_size: int | None = None
    random: bool = False
    pool: str | None = None
    features: str | None = None
    classifier: str | None = None


POOLS = ("token", "avg", "max", "avgmax", "map")
"""The class token; the mean, the maximum or the mean of both, of patches or pixels; a layer of attention."""


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes the backbone's input: resized to `size`, scaled to [0, 1], then (x - mean) / std.

    Where there is a `canvas` (height, width), the result stands in the middle of so many zeros. `exif`: a file is
    turned first as its EXIF says, so that it is read as people see it. `crop_pct` and `crop_mode` are timm's: see
    `neuroprompt.images.pixels`; None: stretched to the size.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    interpolation: str = "bicubic"
    canvas: tuple[int, int] | None = None
    exif: bool = True
    crop_pct: float | None = None
    crop_mode: str = "center"


@dataclass(frozen=True)
class PromptSite:
    """Where a prompt may enter a backbone, as shapes: `depth` blocks of `width` channels, images of (C, H, W).

    Where blocks differ, `widths` has one number a block and `width` is the largest: tokens stay (L, N, width), of which
    block i reads its first widths[i] channels, and a prompt holds and counts only these. `handed_on`: what a block
    makes of a prompt may enter the next block. `keyed`: a prompt may hold keys and values of attention themselves.
    `weights`: shapes of the backbone's parameters, by name; `layers`: which of them are weights of linear layers that
    something may stand beside.
    """

    depth: int
    width: int
    image: tuple[int, int, int]
    patch: int
    widths: tuple[int, ...] = ()
    handed_on: bool = True
    keyed: bool = False
    weights: Mapping[str, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)
    layers: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        widths = self.widths or (self.width,) * self.depth
        if widths and (len(widths) != self.depth or max(widths) != self.width):
            raise ValueError(f"{self.depth} blocks of at most {self.width} channels have widths {widths}")
        object.__setattr__(self, "widths", widths)


def validation_share(val: str) -> float | None:
    """The share of the training images that `val` asks to validate with; 0 for "none", None for "auto" and "split".

    Raises BadSetting for what is none of these and no number between 0 and 1.
    """
    if val in ("auto", "split", "none"):
        return 0.0 if val == "none" else None
    try:
        share = float(val)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise BadSetting(f"val {val!r}", "auto, split, none or a share between 0 and 1", "for example --val 0.1")
    return share
