"""`neuroprompt report`: one HTML file of runs and bundles, side by side, with every figure beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, listed, stdout_is_ours, table
from neuroprompt.extras import need


@app.command(
    epilog=examples(
        "report runs/digits out/onnx out/lava",
        "report runs/digits runs/linear --noise all --out noise.html",
        "report out/lava --skip verify --neuron 17 --neuron 42",
        "report out/lava --targets loihi,lava",
        "report out/lava out/onnx --prices loihi,truenorth,horowitz-45nm-int8",
    )
)
def report(
    what: Annotated[
        list[Path],
        typer.Argument(metavar="RUN|BUNDLE...", help="Run folders and bundles; those of one run become one column."),
    ],
    out: Annotated[Path, typer.Option(help="The HTML file; its figures go to NAME_files/ beside it.")] = Path(
        "report.html"
    ),
    noise: Annotated[
        list[str] | None,
        typer.Option(help="As for 'neuroprompt eval'; repeatable (default: five of four kinds)."),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of the timing.")] = 10,
    neuron: Annotated[
        list[str] | None,
        typer.Option(metavar="[NODE:]INDEX", help="A neuron whose potential is drawn; repeatable."),
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="Targets to check, separated by commas (default: all that are installed).")
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="Leave out what takes long: accuracy, latency, verify, measure; repeatable."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what an earlier report here measured.")] = False,
    generator_prices: Annotated[str, typer.Option(help="Price list of the spiking part.")] = "loihi",
    backbone_prices: Annotated[str, typer.Option(help="Price list of the backbone.")] = "horowitz-45nm-fp32",
    prices: Annotated[
        str,
        typer.Option(help="More price lists to compare, with commas between: names, .toml files or folders of them."),
    ] = "",
    weights: Annotated[Path | None, typer.Option(help="The backbone's weights, where the file has moved.")] = None,
    json: Json = False,
) -> None:
    """Write one HTML file: accuracy under noise, the prompt, spikes, potentials, energy, latency, where it is from.

    It needs no network, and can be read on a phone and printed. What is measured is kept in the folder beside it, so
    that the same report is quick the second time. A section whose data is not there says so.
    """
    need("figures")
    from neuroprompt.report.write import NOISES
    from neuroprompt.report.write import report as write_report

    with stdout_is_ours():
        result = write_report(
            what,
            out,
            noises=NOISES if noise is None else noise,
            rounds=rounds,
            prices=(generator_prices, backbone_prices),
            beside=[word for word in prices.split(",") if word],
            neurons=neuron or [],
            targets=listed(targets),
            skip=skip or [],
            weights=weights,
            fresh=fresh,
            command=["neuroprompt", *sys.argv[1:]],
            progress=TerminalProgress(),
        )
    rows = [
        ("report", result.report),
        ("figures as PNG, SVG, CSV", f"{len(result.figures)} in {result.files}"),
    ]
    lines = [f"{name}: {line}" for name, missing in result.missing.items() for line in missing]
    emit(result.json(), json, table("report", ("", "value"), rows), *lines)
