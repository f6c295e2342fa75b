"""`neuroprompt run`: run an exported bundle, images in ONNX Runtime or spikes on the Lava simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, notes, stdout_is_ours, table
from neuroprompt.errors import BadSetting


@app.command(
    epilog=examples(
        "run out/onnx cat.jpg dog.png",
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
    precision: Annotated[
        str | None, typer.Option(help="fixed (Loihi's integers) or float, of neurons (default: fixed).")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Which target runs neurons: lava, loihi, ... (default: lava).")
    ] = None,
    lanes: Annotated[int | None, typer.Option(help="Images side by side on the target (default: 8).")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the spikes here, as .npz.")] = None,
    json: Json = False,
) -> None:
    """Run a bundle for real: labels and probabilities, or spikes.

    An image that cannot be read has its error in its row, and the exit code is 1 once the others are done.
    """
    from neuroprompt.bundles.artefact import Settings, artefact
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.bundles.results import SpikeRun

    with stdout_is_ours():
        opened = artefact(Bundle.open(bundle))
        if out is not None and opened.takes_images:
            raise BadSetting(f"--out {out}", "a bundle whose spikes are the same for every image")
        result = opened.run(images or [], Settings(target, precision, lanes), TerminalProgress())
    lines = []
    if isinstance(result, SpikeRun):
        lines.append(f"{result.recording.seconds:.2f} s" + (f", spikes in {out}" if out else ""))
        if out is not None:
            result.save(out)
    emit(result.json(), json, table(result.title, result.columns, result.rows()), *lines)
    if result.failed:
        notes.print(f"{result.failed} of {len(result.rows())} images could not be read", markup=False)
        raise typer.Exit(1)
