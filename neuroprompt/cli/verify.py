"""`neuroprompt verify`: every target at hand against the reference, spike by spike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table

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
    from neuroprompt.compiler.flat import flatten
    from neuroprompt.compiler.read import read_graph
    from neuroprompt.deploy import floats_of_graph
    from neuroprompt.graph import steps_of
    from neuroprompt.stimuli import POISSON, inputs_of

    if what.is_dir():
        return load_tried(Bundle.open(what))[:2]
    graph = read_graph(what)
    given = steps if steps is not None or not drive.startswith(POISSON) else steps_of(graph)
    inputs = inputs_of(drive, flatten(graph).lines, given, seed)
    return floats_of_graph(graph, inputs), inputs


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
