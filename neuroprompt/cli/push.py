"""`neuroprompt push`: a bundle to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours


@app.command(epilog=examples("push out/onnx me/digits-prompt", "push out/lava me/digits-lava --private --json"))
def push(
    bundle: Annotated[Path, typer.Argument(help="A bundle of 'neuroprompt export'; 'neuroprompt card' it first.")],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A model repository; made if it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Where the repository is new: for you alone.")] = False,
    json: Json = False,
) -> None:
    """Upload a bundle to the Hugging Face hub: the files of its manifest, in one commit.

    The token is the hub's own: HF_TOKEN, or 'hf auth login'. The manifest says where your data and weights lay.
    """
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.bundles.hub import push as push_bundle

    with stdout_is_ours():
        result = push_bundle(Bundle.open(bundle), repo, private=private, progress=TerminalProgress())
    emit(result.json(), json, f"{len(result.files)} files: {result.url}")
