"""`neuroprompt energy`: counts of a bundle and what they would cost; estimated, not measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from neuroprompt.cli._app import app
from neuroprompt.cli._graphs import Dt, From, Reset, print_reading
from neuroprompt.cli._output import Json, emit, examples, stdout_is_ours, table
from neuroprompt.cli._panels import panels
from neuroprompt.extras import need

if TYPE_CHECKING:
    from neuroprompt.contracts.deployment import Prices
    from neuroprompt.energy.comparison import PriceComparison
    from neuroprompt.energy.count_bundle import Counts
    from neuroprompt.energy.lines import EnergyEstimate


@app.command(
    cls=panels(
        prices="prices generator-prices backbone-prices",
        of_images="onnx images form measure seconds",
        of_neurons="target precision steps input from dt reset by-node chip",
    ),
    epilog=examples(
        "energy out/lava",
        "energy out/lava --prices loihi,truenorth,horowitz-45nm-fp32,horowitz-45nm-int8-memory",
        "energy out/lava --onnx out/onnx --prices horowitz-45nm-int8-memory",
        "energy out/lava --prices speck,horowitz-45nm-int8 --seconds 0.01",
        "energy out/lava --target lava --generator-prices mine.toml",
        "energy graph.nir --steps 100 --input poisson:0.1 --by-node",
        "energy graph.nir --steps 100 --target loihi --precision fixed --chip cores.png",
        "energy graph.nir --steps 100 --target sanafe --precision fixed --generator-prices sana-fe-loihi",
        "energy out/onnx --images images/ --measure --json",
    ),
)
def energy(
    what: Annotated[Path, typer.Argument(metavar="BUNDLE|GRAPH.nir", help="A bundle of 'export', or a NIR file.")],
    onnx: Annotated[
        Path | None, typer.Option(help="The ONNX bundle of the same run: its file is the backbone that is counted.")
    ] = None,
    generator_prices: Annotated[str, typer.Option(help="Price list of the spiking part.")] = "loihi",
    backbone_prices: Annotated[str, typer.Option(help="Price list of the backbone.")] = "horowitz-45nm-fp32",
    prices: Annotated[
        str, typer.Option(help="Lists side by side, with commas between: names, .toml files or folders of them.")
    ] = "",
    seconds: Annotated[
        float | None, typer.Option(help="Seconds of one run on a chip whose power was measured.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Also measure the ONNX files here, where RAPL counts joules.")
    ] = False,
    images: Annotated[
        list[Path] | None, typer.Option(help="Images to count the ONNX file's effective operations on; repeatable.")
    ] = None,
    form: Annotated[
        str | None, typer.Option(help="File of an ONNX bundle that is counted: portable (default) or fused.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Target to count on (default: loihi; for a .nir file reference).")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="float or fixed (default: fixed; of a .nir file float).")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Time steps, for a .nir file and random spikes.")] = None,
    stimulus: Annotated[
        str, typer.Option("--input", metavar="poisson:RATE|FILE", help="The input of a .nir file.")
    ] = "poisson:0.5",
    library: From = None,
    dt: Dt = None,
    reset: Reset = None,
    by_node: Annotated[bool, typer.Option("--by-node", help="Also show the generator's counts node by node.")] = False,
    chip: Annotated[
        Path | None, typer.Option(help="Draw the cores of a Loihi 1 and their load into a .png or .svg file.")
    ] = None,
    json: Json = False,
) -> None:
    """Three lines: generator, backbone, total. Estimated from counts and published prices, not measured."""
    from neuroprompt.energy.energy import count, energy_by_list
    from neuroprompt.energy.energy import energy as estimate_energy

    with stdout_is_ours():
        counts = count(
            what,
            onnx=onnx,
            target=target,
            precision=precision,
            steps=steps,
            stimulus=stimulus,
            convention=library,
            dt=dt,
            reset=reset,
            images=images or (),
            measure=measure,
            form=form,
        )
        if chip is not None:
            need("figures")
            from neuroprompt.report.chip import draw

            draw(counts.chip, chip, what.stem)
        if counts.reading is not None:
            print_reading(counts.reading)
        result: EnergyEstimate | PriceComparison
        if lists := [word for word in prices.split(",") if word]:
            result = energy_by_list(counts, lists, seconds=seconds)
        else:
            result = estimate_energy(counts, generator_prices, backbone_prices, seconds=seconds)
    emit(result.json(), json, *_shown(result, counts, by_node))


def _shown(result: EnergyEstimate | PriceComparison, counts: Counts, by_node: bool) -> list[Table | str]:
    from neuroprompt.energy import tables
    from neuroprompt.energy.lines import EnergyEstimate

    shown: list[Table | str] = []
    if isinstance(result, EnergyEstimate):
        shown += [table(tables.TITLE, tables.COLUMNS, tables.rows(result)), *tables.counted(result)]
        shown += [*tables.not_priced(result), tables.system(result)]
    else:
        shown += [table(tables.TITLE, tables.COLUMNS, tables.comparison(result)), *tables.refused(result)]
    if by_node and counts.images:
        shown.append(table(tables.NODE_TITLE, tables.NODE_COLUMNS, tables.node_rows(counts.images)))
    shown += tables.chip_lines(counts, _first_prices(result))
    if counts.break_even is not None:
        shown.append(counts.break_even.describe())
    if counts.effective is not None:
        shown.append(tables.effective_line(counts.effective))
    if counts.measured is not None:
        shown.append(tables.measured_line(counts.measured))
    return [part for part in [*shown, *tables.left_out(result)] if part]


def _first_prices(result: EnergyEstimate | PriceComparison) -> Prices | None:
    """The list of the generator's first line; None where it has none."""
    lines = result.parts()["generator"]
    first = lines[:1] if isinstance(lines, tuple) else (lines,)
    return first[0].prices if first else None
