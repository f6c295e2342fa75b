"""`neuroprompt targets`: which machines and simulators are at hand, and how to get the others."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, emit, examples, notes, table

targets = typer.Typer(help="List the targets, or install the runtime of one.", no_args_is_help=True)
app.add_typer(targets, name="targets")


@targets.command(name="list", epilog=examples("targets list", "targets list --json"))
def list_targets(json: Json = False) -> None:
    """What is installed, how, in which precisions, and what to type for the rest."""
    from neuroprompt.contracts.deployment import SpikingTarget, Target
    from neuroprompt.simulators.nir_support import supported

    listed: dict[str, dict[str, Any]] = {}
    spiking = SpikingTarget.names()
    for name in Target.names():
        part = Target.part(name)
        at_hand = part.available()
        listed[name] = {
            "available": at_hand.ok,
            "version": at_hand.version,
            "how": at_hand.how,
            "runs": "spikes" if name in spiking else "images",
            "precisions": list(SpikingTarget.part(name).precisions) if name in spiking else ["float"],
            "about": part.about,
            "fix": at_hand.fix,
        }
        if name in spiking:
            listed[name]["supports"] = supported(SpikingTarget.named(name)).json()
    rows: list[tuple[str, ...]] = [
        (
            name,
            "yes" if t["available"] else "no",
            t["version"],
            t["how"],
            ", ".join(t["precisions"]) if name in spiking else "images",
        )
        for name, t in listed.items()
    ]
    lines = [f"{name}: {t['about']}" + ("" if t["available"] else f" ({t['fix']})") for name, t in listed.items()]
    columns = ("target", "here", "version", "how", "runs")
    emit({"targets": listed}, json, table("targets", columns, rows), *lines, "", _support(listed))


def _support(listed: dict[str, dict[str, Any]]) -> Table:
    """The targets that reject a graph of each kind; one row for what all of them run."""
    matrix = {name: t["supports"] for name, t in listed.items() if "supports" in t}
    rejected = {
        feature: ", ".join(name for name, reasons in matrix.items() if reasons[feature])
        for feature in next(iter(matrix.values()))
    }
    rows = [(", ".join(feature for feature, by in rejected.items() if not by), "none")]
    rows += [(feature, by) for feature, by in rejected.items() if by]
    return table("what of NIR runs (--json says why not)", ("a graph with", "does not run on"), rows)


@targets.command(name="install", epilog=examples("targets install lava"))
def install(
    name: Annotated[str, typer.Argument(help="A target of 'neuroprompt targets list'.")], json: Json = False
) -> None:
    """Build the runtime that a target needs, in your cache folder; nothing else is touched."""
    from neuroprompt.contracts.deployment import Target

    part = Target.part(name)
    with notes.status(f"installing {name} ..."):
        part.install()
    at_hand = part.available()
    emit(
        {"target": name, "available": at_hand.ok, "version": at_hand.version, "how": at_hand.how},
        json,
        f"{name} {at_hand.version}: {at_hand.how}",
    )
