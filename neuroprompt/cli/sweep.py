"""`neuroprompt sweep`: a grid of training runs over seeds, rates chosen on validation, compared on test images."""

from __future__ import annotations

import dataclasses
import shlex
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main

from neuroprompt.cli._app import app
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, notes, settings, stdout_is_ours, table
from neuroprompt.cli._panels import panels
from neuroprompt.cli._recipe import completed
from neuroprompt.cli.train import config_of
from neuroprompt.errors import BadSetting
from neuroprompt.plugin import names_in

if TYPE_CHECKING:
    from neuroprompt.sweeps.cells import Point
    from neuroprompt.sweeps.plan import Plan
    from neuroprompt.sweeps.result import Sweep

_LAUNCH = ("device", "devices", "strategy", "precision")
"""Options of `train` that decide where a run computes, not what."""
_OURS = ("out", "seed", "json", "help-settings", "nodes", *_LAUNCH)
"""Options of `train` that no grid may have."""


@app.command(
    cls=panels(
        comparison="grid seeds search-seeds choose noise", machines="engine engine-set at-once threads gpus hours"
    ),
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=examples(
        "sweep --grid method=linear,vpt-deep,spike-nvpt --grid lr=3e-3,1e-2 --seeds 5 --epochs 5 --out sweeps/x",
        "sweep --grid tokens=5,10,50 --seeds 3 --method spike-nvpt --noise gaussian:0.1 --out sweeps/tokens",
        "sweep --grid method=linear,spike-nvpt --seeds 5 --out sweeps/x --dry-run",
        "sweep --grid method=vpt-deep,spike-nvpt --seeds 5 --gpus 1 --device cuda --out sweeps/gpu",
    ),
)
def sweep(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder of the sweep; the same line again continues.")],
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V1,V2",
            help="Values of an option of train, or of a setting of the method; repeatable: all combinations.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each point, from --seed on.")] = 3,
    search_seeds: Annotated[int | None, typer.Option(help="Seeds whose runs choose the rates (default: all).")] = None,
    choose: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="A key of the grid that validation images choose instead of being compared (default: lr and "
            "prompt-lr); repeatable.",
        ),
    ] = None,
    noise: Annotated[
        list[str] | None, typer.Option(help="Test under this noise, too; as in 'neuroprompt eval'; repeatable.")
    ] = None,
    engine: Annotated[
        str, typer.Option(help=f"Where the runs compute: {', '.join(names_in('neuroprompt.engines'))}.")
    ] = "local",
    engine_words: Annotated[
        list[str] | None,
        typer.Option("--engine-set", metavar="KEY=VALUE", help="A setting of the engine; repeatable."),
    ] = None,
    at_once: Annotated[int | None, typer.Option(help="Runs at once (default: as many as there is room for).")] = None,
    threads: Annotated[int, typer.Option(help="Threads of each run.")] = 1,
    gpus: Annotated[int | None, typer.Option(help="GPUs of each run alone (default: what it sees).")] = None,
    hours: Annotated[float, typer.Option(help="Time limit of each run.")] = 24.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the cells, and run nothing.")] = False,
    json: Json = False,
) -> None:
    """Train every point of a grid with several seeds, each in a process of its own, and compare them.

    Takes every option of 'neuroprompt train', too. Validation images choose the rates; test images only compare the
    chosen ones. Ends with accuracies and paired differences, also in --out as text, CSV, JSON and figure. A run that
    fails is listed with its log, and the exit code is 1 once the others are done.
    """
    from neuroprompt.contracts.work import Engine, Resources
    from neuroprompt.sweeps.plan import RATES, make_plan
    from neuroprompt.sweeps.sweep import sweep as run_sweep

    resources = Resources(threads, gpus, at_once, hours)
    typed = Engine.typed(engine, settings(engine_words or [], "--engine-set", "address=auto"))
    if seeds < 1:
        raise BadSetting(f"seeds {seeds}", "at least 1")
    base = _parsed(ctx.args)
    points = _points(ctx.args, _values(grid or []))
    of_plan: dict[str, Any] = {
        "seeds": range(base["seed"], base["seed"] + seeds),
        "search_seeds": search_seeds,
        "noises": noise or [],
        "choose": choose or RATES,
        "launch": [word for key in _LAUNCH for word in (f"--{key}", str(base[key]))],
    }
    if dry_run:
        _show_plan(make_plan(points, out, **of_plan), json)
        return
    with stdout_is_ours():
        result = run_sweep(
            points,
            out,
            **of_plan,
            engine=engine,
            engine_settings=typed,
            resources=resources,
            progress=TerminalProgress(),
        )
    _show(result, json)
    if result.failed:
        raise typer.Exit(1)


def _show(result: Sweep, json: bool) -> None:
    from neuroprompt.sweeps.write import pair_rows, table_rows

    tables = [table("accuracy on test images (%), mean and deviation over seeds", *table_rows(result))]
    if result.pairs:
        tables.append(table("differences in points, paired by seed", *pair_rows(result)))
    failed = [(f.cell, f.error, f.log) for f in result.failed]
    emit(
        result.json(),
        json,
        f"{result.done} of {result.cells} runs are done, in {result.out}",
        *(tables if result.table else []),
        *([table("failed", ("run", "what happened", "log"), failed)] if failed else []),
    )
    if failed:
        notes.print(f"{len(failed)} of {result.cells} runs failed; the same line again tries them again", markup=False)


def _show_plan(plan: Plan, json: bool) -> None:
    cells = [(cell.name, cell.metrics is not None, shlex.join(cell.train_task().words)) for cell in plan.searched]
    later = plan.count - len(cells)
    done = sum(is_done for _, is_done, _ in cells)
    rows = [(name, "done" if is_done else "waiting") for name, is_done, _ in cells]
    result = {
        "cells": plan.count,
        "done": done,
        "failed": [],
        "table": [],
        "pairs": [],
        "plan": [{"cell": n, "done": is_done, "command": f"neuroprompt {words}"} for n, is_done, words in cells],
    }
    more = [f"and {later} more, at the rates that these choose"] if later else []
    emit(result, json, table(f"{plan.count} runs", ("run", ""), rows), *more)


def _values(words: list[str]) -> dict[str, list[str]]:
    """The grid as typed: values by key."""
    values: dict[str, list[str]] = {}
    for word in words:
        key, equals, listed = word.partition("=")
        key = key.strip().lstrip("-").replace("_", "-")
        of_key = [value.strip() for value in listed.split(",")]
        if not equals or not key or not all(of_key):
            raise BadSetting(f"--grid {word!r}", "KEY=VALUE,VALUE", "for example --grid lr=3e-3,1e-2")
        if key in _OURS:
            raise BadSetting(
                f"--grid {word!r}", "another option", "--seeds 5 gives five seeds" if key == "seed" else ""
            )
        if key in values:
            raise BadSetting(f"--grid {key} twice", "all its values in one list")
        values[key] = of_key
    return values


def _points(words: list[str], values: dict[str, list[str]]) -> list[Point]:
    """A point for each combination; what is no option of train is a setting of the method."""
    from neuroprompt.sweeps.cells import Point

    options = {name for option in _train_command().params for name in option.opts}
    flags = {name for option in _train_command().params if getattr(option, "is_flag", False) for name in option.opts}
    points = []
    for combination in product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        more: list[str] = []
        for key, value in chosen.items():
            if f"--{key}" in flags:
                raise BadSetting(f"--grid {key}", "an option with a value", f"--{key} is on or off for all")
            more += [f"--{key}", value] if f"--{key}" in options else ["--set", f"{key}={value}"]
        # The runs of a sweep are trained by commands that spell every option out.
        points.append(Point(chosen, dataclasses.replace(config_of(_parsed([*words, *more])), recipe="")))
    return points


def _parsed(words: list[str]) -> dict[str, Any]:
    """The options of `train` in these words, by parameter; raises BadSetting."""
    fix = "see 'neuroprompt sweep --help' and 'neuroprompt train --help'"
    try:
        context = _train_command().make_context("train", list(words))
    except Exception as error:  # click's, whichever click typer brings
        said = getattr(error, "format_message", None)
        if said is None:
            raise
        raise BadSetting(said().rstrip("."), "options of sweep and train", fix) from error
    return completed(context)


def _train_command() -> Any:
    return typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
