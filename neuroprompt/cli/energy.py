"""`neuroprompt energy`: counts of a bundle and what they would cost; estimated, not measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, emit, examples, stdout_is_ours, table


@app.command(
    epilog=examples(
        "energy out/lava",
        "energy out/lava --generator-prices loihi --backbone-prices horowitz-45nm-int8",
        "energy out/onnx --json",
    )
)
def energy(
    bundle: Annotated[Path, typer.Argument(help="A bundle of 'neuroprompt export'.")],
    generator_prices: Annotated[str, typer.Option(help="Price list of the spiking part.")] = "loihi",
    backbone_prices: Annotated[str, typer.Option(help="Price list of the backbone.")] = "horowitz-45nm-fp32",
    json: Json = False,
) -> None:
    """Three lines: generator, backbone, total. Estimated from counts and published prices, not measured."""
    from neuroprompt.bundle import Bundle
    from neuroprompt.counts import activities
    from neuroprompt.pricing import COLUMNS, TITLE, counted, rows
    from neuroprompt.pricing import energy as price

    with stdout_is_ours():
        opened = Bundle.open(bundle)
        generator, backbone = activities(opened)
        baked = not opened.about.get("per_image", False)
        result = price(generator, backbone, generator_prices, backbone_prices, baked=baked)
    left_out = [f"{part} leaves out: {result[part]['leaves_out']}" for part in ("generator", "backbone", "total")]
    emit(result, json, table(TITLE, COLUMNS, rows(result)), *counted(result), *left_out)
