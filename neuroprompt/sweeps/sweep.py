"""Runs a sweep on an engine: trains every cell, chooses the rates on validation images, and tests the chosen ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from neuroprompt.contracts.work import Ended, Engine, Resources, Task
from neuroprompt.locks import one_writer
from neuroprompt.progress import SILENT, Progress
from neuroprompt.sweeps.cells import Cell, Point
from neuroprompt.sweeps.plan import RATES, Plan, make_plan
from neuroprompt.sweeps.result import Failed, Sweep, gather
from neuroprompt.sweeps.write import write


def sweep(
    points: Sequence[Point],
    out: Path | str,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    search_seeds: int | None = None,
    noises: Sequence[str] = (),
    choose: Sequence[str] = RATES,
    launch: Sequence[str] = (),
    engine: str = "local",
    engine_settings: Mapping[str, Any] | None = None,
    resources: Resources | None = None,
    progress: Progress = SILENT,
) -> Sweep:
    """Train every point with every seed, each a process of its own, and compare what they reach on test images.

    Points that differ only in the settings of `choose` form a group, of which the best mean accuracy on validation
    images chooses one, by the first `search_seeds` of the seeds (all by default); only the chosen runs see the test
    images, clean and under `noises`. `launch` are options of `neuroprompt train` beside the configuration. The folder
    `out` holds runs, logs, and the table as text, CSV, JSON and figure. What is there already is not done again. A cell
    that fails is listed, and stops no other.

    Raises BadSetting, BadData, UnknownName, RuntimeMissing, BadCheckpoint, CannotWrite.
    """
    plan = make_plan(points, out, seeds=seeds, search_seeds=search_seeds, noises=noises, choose=choose, launch=launch)
    run_by = Engine.named(engine, **(engine_settings or {}))
    with one_writer(plan.out):
        failed = _carry_out(plan, run_by, resources or Resources(), progress)
        result = gather(plan, failed)
        write(result)
    return result


def _carry_out(plan: Plan, engine: Engine, resources: Resources, progress: Progress) -> list[Failed]:
    """Train and test; a failed cell is tried once a call."""
    failed: dict[str, Failed] = {}

    def run(tasks: Iterable[Task]) -> Iterator[Ended]:
        waiting = [task for task in tasks if task.name not in failed]
        if not waiting:
            return
        with closing(engine.run(waiting, resources)) as ended:
            for end in ended:
                if end.error:
                    failed[end.task.name] = Failed(end.task.name, end.error, end.task.log)
                    progress.say(f"{end.task.name} failed: {end.error} (log: {end.task.log})")
                yield end

    def training() -> Iterator[Ended]:
        yield from run(cell.train_task() for cell in plan.searched if cell.metrics is None)
        yield from run(cell.train_task() for cell in _chosen(plan) if cell.metrics is None)

    known = [*plan.searched, *_chosen(plan)]
    finished = {cell.name for cell in known if cell.metrics is not None}
    left = plan.count - len(finished)
    if finished:
        progress.say(f"{len(finished)} of {plan.count} runs are there already")
    _exhaust(progress.track(training(), "runs", left))
    waiting = [cell for cell in _chosen(plan) if cell.metrics is not None and cell.tested(plan.noises) is None]
    _exhaust(progress.track(run(cell.test_task(plan.noises) for cell in waiting), "tests", len(waiting)))
    return list(failed.values())


def _chosen(plan: Plan) -> list[Cell]:
    """The cells at the chosen rates, of groups that have one."""
    points = [(group, plan.choice(group)) for group in plan.groups]
    return [cell for group, point in points if point is not None for cell in plan.chosen(group, point)]


def _exhaust(items: Iterable[object]) -> None:
    for _ in items:
        pass
