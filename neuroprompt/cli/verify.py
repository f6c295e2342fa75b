"""`neuroprompt verify`: every target at hand against the reference, spike by spike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table
from neuroprompt.errors import BadData, BadSetting

if TYPE_CHECKING:
    from neuroprompt.contracts import Floats
    from neuroprompt.program import Model


@app.command(
    epilog=examples(
        "verify out/lava",
        "verify out/lava --targets snntorch,lava --json",
        "verify graph.nir --steps 100 --input poisson:0.2",
        "verify graph.nir --input spikes.npy",
    )
)
def verify(
    what: Annotated[Path, typer.Argument(help="A Lava bundle, or a .nir file.")],
    targets: Annotated[str | None, typer.Option(help="Only these, comma-separated (default: all at hand).")] = None,
    steps: Annotated[int | None, typer.Option(help="Time steps, for a .nir file and random spikes.")] = None,
    drive: Annotated[
        str,
        typer.Option("--input", metavar="poisson:RATE|FILE", help="For a .nir file: random spikes, or a .npy (T, n)."),
    ] = "poisson:0.5",
    seed: Annotated[int, typer.Option(help="Seed of the random input spikes.")] = 0,
    json: Json = False,
) -> None:
    """Run every target at hand and compare it with the reference, spike by spike.

    Exit code 1 where a float target differs from the reference, or Lava's integers from our emulator's.
    """
    from neuroprompt.measure import verify as verify_model

    with stdout_is_ours():
        model, inputs = _model(what, steps, drive, seed)
        names = [name.strip() for name in targets.split(",")] if targets else None
        result = verify_model(model, inputs, names, TerminalProgress())
    rows = [
        (
            name,
            f"{r['spike_exact']:.4%}",
            f"{r['jaccard']:.4f}",
            _mismatch(r["first_mismatch"]),
            r["spikes"],
            f"{r['seconds']:.2f}",
        )
        for name, r in result["targets"].items()
    ]
    reference = result["reference"]
    lines = [line for name, found in result["targets"].items() for line in _differences(name, found)]
    lines += [f"skipped {name}: {why}" for name, why in result["skipped"].items()]
    columns = ("target", "spike exact", "jaccard", "first mismatch", "spikes", "seconds")
    emit(result, json, table(f"against the reference ({reference['spikes']} spikes)", columns, rows), *lines)
    if not _agrees(result["targets"]):
        raise typer.Exit(1)


def _model(what: Path, steps: int | None, drive: str, seed: int) -> tuple[Model, Floats | None]:
    from neuroprompt.bundle import Bundle
    from neuroprompt.bundled import load_tried
    from neuroprompt.deploy import floats_of_graph
    from neuroprompt.graph import read_graph

    if what.is_dir():
        return load_tried(Bundle.open(what))[:2]
    graph = read_graph(what)
    inputs = _driven(graph, steps, drive, seed)
    return floats_of_graph(graph, inputs), inputs


def _driven(graph: Any, steps: int | None, drive: str, seed: int) -> Floats:
    """Random spikes for `steps` steps, or what a file of the user's holds: finite numbers, (T, n)."""
    import numpy as np

    from neuroprompt.graph import chain, steps_of

    lines = int(np.prod(chain(graph)[0][1].input_type["input"]))
    kind, _, rate = drive.partition(":")
    if kind == "poisson":
        try:
            chance = float(rate)
        except ValueError:
            chance = -1.0
        if not 0 <= chance <= 1:
            raise BadSetting(f"--input {drive}", "poisson: and a rate from 0 to 1, such as poisson:0.2")
        shape = (steps_of(graph) if steps is None else steps, lines)
        return (np.random.default_rng(seed).random(shape) < chance).astype(np.float64)
    try:
        inputs: Floats = np.load(drive, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError, EOFError, AttributeError) as error:
        raise BadData(
            f"--input {drive} cannot be read ({error})", "a .npy of numbers (T, n), or poisson:RATE"
        ) from error
    if inputs.ndim != 2 or inputs.shape[1] != lines or not len(inputs) or not np.isfinite(inputs).all():
        raise BadData(f"--input {drive} holds shape {inputs.shape}", f"finite numbers of shape (T, {lines})")
    return inputs


def _differences(target: str, found: dict[str, Any]) -> list[str]:
    """What is known of a target that is not equal: its cause, and its nodes where there are several."""
    if found["spike_exact"] == 1.0:
        return []
    lines = [f"{target}: {found['cause'] or 'differs for no known cause'}"]
    if len(found["nodes"]) > 1:
        lines += [
            f"  {name}: {node['spike_exact']:.4%} spike exact, jaccard {node['jaccard']:.4f}, "
            f"rate cosine {node['rate_cosine']:.4f}, first mismatch {_mismatch(node['first_mismatch'])}"
            for name, node in found["nodes"].items()
        ]
    return lines


def _agrees(targets: dict[str, dict[str, Any]]) -> bool:
    """Float targets with the reference and fixed ones with the emulator; integers may differ from the reference."""
    return all(
        found.get("exact_with_emulator", found["spike_exact"]) == 1.0
        for name, found in targets.items()
        if name != "loihi-fixed"
    )


def _mismatch(found: dict[str, Any] | None) -> str:
    return "none" if found is None else f"{found['node']} step {found['step']} neuron {found['neuron']}"
