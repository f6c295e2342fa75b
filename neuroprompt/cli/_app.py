"""The application object, and the verbs in the order in which the help shows them."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

from neuroprompt.cli._panels import whole_paragraphs

app = typer.Typer(
    help="Train spiking prompts for frozen vision backbones, bake them into ONNX, run them on Loihi's simulator, "
    "and check spike by spike that what runs is what was trained.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        import neuroprompt

        sys.stdout.write(f"neuroprompt {neuroprompt.__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


VERBS = (
    "train",
    "eval",
    "sweep",
    "export",
    "run",
    "verify",
    "energy",
    "bench",
    "report",
    "card",
    "push",
    "pull",
    "targets",
    "methods",
    "backbones",
    "recipes",
    "demo",
    "doctor",
)

for _name in VERBS:
    importlib.import_module(f"neuroprompt.cli.{_name}")
whole_paragraphs(app)
