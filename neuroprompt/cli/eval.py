"""`neuroprompt eval`: accuracy of one run or of several seeds, on clean, noisy and corrupted images and elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from neuroprompt.cli._app import app
from neuroprompt.cli._data_set import EngineName, EngineWords, Shards, ShardWord, Work, split_of
from neuroprompt.cli._output import Json, TerminalProgress, emit, examples, stdout_is_ours, table

if TYPE_CHECKING:
    from neuroprompt.training.accuracy import Accuracies, Accuracy


@app.command(
    name="eval",
    epilog=examples(
        "eval runs/digits",
        "eval runs/digits --noise gaussian:0.1 --noise motion_blur:3",
        "eval runs/digits --noise imagenet-c --csv corruptions.csv",
        "eval runs/photos --ood folder:sketches --json",
        "eval runs/seed0 runs/seed1 runs/seed2 --noise all --json",
        "eval runs/photos --noise imagenet-c --engine local --shards 8 --work shards",
    ),
)
def evaluate(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run folders of 'neuroprompt train'; several differ in their seed alone."
        ),
    ],
    noise: Annotated[
        list[str] | None,
        typer.Option(
            help="gaussian:SIGMA, salt-pepper:P, blur:SIGMA, jpeg:QUALITY, or 'all' of them; TYPE:SEVERITY of "
            "ImageNet-C (motion_blur:3), or 'imagenet-c', all 15 types at 5 severities; repeatable."
        ),
    ] = None,
    ood: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA",
            help="Another data set, e.g. folder:PATH, with some of the run's classes by name; repeatable. "
            "The class is chosen among those that it has.",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="test or val.")] = "test",
    data: Annotated[
        str | None,
        typer.Option(help="A data set of the same classes in place of the run's, or where its folder is now."),
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="The best epoch by validation, of a run trained with --best.")
    ] = False,
    weights: Annotated[Path | None, typer.Option(help="The backbone's weights, where the file has moved.")] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a row for every run and accuracy there, too.")
    ] = None,
    engine: EngineName = None,
    engine_words: EngineWords = None,
    shards: Shards = None,
    work: Work = None,
    shard: ShardWord = None,
    json: Json = False,
) -> None:
    """Accuracy on the test images, clean and with noise added before normalisation.

    Several runs of one configuration with different seeds: mean and sample standard deviation.
    """
    from neuroprompt.bundles.eval_run import evaluate_in_shards, evaluate_shard
    from neuroprompt.bundles.shards import Shard
    from neuroprompt.errors import CannotWrite
    from neuroprompt.training.evaluation import evaluate as evaluate_run
    from neuroprompt.training.run_folder import Run
    from neuroprompt.training.seeds import evaluate_seeds, save_csv

    if csv is not None and (csv.is_dir() or not csv.absolute().parent.is_dir()):  # known before an hour's work
        raise CannotWrite(f"cannot write {csv}", "a file in a folder that exists", "choose another --csv")
    progress, in_shards = TerminalProgress(), split_of(engine, engine_words, shards, work)
    with stdout_is_ours():
        loaded = [Run.load(run, weights, best=best) for run in runs]
        if shard is not None:
            evaluate_shard(Shard.parse(shard), loaded[0], noise or [], split, data, ood=ood or [])
            return

        def by(run: Run) -> Accuracy:
            if in_shards is None:
                return evaluate_run(run, noise or [], split, data, ood=ood or [], progress=progress)
            of: dict[str, Any] = {"best": best, "weights": weights, "data": data}
            return evaluate_in_shards(run, in_shards, noise or [], split, ood=ood or [], **of, progress=progress)

        if len(loaded) == 1:
            accuracy = by(loaded[0])
            accuracies, result = [accuracy], accuracy.json()
            columns = [accuracy.shares]
        else:
            seeds = evaluate_seeds(loaded, by=by, progress=progress)
            accuracies, result = [run.accuracy for run in seeds.runs], seeds.json()
            columns = [seeds.mean, seeds.std]
        if csv is not None:
            save_csv(loaded, accuracies, csv)
    several = f", {len(loaded)} seeds" if len(loaded) > 1 else ""
    title = f"{loaded[0].config.method} on {accuracies[0].images} images{several}"
    emit(result, json, *_tables(title, columns))


def _tables(title: str, columns: Sequence[Accuracies]) -> list[Table]:
    """The accuracies, with their deviations where there are several runs, and one table of all corruptions."""
    of_all = [_rows(accuracies) for accuracies in columns]
    rows = [(name, *(f"{values[name]:.1%}" for values in of_all)) for name in of_all[0]]
    tables = [table(title, ("images", "accuracy", "std")[: 1 + len(of_all)], rows)]
    noise, corruption = columns[0].noise, columns[0].corruption
    if corruption is not None:
        cells = [
            (kind, *(_percent(noise.get(f"{kind}:{severity}")) for severity in range(1, 6)), _percent(of_type))
            for kind, of_type in corruption.types.items()
        ]
        headings = ("at severity", "1", "2", "3", "4", "5", "mean")
        tables.append(table("accuracy under corruption", headings, cells))
    return tables


def _rows(accuracies: Accuracies) -> dict[str, float]:
    """All but the cells of the corruption table."""
    corruption = accuracies.corruption
    types = corruption.types if corruption is not None else {}
    rows = {"clean": accuracies.clean}
    rows |= {name: share for name, share in accuracies.noise.items() if name.partition(":")[0] not in types}
    if corruption is not None:
        rows["mean corruption accuracy"] = corruption.mean
    of_all = {f"{name}, of all classes": accuracy for name, accuracy in accuracies.ood_all.items()}
    return rows | dict(accuracies.ood) | of_all


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
