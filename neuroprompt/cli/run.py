"""`neuroprompt run`: run an exported bundle, images in ONNX Runtime or spikes on the Lava simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, notes, stdout_is_ours, table


@app.command(
    epilog=examples(
        "run out/onnx cat.jpg dog.png",
        "run out/onnx images/ --out labels.csv",
        "run out/onnx --list files.txt --out labels.parquet --threads 8",
        "run out/lava --precision fixed",
        "run out/lava --precision float --out spikes.npz",
        "run out/lava cat.jpg --target loihi",
    )
)
def run(
    bundle: Annotated[Path, typer.Argument(help="A bundle of 'neuroprompt export'.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Images or folders; none for neurons that run once."),
    ] = None,
    listed: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="A text file with an image a line, instead of images.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the labels here (.csv, .jsonl, .parquet), row by row; or the spikes (.npz)."),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that read and classify (default: one a core).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in one run of the model (default: 8).")] = None,
    provider: Annotated[
        str | None, typer.Option(help="ONNX Runtime's provider: cpu, cuda, ... (default: cpu).")
    ] = None,
    graph_level: Annotated[
        str | None, typer.Option(help="How far it rewrites the graph: none, basic, extended, all (default: all).")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(help="File of an ONNX bundle: portable or fused (default: what the export measured as faster)."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="fixed (Loihi's integers) or float, of neurons (default: fixed).")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Which target runs neurons: lava, loihi, ... (default: lava).")
    ] = None,
    lanes: Annotated[int | None, typer.Option(help="Images side by side on the target (default: 8).")] = None,
    json: Json = False,
) -> None:
    """Run a bundle for real: labels and probabilities, or spikes.

    An image that cannot be read has its error in its row, and the exit code is 1 once the others are done. With --out
    any number of images takes little memory, and the same command goes on where a killed one stopped.
    """
    from neuroprompt.bundles.artefact import run as run_bundle

    with stdout_is_ours():
        result = run_bundle(
            bundle,
            images or [],
            target=target,
            precision=precision,
            lanes=lanes,
            listed=listed,
            out=out,
            threads=threads,
            batch_size=batch_size,
            provider=provider,
            graph_level=graph_level,
            form=form,
            progress=TerminalProgress(),
        )
    emit(result.json(), json, table(result.title, result.columns, result.rows()), *result.notes())
    if result.failed:
        notes.print(f"{result.failed:,} of {result.count:,} images could not be read", markup=False)
        raise typer.Exit(1)
