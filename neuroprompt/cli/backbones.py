"""`neuroprompt backbones`: which prompts each of timm's architectures takes, and which weights it has."""

from __future__ import annotations

from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, emit, examples, plain, table

SHOWN = 40
"""Rows that are printed; a line counts the rest."""


@app.command(epilog=examples("backbones dinov3", "backbones '*patch16*'", "backbones --json"))
def backbones(
    pattern: Annotated[str, typer.Argument(help="A part of a name, or a pattern with *.")] = "",
    all_rows: Annotated[bool, typer.Option("--all", help=f"Print more than {SHOWN} rows.")] = False,
    json: Json = False,
) -> None:
    """Which prompts each of timm's architectures takes, its size, and the tags of its weights."""
    from neuroprompt.training.architectures import architectures

    listed = architectures(pattern)
    result = listed.json()
    yes = {True: "yes", False: "no"}
    rows = [
        (
            name,
            a.family or "none",
            yes[a.pixels],
            yes[a.tokens],
            plain(a.parameters),
            " x ".join(map(str, a.input_size[1:])),
            ", ".join(a.tags) or "none",
        )
        for name, a in listed.models.items()
    ]
    shown = rows if all_rows else rows[:SHOWN]
    columns = ("architecture", "family", "pixels", "tokens", "parameters", "image", "weights")
    left = len(rows) - len(shown)
    lines = [f"{left:,} more: narrow the pattern, or give --all"] if left else []
    lines.append(
        f"{result['architectures']:,} architectures: {result['pixels']:,} take pixel prompts, "
        f"{result['tokens']:,} prompt tokens; a static prompt is baked in {result['baked']:,}"
    )
    lines += [f"{name}: {a.why}" for name, a in listed.models.items() if a.why and (pattern or all_rows)]
    without = {a.family: a.why_no_tokens for a in listed.models.values() if a.why_no_tokens}
    lines += [f"no tokens in the family {family}: {why}" for family, why in sorted(without.items())]
    emit(result, json, table("backbones of timm", columns, shown), *lines)
