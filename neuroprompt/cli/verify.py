"""`neuroprompt verify`: every target at hand against the reference, spike by spike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table
from neuroprompt.errors import BadSetting

if TYPE_CHECKING:
    from neuroprompt.contracts import Floats
    from neuroprompt.program import Model


@app.command(
    epilog=examples(
        "verify out/lava",
        "verify out/lava --targets snntorch,lava --json",
        "verify graph.nir --steps 100",
    )
)
def verify(
    what: Annotated[Path, typer.Argument(help="A Lava bundle, or a .nir file.")],
    targets: Annotated[str | None, typer.Option(help="Only these, comma-separated (default: all at hand).")] = None,
    steps: Annotated[int | None, typer.Option(help="Time steps, for a .nir file.")] = None,
    rate: Annotated[float, typer.Option(help="Rate of the random input spikes, for a .nir file.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Seed of the random input spikes.")] = 0,
    json: Json = False,
) -> None:
    """Run every target at hand and compare it with the reference, spike by spike.

    Exit code 1 where a float target differs from the reference, or Lava's integers from our emulator's.
    """
    from neuroprompt.measure import verify as verify_model

    with stdout_is_ours():
        model, inputs = _model(what, steps, rate, seed)
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
    lines = [f"skipped {name}: {why}" for name, why in result["skipped"].items()]
    columns = ("target", "spike exact", "jaccard", "first mismatch", "spikes", "seconds")
    emit(result, json, table(f"against the reference ({reference['spikes']} spikes)", columns, rows), *lines)
    if not _agrees(result["targets"]):
        raise typer.Exit(1)


def _model(what: Path, steps: int | None, rate: float, seed: int) -> tuple[Model, Floats | None]:
    import numpy as np

    from neuroprompt.bundle import Bundle
    from neuroprompt.bundled import load_tried
    from neuroprompt.deploy import model_of_graph
    from neuroprompt.graph import chain, read_graph, steps_of

    if what.is_dir():
        return load_tried(Bundle.open(what))[:2]
    if not 0 <= rate <= 1:
        raise BadSetting(f"--rate {rate}", "a probability from 0 to 1")
    graph = read_graph(what)
    lines = int(np.prod(chain(graph)[0][1].input_type["input"]))
    shape = (steps_of(graph) if steps is None else steps, lines)
    inputs = (np.random.default_rng(seed).random(shape) < rate).astype(np.float64)
    return model_of_graph(graph, shape[0], inputs), inputs


def _agrees(targets: dict[str, dict[str, Any]]) -> bool:
    """Float targets with the reference and fixed ones with the emulator; integers may differ from the reference."""
    return all(
        found.get("exact_with_emulator", found["spike_exact"]) == 1.0
        for name, found in targets.items()
        if name != "loihi-fixed"
    )


def _mismatch(found: dict[str, Any] | None) -> str:
    return "none" if found is None else f"{found['node']} step {found['step']} neuron {found['neuron']}"
