"""What backbones that cut images into patches share."""

from __future__ import annotations

from typing import Any

from neuroprompt.errors import BadSetting


def image_and_patch(model: Any, *, own_size: bool = False) -> tuple[tuple[int, int, int], int]:
    """(C, H, W) of a timm model's images and the side of its patches; raises BadSetting where patches do not fit.

    At a model's `own_size` they need not: its weights were trained without the border (SigLIP at 384, patches of 14).
    """
    height, width = model.patch_embed.img_size
    side = model.patch_embed.patch_size
    patch = int(side if isinstance(side, int) else side[0])
    if not own_size and (height % patch or width % patch):  # timm would drop the border without a word
        raise BadSetting(f"images of {height} x {width} pixels", f"a multiple of the patch size, {patch}")
    return (int(model.in_chans), int(height), int(width)), patch
