"""`neuroprompt pull`: a bundle from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours


@app.command(epilog=examples("pull me/digits --out out/digits", "pull me/digits --out out/v1 --revision v1 --json"))
def pull(
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A model repository that holds a bundle.")],
    out: Annotated[Path, typer.Option(help="Where it appears, whole or not at all.")],
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit (default: main).")] = None,
    json: Json = False,
) -> None:
    """Download a bundle from the Hugging Face hub; it appears once every SHA-256 of its manifest is right."""
    from neuroprompt.bundles.hub import pull as pull_bundle

    with stdout_is_ours():
        bundle = pull_bundle(repo, out, revision=revision, progress=TerminalProgress())
    result = {"bundle": str(bundle.folder), "kind": bundle.kind, "method": bundle.about.get("method")}
    emit(result, json, f"{bundle.kind} bundle: {bundle.folder}")
