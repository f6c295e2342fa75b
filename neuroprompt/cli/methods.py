"""`neuroprompt methods`: what each prompt method learns on a backbone, and what of it is left at deployment."""

from __future__ import annotations

from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, emit, examples, plain, table


@app.command(epilog=examples("methods", "methods --backbone vit_base_patch16_224", "methods --json"))
def methods(
    backbone: Annotated[str, typer.Option(help="'embedded' or a timm model name.")] = "embedded",
    json: Json = False,
) -> None:
    """What each prompt method learns on a backbone, and what of it is left at deployment; no weights are downloaded."""
    from neuroprompt.contracts.specs import BackboneSpec
    from neuroprompt.onnxgraph.methods import methods as counted

    result = counted(BackboneSpec(backbone, random=backbone != "embedded"))
    rows = [
        (name, m.enters, *(("", "") if m.why else (plain(m.parameters), plain(m.macs))), m.left)
        for name, m in result.methods.items()
    ]
    columns = ("method", "enters as", "parameters", "MACs added", "left at deployment")
    lines = [f"{name}: {m.why}" for name, m in result.methods.items() if m.why]
    emit(result.json(), json, table(f"methods with default settings on {backbone}", columns, rows), *lines)
