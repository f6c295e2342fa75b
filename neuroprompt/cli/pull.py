"""`neuroprompt pull`: a bundle from the Hugging Face hub, or event recordings by tonic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours
from neuroprompt.errors import BadSetting


@app.command(
    epilog=examples(
        "pull me/digits --out out/digits", "pull me/digits --out out/v1 --revision v1 --json", "pull tonic:NMNIST:test"
    )
)
def pull(
    repo: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME|tonic:NAME:SPLIT",
            help="A model repository with a bundle; or event data of tonic.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where a bundle appears, whole or not at all; or the folder of event data.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit (default: main).")] = None,
    json: Json = False,
) -> None:
    """Download a bundle from the Hugging Face hub; it appears once every SHA-256 of its manifest is right.

    Event data is what tonic downloads for 'run --data'; --out is the user's cache folder unless set.
    """
    from neuroprompt.bundles.hub import pull as pull_bundle
    from neuroprompt.simulators.events import EventSet, is_events

    if is_events(repo):
        if revision is not None:
            raise BadSetting(f"--revision {revision} of event data", "a bundle's")
        events = EventSet.parse(repo if out is None else f"{repo}@{out}")
        with stdout_is_ours():
            events.download(TerminalProgress())
        emit({"data": str(events), "folder": str(events.home)}, json, f"{events.name} {events.split}: {events.home}")
        return
    if out is None:
        raise BadSetting(f"{repo} without --out", "a folder for the bundle", f"add --out out/{repo.rpartition('/')[2]}")

    with stdout_is_ours():
        bundle = pull_bundle(repo, out, revision=revision, progress=TerminalProgress())
    result = {"bundle": str(bundle.folder), "kind": bundle.kind, "method": bundle.about.get("method")}
    emit(result, json, f"{bundle.kind} bundle: {bundle.folder}")
