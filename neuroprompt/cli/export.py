"""`neuroprompt export`: turn a run into what a target runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, facts, stdout_is_ours, table


@app.command(
    epilog=examples(
        "export runs/digits --target onnx --out out/onnx",
        "export runs/digits --target lava --out out/lava",
        "export runs/digits --target nir --out out/nir",
    )
)
def export(
    run: Annotated[Path, typer.Argument(help="A run folder of 'neuroprompt train'.")],
    target: Annotated[str, typer.Option(help="onnx (backbone with the prompt baked in), lava, or nir.")],
    out: Annotated[
        Path | None, typer.Option(help="Where it appears, whole or not at all (default: out/TARGET).")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The backbone's weights, where the file has moved.")] = None,
    json: Json = False,
) -> None:
    """Export a run; both sides are run and compared before a file appears."""
    from neuroprompt.checkpoint import Run
    from neuroprompt.contracts import Exporter

    exporter = Exporter.named(target)
    out = out or Path("out") / target
    with stdout_is_ours():
        result = exporter.export(Run.load(run, weights), out, progress=TerminalProgress())
    emit({"out": str(out), **result}, json, table(f"{target}: {out}", ("checked", "value"), facts(result)))
