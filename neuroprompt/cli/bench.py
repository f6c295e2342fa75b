"""`neuroprompt bench`: baked, lean, naive, bare and PyTorch, training steps, or spiking runs, in one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table
from neuroprompt.errors import BadSetting

if TYPE_CHECKING:
    from neuroprompt.contracts.learning import BackboneSpec


@app.command(
    epilog=examples(
        "bench out/onnx",
        "bench --backbone vit_base_patch16_224 --tokens 50 --random-weights",
        "bench out/onnx --batch 8 --json",
        "bench --training --backbone vit_small_patch16_224 --random-weights --method spike-nvpt --method vpt-deep",
        "bench --spiking --width 2048 --layers 3 --steps 100",
    )
)
def bench(
    bundle: Annotated[Path | None, typer.Argument(help="An ONNX bundle of 'neuroprompt export'.")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="A backbone instead of a bundle: embedded, or a timm model.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Its weights as safetensors.")] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Random weights: good enough for time.")
    ] = False,
    image_size: Annotated[int | None, typer.Option(help="Side of the input in pixels.")] = None,
    tokens: Annotated[int, typer.Option(help="Prompt tokens a block, with --backbone.")] = 10,
    batch: Annotated[int, typer.Option(help="Images a run.")] = 1,
    rounds: Annotated[
        int | None, typer.Option(help="Rounds; each runs all, in turn (default: 20, with --spiking 3).")
    ] = None,
    training: Annotated[
        bool, typer.Option("--training", help="Time training steps instead: every method, or those of --method.")
    ] = False,
    method: Annotated[list[str] | None, typer.Option(help="A method, with --training; repeatable.")] = None,
    spiking: Annotated[bool, typer.Option("--spiking", help="Time Lava and the emulator on random nets.")] = False,
    steps: Annotated[int, typer.Option(help="Time steps, with --spiking.")] = 100,
    width: Annotated[int, typer.Option(help="Neurons a layer, with --spiking.")] = 2048,
    layers: Annotated[int, typer.Option(help="Layers, with --spiking.")] = 3,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each (default: torch's); 1 is steadier on a busy machine.")
    ] = None,
    json: Json = False,
) -> None:
    """Time the baked graph beside others of the same model; only ratios within one run count.

    bare: timm's own graph without a prompt. naive: that graph with the prompt as ordinary tokens. baked: what
    'export --target onnx' writes. lean: the bare backbone in the baked one's form; baked over lean is what the prompt
    alone costs. pytorch: the model as trained, in PyTorch. With --spiking: our Lava run beside that of a plain
    converter, our emulator beside Lava, images in lanes, growing nets, and spikes that are few.
    """
    from neuroprompt.benchmarks.latency import bench_backbone, bench_bundle
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.contracts.learning import BackboneSpec

    rounds = (3 if spiking else 20) if rounds is None else rounds
    if spiking:
        if bundle or backbone or training:
            raise BadSetting("--spiking with a bundle, --backbone or --training", "--spiking alone")
        from neuroprompt.cli._spiking_speed import show

        show(json, steps=steps, width=width, layers=layers, rounds=rounds)
        return
    if (bundle is None) == (backbone is None):
        raise BadSetting("a bundle and --backbone" if bundle else "neither a bundle nor --backbone", "one of them")
    if training:
        if backbone is None or threads is not None:
            raise BadSetting("--training with a bundle or --threads", "--training --backbone NAME")
        spec = BackboneSpec(backbone, str(weights) if weights else None, image_size, random_weights)
        _training(spec, method or [], batch, rounds, json)
        return
    timing = {"batch": batch, "rounds": rounds, "threads": threads, "progress": TerminalProgress()}
    with stdout_is_ours():
        if bundle is not None:
            opened = Bundle.open(bundle, "onnx")
            result = bench_bundle(opened, weights, **timing)
        else:
            spec = BackboneSpec(backbone or "", str(weights) if weights else None, image_size, random_weights)
            result = bench_backbone(spec, tokens, **timing)
    from neuroprompt.contracts.deployment import Prices
    from neuroprompt.energy.estimate import NOTE, estimate, si
    from neuroprompt.spiking.activity import Activity

    prices = Prices.named("horowitz-45nm-fp32")
    result["joules"] = {name: estimate(Activity(macs=macs), prices).joules for name, macs in result["macs"].items()}
    result["note"] = f"joules an image: {NOTE.lower()}; {prices.title}, multiply-accumulates alone"
    ratio, quartiles = result["ratio"], result["ratio_quartiles"]
    rows = [
        (
            name,
            f"{ms:.2f}",
            *_times(ratio, quartiles, f"{name}_over_bare"),
            result["nodes"].get(name, "-"),
            si(result["joules"].get(name)),
        )
        for name, ms in result["ms"].items()
    ]
    title = f"median of {rounds} rounds, batch {batch}, {result['threads']} threads"
    cost, middle = _times(ratio, quartiles, "baked_over_lean")
    emit(
        result,
        json,
        table(title, ("graph", "ms", "over bare", "middle half", "nodes", "energy"), rows),
        result["note"],
        f"the prompt alone, baked over lean: {cost} ({middle})",
        f"largest difference baked against PyTorch: {result['max_abs_diff']:.2e}",
    )


def _training(spec: BackboneSpec, methods: list[str], batch: int, rounds: int, json: bool) -> None:
    from neuroprompt.benchmarks.training import bench_training

    with stdout_is_ours():
        result = bench_training(spec, methods, batch=batch, rounds=rounds, progress=TerminalProgress())
    rows = []
    for name, speed in result["images_per_second"].items():
        over = _times(result["over_linear"], result["over_linear_quartiles"], name)
        share = result["generator_share"].get(name)
        rows.append((name, f"{speed:.1f}", *over, "" if share is None else f"{share:.1%}"))
    title = f"training steps of {batch} images, median of {rounds} rounds, {result['threads']} threads"
    columns = ("method", "images/s", "over linear", "middle half", "generator")
    refused = [f"{name}: {why}" for name, why in result["refused"].items()]
    emit(result, json, table(title, columns, rows), *refused)


def _times(ratio: dict[str, float], quartiles: dict[str, list[float]], name: str) -> tuple[str, str]:
    if name not in ratio:
        return "1", ""
    low, high = quartiles[name]
    return f"{ratio[name]:.3f}", f"{low:.3f} to {high:.3f}"
