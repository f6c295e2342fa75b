"""`neuroprompt run`: run an exported bundle, images in ONNX Runtime or spikes on the Lava simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table
from neuroprompt.errors import BadSetting


@app.command(
    epilog=examples(
        "run out/onnx cat.jpg dog.png",
        "run out/lava --precision fixed",
        "run out/lava --precision float --out spikes.npz",
        "run out/lava cat.jpg --target loihi",
    )
)
def run(
    bundle: Annotated[Path, typer.Argument(help="A bundle of 'neuroprompt export'.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Images or folders; for prompts made once and Lava, none."),
    ] = None,
    precision: Annotated[str, typer.Option(help="fixed (Loihi's integers) or float, for a Lava bundle.")] = "fixed",
    target: Annotated[str, typer.Option(help="Which target runs a Lava bundle: lava, loihi, ...")] = "lava",
    lanes: Annotated[int, typer.Option(help="Images side by side on the target.")] = 8,
    out: Annotated[Path | None, typer.Option(help="Write the spikes here, as .npz.")] = None,
    json: Json = False,
) -> None:
    """Run a bundle for real: labels and probabilities, or spikes."""
    opened = Bundle.open(bundle)
    if opened.kind == "onnx":
        _run_images(opened, images or [], json)
    elif opened.about.get("per_image"):
        _run_hybrid(opened, images or [], (target, precision, lanes), out, json)
    else:
        _run_spikes(opened, target, precision, out, json)


def _run_images(bundle: Bundle, images: list[Path], json: bool) -> None:
    from neuroprompt.bundles.predict import predict

    if not images:
        raise BadSetting("no images", "at least one after the bundle", f"neuroprompt run {bundle.folder} cat.jpg")
    with stdout_is_ours():
        results = predict(bundle, images, TerminalProgress())
    rows = [(r["file"], r["label"], f"{r['probability']:.1%}") for r in results]
    emit({"images": results}, json, table("ONNX Runtime", ("image", "label", "probability"), rows))


def _run_hybrid(bundle: Bundle, images: list[Path], how: tuple[str, str, int], out: Path | None, json: bool) -> None:
    from neuroprompt.bundles.pipeline import Pipeline

    if not images:
        raise BadSetting("no images", "at least one after the bundle", f"neuroprompt run {bundle.folder} cat.jpg")
    if out is not None:
        raise BadSetting(f"--out {out}", "a bundle whose spikes are the same for every image")
    target, precision, lanes = how
    with stdout_is_ours():
        results = Pipeline(bundle, target, precision, lanes).predict(images, TerminalProgress())
    columns = ("image", "label", "probability", "spikes a step")
    rows = [(r["file"], r["label"], f"{r['probability']:.1%}", f"{r['spike_density']:.3f}") for r in results]
    found = {"target": target, "precision": precision, "images": results}
    emit(found, json, table(f"ONNX Runtime, with {target} ({precision}) between", columns, rows))


def _run_spikes(bundle: Bundle, target: str, precision: str, out: Path | None, json: bool) -> None:
    import numpy as np

    from neuroprompt.bundles.contents import load_tried
    from neuroprompt.compiler.lower import stimulus
    from neuroprompt.contracts.deployment import SpikingTarget

    machine = SpikingTarget.named(target)
    if precision not in machine.precisions:
        runs = "/".join(machine.precisions)
        raise BadSetting(f"--target {target} --precision {precision}", f"a precision it has ({target} runs {runs})")
    with stdout_is_ours():
        model, own, _ = load_tried(bundle)
        recording = machine.run(model, stimulus(model.float_program) if own is None else own, precision)
    nodes = {
        name: {
            "neurons": int(spikes.shape[1]),
            "steps": int(spikes.shape[0]),
            "spikes": int(spikes.sum()),
            "rate": float(spikes.mean()),
        }
        for name, spikes in recording.spikes.items()
    }
    if out is not None:
        arrays: dict[str, Any] = dict(recording.spikes)
        np.savez_compressed(out, allow_pickle=False, **arrays)
    rows = [(name, n["neurons"], n["steps"], n["spikes"], f"{n['rate']:.3f}") for name, n in nodes.items()]
    emit(
        {"target": target, "precision": precision, "nodes": nodes, "seconds": recording.seconds},
        json,
        table(f"{target}, {precision}", ("population", "neurons", "steps", "spikes", "spikes a step"), rows),
        f"{recording.seconds:.2f} s" + (f", spikes in {out}" if out else ""),
    )
