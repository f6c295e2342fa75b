"""What `run --inputs` and `verify --inputs` share: options that do not go together, and figures of a data set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuroprompt.cli._output import emit, settings, table
from neuroprompt.errors import BadSetting
from neuroprompt.plugin import names_in

if TYPE_CHECKING:
    from neuroprompt.bundles.data_run import DataRun
    from neuroprompt.bundles.shards import Split
    from neuroprompt.contracts.deployment import Prices


DATA_SET = (
    "A data set for the neurons: .npy, .npz or .h5, (items, steps, lines); tonic:NMNIST, events of NMNIST, DVSGesture, "
    "SHD or SSC counted in --steps bins; or data:test, the images of the run's own, for a bundle whose prompt depends "
    "on the image (the first N: tonic:NMNIST:test:N, data:test:N)."
)
LabelsFile = Annotated[
    Path | None, typer.Option("--labels", metavar="FILE", help="The class of each item, where FILE does not hold them.")
]
Decode = Annotated[
    str | None, typer.Option(help="From output neurons to a class: rate, first-spike or potential (default: rate).")
]


ItemPrices = Annotated[
    str | None,
    typer.Option("--prices", help="Price list of an item's energy: a name or .toml file (default: loihi)."),
]


EngineName = Annotated[
    str | None,
    typer.Option("--engine", help=f"Run in shards, each a process: {', '.join(names_in('neuroprompt.engines'))}."),
]
EngineWords = Annotated[
    list[str] | None, typer.Option("--engine-set", metavar="KEY=VALUE", help="A setting of the engine; repeatable.")
]
Shards = Annotated[int | None, typer.Option(help="Shards of the data set, with --engine (default: one a core).")]
Work = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the shards' files, on storage that all machines share; the same command again goes on there."
    ),
]
ShardWord = Annotated[str | None, typer.Option("--shard", hidden=True)]


def split_of(engine: str | None, words: list[str] | None, shards: int | None, work: Path | None) -> Split | None:
    """How the data set is split; None without an engine. Raises BadSetting, UnknownName."""
    if engine is None:
        refuse({"engine-set": words, "shards": shards, "work": work}, "--engine beside it: it is for shards")
        return None
    from neuroprompt.bundles.shards import Split
    from neuroprompt.contracts.work import Engine

    typed = Engine.typed(engine, settings(words or [], "--engine-set", "address=auto"))
    return Split(Engine.named(engine, **typed), (os.cpu_count() or 1) if shards is None else shards, work)


def refuse(options: Mapping[str, object], why: str) -> None:
    """Raise BadSetting where one of the options, by its name, is set."""
    for name, value in options.items():
        if value not in (None, [], False):
            raise BadSetting(f"--{name} {value}", why)


def check_figure(figure: Path | None) -> None:
    """Raise BadSetting where a figure cannot have that name; before anything runs."""
    if figure is None:
        return
    from neuroprompt.report.verify_figure import FORMS  # here, because it needs matplotlib

    if figure.suffix not in FORMS:
        raise BadSetting(f"--figure {figure}", f"a file that ends in {' or '.join(FORMS)}")


def show(result: DataRun, prices: Prices, figure: Path | None, json: bool) -> None:
    """Print a run of a data set with what an item costs, and draw its confusion matrix."""
    from neuroprompt.energy.items import item_energy

    energy = item_energy(result.tally.counts, prices)
    notes = [priced(prices), *result.notes()]
    if figure is not None:
        from neuroprompt.report.confusion import draw_confusion

        if result.confusion is None:
            raise BadSetting(f"--figure {figure} of a data set without labels", "--labels FILE")
        draw_confusion(result.confusion, figure)
        notes.append(f"figure in {figure}")
    rows = [*result.rows(), ("energy an item", str(energy))]
    emit(result.json() | {"energy_per_item": energy.json()}, json, table(result.title, result.columns, rows), *notes)


def prices_of(word: str | None) -> Prices:
    """The price list of an item's energy; before anything runs. Raises UnknownName, BadSetting."""
    from neuroprompt.energy.toml_prices import price_list

    return price_list(word or "loihi")


def priced(prices: Prices) -> str:
    """What the joules of an item are."""
    from neuroprompt.energy.estimate import NOTE

    return f"{NOTE}: energy by {prices.name} ({prices.title})"
