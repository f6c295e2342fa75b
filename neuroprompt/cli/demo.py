"""`neuroprompt demo`: the main job on embedded weights and data, over the same functions that the verbs call."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table
from neuroprompt.errors import RuntimeMissing


@app.command(epilog=examples("demo", "demo --out somewhere --json"))
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the runs, the bundles and the report.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    json: Json = False,
) -> None:
    """Train a Spike-NVPT prompt on the embedded set, bake it, run it on Loihi's simulator, verify it, price it.

    This takes a few minutes on two cores and downloads nothing but packages. At the end is a report for your browser.
    """
    started = time.perf_counter()
    with stdout_is_ours():
        progress = TerminalProgress()
        result = _chain(out, seed, progress)
        progress.say("7/7  report: all of it on one page")
        result["report"] = _report(out, result, progress)
        result["seconds"] = round(time.perf_counter() - started, 1)
    emit(result, json, table("demo", ("", "value"), _summary(result)), f"report: {result['report']}")


def _chain(out: Path, seed: int, progress: TerminalProgress) -> dict[str, Any]:
    from neuroprompt.benchmarks.latency import bench_bundle
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.bundles.contents import load_model
    from neuroprompt.contracts.deployment import Exporter, Target
    from neuroprompt.energy.count_bundle import activities
    from neuroprompt.energy.estimate import energy
    from neuroprompt.report.write import NOISES, ROUNDS
    from neuroprompt.simulators.verify import verify
    from neuroprompt.training.config import configure
    from neuroprompt.training.evaluation import evaluate
    from neuroprompt.training.loop import train

    progress.say("1/7  train: a spiking prompt and, for comparison, a linear probe")
    runs, accuracy = {}, {}
    for method in ("linear", "spike-nvpt"):
        runs[method] = train(configure(method=method, seed=seed, epochs=6, batch=32), out / "runs" / method, progress)
        accuracy[method] = evaluate(runs[method], NOISES, progress=progress).json()
    progress.say("2/7  export: the backbone with the prompt baked in, and the spiking part")
    exported = {
        target: Exporter.named(target).export(runs["spike-nvpt"], out / target, progress=progress)
        for target in ("onnx", "lava")
    }
    progress.say("3/7  Lava's runtime (built once, in your cache)")
    if not Target.part("lava").available().ok:
        try:
            Target.part("lava").install()
        except RuntimeMissing as error:
            progress.say(f"     left out: {error}")
    progress.say("4/7  verify: every target at hand against the reference, spike by spike")
    lava, onnx = Bundle.open(out / "lava", "lava"), Bundle.open(out / "onnx", "onnx")
    verified = verify(load_model(lava), progress=progress).json()
    progress.say("5/7  bench: baked beside naive and bare")
    benched = bench_bundle(onnx, batch=1, rounds=ROUNDS, progress=progress)
    progress.say("6/7  energy: estimated from counts, not measured")
    generator, backbone = activities(lava)
    return {
        "accuracy": accuracy,
        "onnx": exported["onnx"].json(),
        "lava": exported["lava"].json(),
        "verify": verified,
        "bench": benched,
        "energy": energy(generator, backbone, baked=True),
        "same_bits": lava.about["bits_sha256"] == onnx.about["bits_sha256"],
    }


def _summary(result: dict[str, Any]) -> list[tuple[str, str]]:
    from neuroprompt.energy.estimate import si

    rows = []
    for method, figures in result["accuracy"].items():
        noisy = sum(figures["noise"].values()) / len(figures["noise"])
        rows.append((f"accuracy of {method}, clean / mean under noise", f"{figures['clean']:.1%} / {noisy:.1%}"))
    entries = result["verify"]["reference"]["steps"] * result["verify"]["reference"]["neurons"]
    for name, figures in result["verify"]["targets"].items():
        agreed = f"{figures['spike_exact']:.2%} of {entries:,} entries match, {figures['spikes']:,} spikes"
        rows.append((f"{name} against the reference", agreed))
    if skipped := ", ".join(result["verify"]["skipped"]):
        rows.append(("not run", f"{skipped} ('neuroprompt verify' of the bundle says why)"))
    for name, why in result["verify"]["failed"].items():
        rows.append((f"{name} against the reference", f"FAILED: {why}"))
    bench, energy = result["bench"], result["energy"]
    return [
        *rows,
        ("the chip's prompt bits and the baked ones", "the same" if result["same_bits"] else "DIFFERENT"),
        ("largest difference, baked against PyTorch", f"{bench['max_abs_diff']:.1e}"),
        ("time over the bare backbone: baked / naive", _ratios(bench)),
        ("generator, once at deployment (estimated)", si(energy["generator"]["joules_per_deployment"])),
        ("backbone, every image (estimated)", si(energy["backbone"]["joules_per_image"])),
        ("seconds in all", f"{result['seconds']:.0f}"),
    ]


def _ratios(bench: dict[str, Any]) -> str:
    return f"{bench['ratio']['baked_over_bare']:.3f} / {bench['ratio']['naive_over_bare']:.3f}"


def _report(out: Path, result: dict[str, Any], progress: TerminalProgress) -> str:
    from neuroprompt.report.write import write_report

    runs, onnx, lava = out / "runs", out / "onnx", out / "lava"
    known: dict[str, dict[str, Any]] = {
        str(runs / method): {"accuracy": figures} for method, figures in result["accuracy"].items()
    }
    known |= {str(onnx): {"latency": result["bench"]}, str(lava): {"verify": result["verify"]}}
    what = [runs / "spike-nvpt", onnx, lava, runs / "linear"]
    command = ["neuroprompt", "demo", "--out", str(out)]
    written = write_report(what, out / "report.html", known=known, command=command, progress=progress)
    return str(written["report"])
