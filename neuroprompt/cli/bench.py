"""`neuroprompt bench`: baked, lean, naive, bare and PyTorch, training steps, or spiking runs, in one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table
from neuroprompt.cli._panels import panels
from neuroprompt.errors import BadSetting

if TYPE_CHECKING:
    from neuroprompt.benchmarks.bulk import BulkBenchmark
    from neuroprompt.benchmarks.latency_result import LatencyBenchmark
    from neuroprompt.benchmarks.rounds import Middle
    from neuroprompt.benchmarks.training import TrainingBenchmark
    from neuroprompt.contracts.learning import BackboneSpec


@app.command(
    cls=panels(of_training="training method device precision", of_neurons="spiking steps width layers"),
    epilog=examples(
        "bench out/onnx",
        "bench --backbone vit_base_patch16_224 --tokens 50 --random-weights",
        "bench out/onnx --batch 8 --json",
        "bench out/onnx --cpu-time",
        "bench --training --backbone vit_small_patch16_224 --random-weights --method vpt-deep --tokens 50",
        "bench --spiking --width 2048 --layers 3 --steps 100",
        "bench --startup out/onnx",
        "bench out/onnx --bulk 2048 --threads 2",
    ),
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
    tokens: Annotated[int, typer.Option(help="Prompt tokens (a block), with --backbone.")] = 10,
    batch: Annotated[int | None, typer.Option(help="Images a run (default: 1, with --bulk 8).")] = None,
    rounds: Annotated[
        int | None,
        typer.Option(help="Rounds; each runs all, in turn (default: 20, with --bulk 5, --spiking and --startup 3)."),
    ] = None,
    training: Annotated[
        bool, typer.Option("--training", help="Time training steps instead: every method, or those of --method.")
    ] = False,
    method: Annotated[list[str] | None, typer.Option(help="A method, with --training; repeatable.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps or auto, with --training.")] = "cpu",
    precision: Annotated[
        str, typer.Option(help="32-true, bf16-mixed, 16-mixed, or auto (on a GPU bf16-mixed), with --training.")
    ] = "auto",
    workers: Annotated[
        list[int] | None,
        typer.Option(
            help="With --training: time decoding by so many processes (0: threads), some 10 s each; repeatable."
        ),
    ] = None,
    startup: Annotated[
        bool,
        typer.Option("--startup", help="Time the start of every verb, and the first image of a bundle."),
    ] = False,
    bulk: Annotated[
        int | None, typer.Option(help="Time 'run BUNDLE FOLDER' on so many files beside ONNX Runtime alone.")
    ] = None,
    spiking: Annotated[bool, typer.Option("--spiking", help="Time Lava and the emulator on random nets.")] = False,
    steps: Annotated[int, typer.Option(help="Time steps, with --spiking.")] = 100,
    width: Annotated[int, typer.Option(help="Neurons a layer, with --spiking.")] = 2048,
    layers: Annotated[int, typer.Option(help="Layers, with --spiking.")] = 3,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each (default: torch's); 1 is steadier on a busy machine.")
    ] = None,
    cpu_time: Annotated[
        bool, typer.Option("--cpu-time", help="Compare processor time: steady on a busy machine.")
    ] = False,
    json: Json = False,
) -> None:
    """Time the baked graph beside others of the same model; only ratios within one run count.

    bare: timm's own graph without a prompt. naive: that graph with the prompt as ordinary tokens. baked: what 'export
    --target onnx' writes. lean: the bare backbone in the baked one's form; baked over lean is what the prompt alone
    costs. baked_fused and lean_fused: both with ONNX Runtime's fused attention. int8, int8_dynamic, fp16: files in
    fewer bits. openvino, openvino_int8: baked and int8 in OpenVINO, where it is installed; with _bf16, as 'run
    --precision bf16' has them. web, web_int8: the same in a headless Chromium, as on the page of 'export --target web'.
    pytorch: the model as trained, in PyTorch. Of a bundle, 'run' takes the 32-bit file that was clearly faster here.
    With --training: a step as 'train' takes it beside that of a plain loop with prompts as ordinary tokens, and the
    most memory that each holds. With --spiking: our Lava run beside that of a plain converter, our emulator beside
    Lava, batches of images, growing nets, and sparse spikes. With --startup: the processor time in which a new process
    of each verb starts. With --bulk: images a second of a folder, beside those of ONNX Runtime on the same images
    decoded before, and of a loop that takes one at a time.
    """
    _check_together(bundle, backbone, bulk, training=training, spiking=spiking, startup=startup)
    if training and threads is not None:
        raise BadSetting("--training with --threads", "--training --backbone NAME")
    if (device, precision) != ("cpu", "auto") and not training:
        raise BadSetting("--device or --precision without --training", "--training --backbone NAME --device cuda")
    if cpu_time and (training or spiking or startup):
        raise BadSetting("--cpu-time with another benchmark", "bench BUNDLE --cpu-time, or with --bulk N")
    if workers and not training:
        raise BadSetting("--workers without --training", "--training --backbone NAME --workers N")
    rounds = (5 if bulk is not None else 3 if spiking or startup else 20) if rounds is None else rounds
    spec, progress = _spec(backbone, weights, image_size, random_weights), TerminalProgress()
    if startup:
        from neuroprompt.benchmarks.startup import bench_startup
        from neuroprompt.cli._app import VERBS

        with stdout_is_ours():
            started = bench_startup(VERBS, bundle, rounds=rounds, progress=progress)
        starts = [(name, *_cells(seconds)) for name, seconds in started.cpu_seconds.items()]
        title = f"processor seconds of a new process, median of {rounds} rounds"
        emit(started.json(), json, table(title, ("start", "CPU s", "middle half"), starts))
    elif bulk is not None:
        from neuroprompt.benchmarks.bulk import bench_bulk
        from neuroprompt.bundles.predict import BATCH

        assert bundle is not None
        with stdout_is_ours():
            batch = BATCH if batch is None else batch
            files = bench_bulk(
                bundle, bulk, batch=batch, threads=threads, rounds=rounds, cpu_time=cpu_time, progress=progress
            )
        _show_bulk(files, json)
    elif spiking:
        from neuroprompt.benchmarks.spiking import bench_spiking
        from neuroprompt.cli._spiking_speed import show

        with stdout_is_ours():
            spikes = bench_spiking(steps=steps, width=width, layers=layers, rounds=rounds, progress=progress)
        show(spikes, json)
    elif training:
        from neuroprompt.benchmarks.training import bench_training

        assert spec is not None
        with stdout_is_ours():
            trained = bench_training(
                spec,
                method or [],
                tokens=tokens,
                batch=1 if batch is None else batch,
                rounds=rounds,
                workers=workers or (),
                device=device,
                precision=precision,
                progress=progress,
            )
        _show_training(trained, json)
    else:
        from neuroprompt.benchmarks.latency import bench as bench_latency

        what = spec or bundle
        assert what is not None
        with stdout_is_ours():
            timed = bench_latency(
                what,
                weights=weights,
                tokens=tokens,
                batch=1 if batch is None else batch,
                rounds=rounds,
                threads=threads,
                cpu_time=cpu_time,
                progress=progress,
            )
        _show_latency(timed, json)


def _check_together(
    bundle: Path | None, backbone: str | None, bulk: int | None, *, training: bool, spiking: bool, startup: bool
) -> None:
    """Raise BadSetting where two benchmarks are asked for, or one lacks what it times."""
    if startup and (backbone or training or spiking):
        raise BadSetting("--startup with --backbone, --training or --spiking", "--startup alone, or with a bundle")
    if bulk is not None and (bundle is None or backbone or training or spiking or startup):
        raise BadSetting("--bulk without a bundle, or with another benchmark", "bench BUNDLE --bulk N")
    if spiking and (bundle or backbone or training):
        raise BadSetting("--spiking with a bundle, --backbone or --training", "--spiking alone")
    if not (spiking or startup) and (bundle is None) == (backbone is None):
        raise BadSetting("a bundle and --backbone" if bundle else "neither a bundle nor --backbone", "one of them")
    if training and backbone is None:
        raise BadSetting("--training with a bundle", "--training --backbone NAME")


def _spec(backbone: str | None, weights: Path | None, image_size: int | None, random: bool) -> BackboneSpec | None:
    from neuroprompt.contracts.learning import BackboneSpec

    return None if backbone is None else BackboneSpec(backbone, str(weights) if weights else None, image_size, random)


def _show_latency(result: LatencyBenchmark, json: bool) -> None:
    from neuroprompt.energy.units import si

    joules = result.joules
    rows = [
        (
            name,
            f"{ms.median:.2f}",
            *_cells(result.ratio.get(f"{name}_over_bare")),
            result.nodes.get(name, "-"),
            si(joules.get(name)),
            f"{result.bytes[name] / 1e6:.1f}" if name in result.bytes else "",
            *([f"{result.accuracy[name]:.1%}" if name in result.accuracy else ""] if result.accuracy else []),
        )
        for name, ms in result.ms.items()
    ]
    what = "processor time, " if result.cpu_time else ""
    title = f"{what}median of {result.rounds} rounds, batch {result.batch}, {result.threads} threads"
    columns = ("graph", "ms", "over bare", "middle half", "nodes", "energy", "MB")
    emit(
        result.json(),
        json,
        table(title, (*columns, "accuracy") if result.accuracy else columns, rows),
        result.note,
        f"the prompt alone, baked over lean: {result.ratio['baked_over_lean']}",
        *(
            [f"the same with fused attention: {result.ratio['baked_fused_over_lean_fused']}"]
            if "baked_fused_over_lean_fused" in result.ratio
            else []
        ),
        *(f"not timed, {name}: {why}" for name, why in result.missing.items()),
        f"faster here: --form {result.fastest}",
        f"largest difference baked against PyTorch: {result.max_abs_diff:.2e}",
    )


def _show_bulk(result: BulkBenchmark, json: bool) -> None:
    speeds = [
        (name, f"{speed:.1f}", *_cells(result.ratio.get(f"run_over_{name}")))
        for name, speed in result.images_per_second.items()
    ]
    size = f"{result.size[0]} x {result.size[1]}"
    title = f"{result.images} files of {size}, batch {result.batch}, {result.threads} threads, {result.rounds} rounds"
    bound = f"without any reading, over one_by_one: {result.ratio['alone_at_once_over_one_by_one']}"
    per = "images/CPU s" if result.cpu_time else "images/s"
    emit(result.json(), json, table(title, ("what", per, "run over it", "middle half"), speeds), bound)


def _show_training(result: TrainingBenchmark, json: bool) -> None:
    rows = []
    for name, speed in result.images_per_second.items():
        share = result.generator_share.get(name)
        over = _cells(result.over_linear.get(name))[0]
        memory = f"{result.peak_bytes[name] / 2**20:.0f} ({result.plain_peak_bytes[name] / 2**20:.0f})"
        plain = _cells(result.over_plain[name])
        rows.append((name, f"{speed:.1f}", *plain, memory, over, "" if share is None else f"{share:.1%}"))
    where = f"{result.threads} threads" if result.device == "cpu" else result.device
    title = f"training steps of {result.batch} images, median of {result.rounds} rounds, {where}, {result.precision}"
    columns = ("method", "images/s", "over plain", "middle half", "MiB (plain)", "over linear", "generator")
    refused = [f"{name}: {why}" for name, why in result.refused.items()]
    decoded = [
        f"decoding with {n} workers: {timed.images_per_second:.1f} images/s, first batch in {timed.first_seconds:.1f} s"
        for n, timed in result.decoded.items()
    ]
    needed = ", ".join(f"{name} {count}" for name, count in result.workers_needed.items())
    feeds = [f"workers that would feed it: {needed}"] if needed else []
    emit(result.json(), json, table(title, columns, rows), *refused, *decoded, *feeds)


def _cells(ratio: Middle | None) -> tuple[str, str]:
    """Median and middle half; 1 for what the others are compared with."""
    return ("1", "") if ratio is None else (f"{ratio.median:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}")
