"""`neuroprompt run`: run an exported bundle, images in ONNX Runtime or spikes on the Lava simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli import _data_set
from neuroprompt.cli._app import app
from neuroprompt.cli._graphs import Dt, From, Reset, print_reading
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, notes, stdout_is_ours, table
from neuroprompt.cli._panels import panels


@app.command(
    cls=panels(
        of_images="list threads batch-size provider graph-level form lanes",
        of_a_data_set_on_neurons="inputs data labels decode steps prices figure from dt reset",
        in_shards="engine engine-set shards work",
    ),
    epilog=examples(
        "run out/onnx cat.jpg dog.png",
        "run out/onnx images/ --out labels.csv",
        "run out/onnx images/ --target openvino",
        "run out/onnx images/ --target openvino --precision bf16",
        "run out/onnx --list files.txt --out labels.parquet --threads 8",
        "run out/lava --precision fixed",
        "run out/lava --precision float --out spikes.npz",
        "run out/lava cat.jpg --target loihi",
        "run graph.nir --inputs test.npz --target loihi --json",
        "run graph.nir --inputs spikes.h5 --labels labels.npy --decode first-spike",
        "run graph.nir --data tonic:NMNIST --steps 100",
    ),
)
def run(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE|GRAPH.nir", help="A bundle of 'neuroprompt export', or a NIR file.")
    ],
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
        str | None, typer.Option(help="Device: ONNX Runtime's provider (cpu, cuda, ...) or OpenVINO's (cpu, gpu).")
    ] = None,
    graph_level: Annotated[
        str | None, typer.Option(help="How far it rewrites the graph: none, basic, extended, all (default: all).")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            help="File of an ONNX bundle: portable, fused, or its export's --precision (default: that, else what "
            "'bench' found faster here, else portable)."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Of neurons: fixed (the chip's integers) or float (default: fixed). Of images in OpenVINO: float, or "
            "bf16 or fp16 where the device computes in it (default: float)."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="What runs neurons: lava, loihi, ... (default: lava; with --inputs: loihi); or images: onnxruntime, "
            "openvino."
        ),
    ] = None,
    lanes: Annotated[int | None, typer.Option(help="Images side by side on the target (default: 8).")] = None,
    inputs: Annotated[
        Path | None,
        typer.Option("--inputs", "--data", metavar="FILE|tonic:NAME|data:SPLIT", help=_data_set.DATA_SET),
    ] = None,
    labels: _data_set.LabelsFile = None,
    decode: _data_set.Decode = None,
    steps: Annotated[int | None, typer.Option(help="Steps of an item, where FILE has more, or none.")] = None,
    prices: _data_set.ItemPrices = None,
    engine: _data_set.EngineName = None,
    engine_words: _data_set.EngineWords = None,
    shards: _data_set.Shards = None,
    work: _data_set.Work = None,
    shard: _data_set.ShardWord = None,
    library: From = None,
    dt: Dt = None,
    reset: Reset = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the confusion matrix: a .png or .svg file.")] = None,
    json: Json = False,
) -> None:
    """Run a bundle for real: labels and probabilities, or spikes. With --inputs, a whole data set on a chip's neurons.

    An image that cannot be read has its error in its row, and the exit code is 1 once the others are done. With --out
    any number of images takes little memory, and the same command goes on where a killed one stopped.
    """
    from neuroprompt.bundles.artefact import run as run_bundle
    from neuroprompt.bundles.data_run import run_items, run_shard
    from neuroprompt.bundles.shards import Shard

    of_data: dict[str, object] = {
        "labels": labels,
        "decode": decode,
        "steps": steps,
        "from": library,
        "dt": dt,
        "reset": reset,
        "figure": figure,
    }
    of_data |= {"prices": prices, "engine": engine, "engine-set": engine_words, "shards": shards, "work": work}
    if inputs is not None:
        others = {"images": images, "list": listed, "lanes": lanes, "threads": threads, "batch-size": batch_size}
        _data_set.refuse(
            others | {"provider": provider, "graph-level": graph_level}, "images: it says how those are run"
        )
        _data_set.check_figure(figure)
        listed_prices = _data_set.prices_of(prices)
        if shard is not None:
            run_shard(
                Shard.parse(shard),
                bundle,
                inputs,
                labels,
                target=target or "loihi",
                precision=precision or "fixed",
                decode=decode,
                steps=steps,
                units=(dt, library, reset),
            )
            return
        split = _data_set.split_of(engine, engine_words, shards, work)
        with stdout_is_ours():
            data = run_items(
                bundle,
                inputs,
                labels,
                target=target,
                precision=precision,
                decode=decode,
                steps=steps,
                dt=dt,
                library=library,
                reset=reset,
                out=out,
                split=split,
                progress=TerminalProgress(),
            )
        if data.reading is not None:
            print_reading(data.reading)
        _data_set.show(data, listed_prices, figure, json)
        return
    _data_set.refuse(of_data, "--inputs FILE beside it: it is for a data set")
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
