"""`neuroprompt card`: the README.md of a bundle, as a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, emit, examples, stdout_is_ours


@app.command(
    epilog=examples(
        "card out/onnx",
        "card out/onnx --accuracy eval.json --license apache-2.0",
        "eval runs/digits --noise all --json > eval.json",
    )
)
def card(
    bundle: Annotated[Path, typer.Argument(help="A bundle of 'neuroprompt export' for onnx or lava.")],
    accuracy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What 'neuroprompt eval RUN --json' printed, for its table.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="The hub's name of a licence: apache-2.0, mit.")
    ] = None,
    generator_prices: Annotated[str, typer.Option(help="Price list of the spiking part.")] = "loihi",
    backbone_prices: Annotated[str, typer.Option(help="Price list of the backbone.")] = "horowitz-45nm-fp32",
    json: Json = False,
) -> None:
    """Write README.md into a bundle: what it is, accuracy, parity, counts, prices, limits, how to run it elsewhere.

    The Hugging Face hub reads the same file. The manifest takes its SHA-256, so that the bundle stays whole.
    """
    from neuroprompt.report.card import card as write_card
    from neuroprompt.report.card import read_accuracy

    with stdout_is_ours():
        measured = None if accuracy is None else read_accuracy(accuracy)
        written = write_card(bundle, measured, (generator_prices, backbone_prices), licence)
    emit(written.json(), json, f"card: {written.file}")
