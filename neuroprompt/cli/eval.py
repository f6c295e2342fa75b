"""`neuroprompt eval`: accuracy of a run on clean and on noisy pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table


@app.command(
    name="eval",
    epilog=examples(
        "eval runs/digits",
        "eval runs/digits --noise gaussian:0.1 --noise jpeg:25",
        "eval runs/digits --noise all --json",
    ),
)
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder of 'neuroprompt train'.")],
    noise: Annotated[
        list[str] | None,
        typer.Option(help="gaussian:SIGMA, salt-pepper:P, blur:SIGMA, jpeg:QUALITY, or 'all'; repeatable."),
    ] = None,
    split: Annotated[str, typer.Option(help="test or val.")] = "test",
    weights: Annotated[Path | None, typer.Option(help="The backbone's weights, where the file has moved.")] = None,
    json: Json = False,
) -> None:
    """Accuracy on the test pictures, clean and with noise added before normalisation."""
    from neuroprompt.checkpoint import Run
    from neuroprompt.evaluation import evaluate as evaluate_run

    with stdout_is_ours():
        loaded = Run.load(run, weights)
        result = evaluate_run(loaded, noise or [], split=split, progress=TerminalProgress())
    rows = [("clean", f"{result['clean']:.1%}"), *((name, f"{value:.1%}") for name, value in result["noise"].items())]
    emit(result, json, table(f"{loaded.config.method} on {result['images']} pictures", ("pictures", "accuracy"), rows))
