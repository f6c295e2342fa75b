"""`neuroprompt verify`: every target at hand against the reference, spike by spike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._graphs import SplitSigns, driven_graph
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table
from neuroprompt.errors import BadSetting

if TYPE_CHECKING:
    from neuroprompt.contracts.deployment import Floats
    from neuroprompt.spiking.program import SpikingModel

VALUES = 1e-4
"""How far values of nodes that never fire may be off, of the largest: some simulators compute in float32."""


@app.command(
    epilog=examples(
        "verify out/lava",
        "verify out/lava --targets snntorch,lava --json",
        "verify graph.nir --steps 100 --input poisson:0.2",
        "verify graph.nir --input spikes.npy --figure verify.png",
    )
)
def verify(
    what: Annotated[Path, typer.Argument(metavar="BUNDLE|GRAPH.nir", help="A Lava bundle, or a NIR file.")],
    targets: Annotated[str | None, typer.Option(help="Only these, comma-separated (default: all at hand).")] = None,
    steps: Annotated[int | None, typer.Option(help="Time steps, for a .nir file and random spikes.")] = None,
    drive: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="poisson:RATE|FILE",
            help="Random spikes, or a .npy (T, n) (default: poisson:0.5 for a .nir file, a bundle's own for a bundle).",
        ),
    ] = None,
    dt: Annotated[float | None, typer.Option(help="A graph's time step, seconds (default: its own, or 1e-4).")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random input spikes.")] = 0,
    split_signs: SplitSigns = False,
    figure: Annotated[Path | None, typer.Option(help="Draw the result: a .png or .svg file.")] = None,
    json: Json = False,
) -> None:
    """Run every target at hand and compare it with the reference, spike by spike, over all and node by node.

    Exit code 1 where a float target differs from the reference, or Lava's integers from our emulator's, or one broke.
    """
    from neuroprompt.contracts.deployment import Recording
    from neuroprompt.report.verify_figure import FORMS, draw_verified
    from neuroprompt.simulators.verify import verify as verify_model

    if figure is not None and figure.suffix not in FORMS:
        raise BadSetting(f"--figure {figure}", f"a file that ends in {' or '.join(FORMS)}")
    recordings: dict[str, Recording] = {}
    with stdout_is_ours():
        model, inputs = _model(what, steps, drive, dt, seed, split_signs)
        names = [name.strip() for name in targets.split(",")] if targets else None
        result = verify_model(model, inputs, names, TerminalProgress(), recordings)
        if figure is not None:
            draw_verified(result, recordings, figure)
    rows = [row for name, found in result["targets"].items() for row in _rows(name, found)]
    reference = result["reference"]
    lines = [line for name, found in result["targets"].items() for line in _differences(name, found)]
    lines += _of_the_chip(result["targets"])
    lines += [f"{what} {name}: {why}" for what in ("skipped", "failed") for name, why in result[what].items()]
    lines += [f"figure in {figure}"] if figure is not None else []
    columns = ("target, node", "exact", "jaccard", "rate cosine", "first (step, neuron)", "spikes", "s")
    title = f"against the reference ({reference['spikes']} spikes in {reference['steps']} steps)"
    emit(result, json, table(title, columns, rows), *lines)
    if result["failed"] or not _agrees(result["targets"]):
        raise typer.Exit(1)


def _model(
    what: Path, steps: int | None, drive: str | None, dt: float | None, seed: int, split_signs: bool
) -> tuple[SpikingModel, Floats | None]:
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.bundles.contents import load_tried
    from neuroprompt.compiler.compile import floats_of_graph
    from neuroprompt.compiler.stimuli import inputs_of

    if not what.is_dir():
        graph, inputs = driven_graph(what, steps, drive or "poisson:0.5", dt, seed)
        return floats_of_graph(graph, inputs, split_signs=split_signs), inputs
    if dt is not None or split_signs or (steps is not None and drive is None):
        raise BadSetting("--dt, --split-signs or --steps for a bundle", "a .nir file", "a bundle has its own")
    model, own, _ = load_tried(Bundle.open(what))
    return model, own if drive is None else inputs_of(drive, model.float_program.inputs, model.steps, seed)


def _rows(target: str, found: dict[str, Any]) -> list[tuple[object, ...]]:
    """One for all of a target, and where it has several nodes one for each."""
    rows: list[tuple[object, ...]] = [(*_row(target, found), f"{found['seconds']:.2f}")]
    if len(found["nodes"]) > 1:
        rows += [(*_row(f"  {name}", node), "") for name, node in found["nodes"].items()]
    for name, node in found["values"].items():
        rows.append((f"  {name}", f"values within {node['max_rel_diff']:.1e}", "", "", "", "", ""))
    return rows


def _row(name: str, found: dict[str, Any]) -> tuple[object, ...]:
    exact = "100%" if found["spike_exact"] == 1.0 else f"{found['spike_exact']:.4%}"
    first = found["first_mismatch"]
    where = "none" if first is None else f"{first['step']}, {first['neuron']}"
    return (name, exact, f"{found['jaccard']:.4f}", f"{found['rate_cosine']:.4f}", where, found["spikes"])


def _differences(target: str, found: dict[str, Any]) -> list[str]:
    """What is known of a target that is not equal, and both potentials where it first differs."""
    if found["spike_exact"] == 1.0:
        return []
    line, first = f"{target}: {found['cause'] or 'differs for no known cause'}", found["first_mismatch"]
    if first is not None and first["v"] is not None and first["reference_v"] is not None:
        line += f" (at {_mismatch(first)}: potential {first['v']:g}, the reference's {first['reference_v']:g})"
    return [line]


def _of_the_chip(targets: dict[str, dict[str, Any]]) -> list[str]:
    """What integers agree with, and the delays that were taken out before spikes were compared."""
    lines = []
    for name, found in targets.items():
        if "exact_with_emulator" in found:
            states = found["states_exact_with_emulator"]
            what = {True: "spikes, u and v", False: "spikes, but not all states", None: "spikes"}[states]
            exact = found["exact_with_emulator"]
            lines.append(
                f"{name}: " + (f"{what} as the emulator's" if exact == 1.0 else f"{exact:.4%} as the emulator")
            )
    late = {node: steps for found in targets.values() for node, steps in found["delay"].items() if steps}
    if late:
        nodes = ", ".join(f"{node} {steps}" for node, steps in late.items())
        lines.append(f"delays taken out of Loihi's targets, in steps (a layer of synapses costs one): {nodes}")
    return lines


def _agrees(targets: dict[str, dict[str, Any]]) -> bool:
    """Float targets with the reference and fixed ones with the emulator; integers may differ from the reference."""
    return all(
        found.get("exact_with_emulator", found["spike_exact"]) == 1.0
        and (fixed or all(value["max_rel_diff"] < VALUES for value in found["values"].values()))
        for name, found in targets.items()
        if name != "loihi-fixed"
        for fixed in ("exact_with_emulator" in found,)
    )


def _mismatch(found: dict[str, Any] | None) -> str:
    return "none" if found is None else f"{found['node']} step {found['step']} neuron {found['neuron']}"
