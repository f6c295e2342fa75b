"""What methods that change weights share: which layers they change, and flat parameters cut into pieces."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from neuroprompt.errors import Unsupported
from neuroprompt.prompts._init import need

ATTENTION = re.compile(r"attn\w*\.(qkv|q|k|v|q_proj|k_proj|v_proj)\.weight")
"""timm's projections to queries, keys and values, joint or apart."""
WHERE = ("auto", "attention", "all")


def layers_of(weights: Mapping[str, tuple[int, ...]], method: str, where: str) -> dict[str, tuple[int, ...]]:
    """Those of `weights` (out, in, ...), shapes of linear layers and convolutions, that `where` names.

    "attention": those that make queries, keys and values; "all": every one; "auto": the first, or all where there is
    no such layer. Raises Unsupported.
    """
    need(where in WHERE, "layers", where, f"one of {', '.join(WHERE)}")
    every = {name: shape for name, shape in weights.items() if name.endswith(".weight") and len(shape) > 1}
    attention = {name: shape for name, shape in every.items() if ATTENTION.search(name)}
    chosen = every if where == "all" or (where == "auto" and not attention) else attention
    if not chosen:
        got = f"{method} changes layers of {where}, and this backbone names none"
        raise Unsupported(got, "a backbone with such layers", "give --set layers=all, or choose another --backbone")
    return chosen


def cut(flat: Tensor, shapes: Iterable[tuple[int, ...]]) -> list[Tensor]:
    """Tensors of these shapes, in a row in `flat`."""
    shapes = list(shapes)
    pieces = flat.split([math.prod(shape) for shape in shapes])
    return [piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)]
