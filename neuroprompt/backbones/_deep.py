"""What families share whose blocks differ in width: every block has prompt tokens of its own, and none goes on."""

from __future__ import annotations

from torch import Tensor

from neuroprompt.contracts.learning import PromptSite, Stream
from neuroprompt.errors import BadSetting, Unsupported


def each_blocks(site: PromptSite, tokens: Tensor | Stream, where: str) -> list[Tensor]:
    """Each block's own tokens, (N, widths[i]), of tokens (L, N, D); raises Unsupported, BadSetting."""
    if isinstance(tokens, Stream) or len(tokens) == 1 != site.depth:
        got = f"prompt tokens that are handed on from block to block, in {where}"
        raise Unsupported(got, "tokens of every block's own", "choose vpt-deep or a Vision Transformer")
    if tokens.ndim != 3 or len(tokens) != site.depth or tokens.shape[2] != site.width:
        expected = f"({site.depth} blocks, tokens, {site.width} channels)"
        raise BadSetting(f"prompt tokens of shape {tuple(tokens.shape)}", expected)
    return [prompt[:, :width] for prompt, width in zip(tokens, site.widths, strict=True)]
