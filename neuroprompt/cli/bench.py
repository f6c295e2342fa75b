"""`neuroprompt bench`: baked, naive, bare and PyTorch, side by side in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table
from neuroprompt.errors import BadSetting


@app.command(
    epilog=examples(
        "bench out/onnx",
        "bench --backbone vit_base_patch16_224 --tokens 50 --random-weights",
        "bench out/onnx --batch 8 --json",
    )
)
def bench(
    bundle: Annotated[Path | None, typer.Argument(help="An ONNX bundle of 'neuroprompt export'.")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="A backbone instead of a bundle: embedded, or any timm ViT.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Its weights as safetensors.")] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Random weights: good enough for time.")
    ] = False,
    image_size: Annotated[int | None, typer.Option(help="Side of the input in pixels.")] = None,
    tokens: Annotated[int, typer.Option(help="Prompt tokens a block, with --backbone.")] = 10,
    batch: Annotated[int, typer.Option(help="Pictures a run.")] = 1,
    rounds: Annotated[int, typer.Option(help="Rounds; each runs all four, in turn.")] = 20,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each (default: torch's); 1 is steadier on a busy machine.")
    ] = None,
    json: Json = False,
) -> None:
    """Time the baked graph beside the naive one, the bare backbone and PyTorch; only ratios within one run count."""
    from neuroprompt.benchmark import bench_backbone, bench_bundle
    from neuroprompt.bundle import Bundle
    from neuroprompt.contracts import BackboneSpec

    if (bundle is None) == (backbone is None):
        raise BadSetting("a bundle and --backbone" if bundle else "neither a bundle nor --backbone", "one of them")
    timing = {"batch": batch, "rounds": rounds, "threads": threads, "progress": TerminalProgress()}
    with stdout_is_ours():
        if bundle is not None:
            opened = Bundle.open(bundle, "onnx")
            result = bench_bundle(opened, weights, **timing)
        else:
            spec = BackboneSpec(backbone or "", str(weights) if weights else None, image_size, random_weights)
            result = bench_backbone(spec, tokens, **timing)
    over_bare = {name: f"{result['ratio'][f'{name}_over_bare']:.3f}" for name in result["ms"] if name != "bare"}
    rows = [
        (name, f"{ms:.2f}", over_bare.get(name, "1.000"), result["nodes"].get(name, "-"))
        for name, ms in result["ms"].items()
    ]
    emit(
        result,
        json,
        table(f"median of {rounds} rounds, batch {batch}", ("graph", "ms", "over bare", "nodes"), rows),
        f"largest difference baked against PyTorch: {result['max_abs_diff']:.2e}",
    )
