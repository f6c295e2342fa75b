"""`neuroprompt energy`: counts of a bundle and what they would cost; estimated, not measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, emit, examples, stdout_is_ours, table


@app.command(
    epilog=examples(
        "energy out/lava",
        "energy out/lava --prices loihi,truenorth,horowitz-45nm-fp32,horowitz-45nm-int8-memory",
        "energy out/lava --onnx out/onnx --prices horowitz-45nm-int8-memory",
        "energy out/lava --prices speck,horowitz-45nm-int8 --seconds 0.01",
        "energy out/lava --target lava --generator-prices mine.toml",
        "energy graph.nir --steps 100 --input poisson:0.1 --by-node",
        "energy out/onnx --images images/ --measure --json",
    )
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
    target: Annotated[
        str | None, typer.Option(help="Target to count on (default: loihi; for a .nir file reference).")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="float or fixed (default: fixed; of a .nir file float).")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Time steps, for a .nir file and random spikes.")] = None,
    drive: Annotated[
        str, typer.Option("--input", metavar="poisson:RATE|FILE", help="What drives a .nir file.")
    ] = "poisson:0.5",
    by_node: Annotated[bool, typer.Option("--by-node", help="Also show the generator's counts node by node.")] = False,
    json: Json = False,
) -> None:
    """Three lines: generator, backbone, total. Estimated from counts and published prices, not measured."""
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.energy.comparison import compare_prices
    from neuroprompt.energy.count_bundle import counts
    from neuroprompt.energy.estimate import energy as price
    from neuroprompt.energy.toml_prices import price_list, price_lists

    with stdout_is_ours():
        if not what.is_dir():
            _no_bundle(what, onnx, images, measure)
        opened = Bundle.open(what) if what.is_dir() else None
        file = opened if onnx is None else Bundle.open(onnx, "onnx")
        wanted = price_lists(w for w in prices.split(",") if w)
        pair = price_list(generator_prices), price_list(backbone_prices)
        if opened is None:
            found = _of_graph(what, steps, drive, target or "reference", precision or "float")
        else:
            found = counts(opened, None if onnx is None else file, target or "loihi", precision or "fixed")
        baked = opened is not None and "graph" not in opened.about and not opened.about.get("per_image", False)
        if wanted:
            result = compare_prices(found.generator, found.backbone, wanted, baked=baked, seconds=seconds)
        else:
            result = price(found.generator, found.backbone, *pair, baked=baked, seconds=seconds)
        result |= {"counted": found.json(), "break_even": _break_even(found)}
        if images:
            result["effective"] = _effective(file, images)
        if measure:
            result["measured"] = _measured(file)
    emit(result, json, *_shown(result, found, by_node, side_by_side=bool(wanted)))


def _of_graph(file: Path, steps: int | None, drive: str, target: str, precision: str) -> Any:
    from neuroprompt.cli._graphs import driven_graph
    from neuroprompt.compiler.compile import floats_of_graph
    from neuroprompt.energy.count_bundle import counts_of_model

    flat, inputs = driven_graph(file, steps, drive, None, 0)
    return counts_of_model(floats_of_graph(flat, inputs), inputs, target, precision)


def _no_bundle(file: Path, onnx: Path | None, images: list[Path] | None, measure: bool) -> None:
    from neuroprompt.errors import BadSetting

    if onnx or images or measure:
        raise BadSetting(f"--onnx, --images or --measure with {file}", "a bundle: a graph has no backbone")


def _break_even(found: Any) -> dict[str, Any] | None:
    from neuroprompt.energy.break_even import break_even_of

    if not found.images or found.delays:  # a network that is run once has no equal of what remembers
        return None
    return break_even_of(found.generator, found.images[0].nodes)


def _effective(bundle: Any, images: list[Path]) -> dict[str, Any]:
    from dataclasses import asdict

    import numpy as np

    from neuroprompt.bundles.image_files import image_files, read_image
    from neuroprompt.errors import BadSetting
    from neuroprompt.onnxgraph.effective import effective

    if bundle.kind != "onnx":
        raise BadSetting(f"--images with a bundle for {bundle.kind!r}", "one of 'neuroprompt export --target onnx'")
    pixels = np.stack([read_image(file, bundle.about["preprocess"]) for file in image_files(images)])
    return {"images": len(pixels), **asdict(effective(bundle.folder / "model.onnx", pixels))}


def _measured(bundle: Any) -> dict[str, Any]:
    from neuroprompt.energy.measured import measured
    from neuroprompt.errors import Unsupported

    try:
        return measured(bundle)
    except Unsupported as error:
        return {"joules": None, "reason": str(error)}


def _shown(result: dict[str, Any], found: Any, by_node: bool, side_by_side: bool) -> list[Any]:
    from neuroprompt.energy import tables
    from neuroprompt.energy.break_even import describe

    shown: list[Any] = []
    if side_by_side:
        shown += [table(tables.TITLE, tables.COLUMNS, tables.comparison(result)), *tables.refused(result)]
    else:
        shown += [table(tables.TITLE, tables.COLUMNS, tables.rows(result)), *tables.counted(result)]
        shown += [*tables.not_priced(result), tables.system(result)]
    if by_node and found.images:
        shown.append(table(tables.NODE_TITLE, tables.NODE_COLUMNS, tables.node_rows(found.images)))
    if result["break_even"]:
        shown.append(describe(result["break_even"]))
    if "effective" in result:
        shown.append(tables.effective_line(result["effective"]))
    if "measured" in result:
        shown.append(tables.measured_line(result["measured"]))
    return [part for part in [*shown, *tables.left_out(result)] if part]
