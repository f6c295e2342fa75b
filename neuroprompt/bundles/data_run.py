"""A data set on a spiking target: how accurate a graph or a bundle is there, and what an item costs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.contents import load_model
from neuroprompt.bundles.image_items import image_items, is_split
from neuroprompt.bundles.neurons import spiking_target
from neuroprompt.bundles.results import Ran, Row
from neuroprompt.bundles.shards import (
    Shard,
    Split,
    inputs_and,
    reads_of,
    tally_arrays,
    tally_of,
    words_of,
    write_arrays,
)
from neuroprompt.compiler.compile import model_of_items, tuned_model
from neuroprompt.compiler.conventions import UNSAID, Reading, Units
from neuroprompt.compiler.flatten import Flat, flatten
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import BadSetting
from neuroprompt.files import write_whole
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.events import items_of
from neuroprompt.simulators.items import Items
from neuroprompt.simulators.per_item import Spread
from neuroprompt.simulators.tally import Tally, tally
from neuroprompt.spiking.graph import steps_of
from neuroprompt.spiking.program import SpikingModel

FITTED = 8
"""Items that the integers of a graph are fitted on, spread over the data set."""


@dataclass(frozen=True)
class DataRun(Ran):
    """All items of a data set through `target` in `precision`, with their labels where there are any."""

    target: str
    precision: str
    tally: Tally
    labels: NDArray[np.int64] | None = None
    out: Path | None = None
    reading: Reading | None = None

    columns = ("", "value")

    @property
    def title(self) -> str:
        """What ran where."""
        return f"{self.target}, {self.precision}"

    @property
    def items(self) -> int:
        """How many items ran."""
        return len(self.tally.predicted)

    @property
    def accuracy(self) -> float | None:
        """The share of items whose class is their label; None without labels."""
        return None if self.labels is None else float((self.tally.predicted == self.labels).mean())

    @property
    def confusion(self) -> NDArray[np.int64] | None:
        """Items by label (rows) and predicted class (columns); None without labels."""
        if self.labels is None:
            return None
        classes = self.tally.classes
        return np.bincount(self.labels * classes + self.tally.predicted, minlength=classes**2).reshape(classes, classes)

    def json(self) -> dict[str, Any]:
        """The figures; spikes and synaptic operations by item, as mean, standard deviation and range."""
        confusion, several = self.confusion, int(self.tally.counts.several.sum())
        return {
            "items": self.items,
            "accuracy": self.accuracy,
            "items_per_second": self.items / self.tally.seconds,
            "spikes_per_item": Spread.of(self.tally.spikes).json(),
            "synops_per_item": Spread.of(self.tally.synops).json(),
            "target": self.target,
            "precision": self.precision,
            "decode": self.tally.decode,
            "confusion": None if confusion is None else confusion.tolist(),
            **({"several": several} if several else {}),
            **({} if self.reading is None else {"reading": self.reading.json()}),
        }

    def rows(self) -> list[Row]:
        """What there is, a line each."""
        accuracy = [] if self.accuracy is None else [("accuracy", f"{self.accuracy:.2%}")]
        counted = [
            (f"{what} an item", str(Spread.of(counts)))
            for what, counts in (("spikes", self.tally.spikes), ("operations", self.tally.synops))
        ]
        speed = f"{self.items / self.tally.seconds:,.1f}"
        decode = [("decoded by", self.tally.decode)]
        return [("items", f"{self.items:,}"), *accuracy, *counted, ("items a second", speed), *decode]

    def notes(self) -> list[str]:
        """Where the classes are, and that neurons fired more than once a step."""
        several = int(self.tally.counts.several.sum())
        check = f"check: neurons fire more than once a step in {several:,} entries, each one spike here"
        return [*([f"classes in {self.out}"] if self.out else []), *([check] if several else [])]


def run_items(
    what: Bundle | Path | str,
    inputs: Path | str,
    labels: Path | str | None = None,
    *,
    target: str | None = None,
    precision: str | None = None,
    decode: str | None = None,
    steps: int | None = None,
    dt: float | None = None,
    library: str | None = None,
    reset: str | None = None,
    out: Path | str | None = None,
    split: Split | None = None,
    progress: Progress = SILENT,
) -> DataRun:
    """Run a NIR graph, or the neurons of a bundle, on every item of a data set (`neuroprompt.simulators.items`).

    `target` is our emulator and `precision` fixed unless set. The integers of a graph are fitted on FITTED items, those
    of a bundle are its own. With `out`, a .csv, the class of every item is written. With `split` an engine runs
    it in shards. Raises BadBundle, BadGraph, BadData, BadSetting, CannotWrite and what the target raises.
    """
    name = "loihi" if target is None else target
    precision = "fixed" if precision is None else precision
    machine = spiking_target(name, precision)
    out = None if out is None else Path(out)
    if out is not None and out.suffix != ".csv":
        raise BadSetting(f"out {out}", "a file that ends in .csv, for the classes of items")
    labels = None if labels is None else Path(labels)
    model, items, reading = opened(what, inputs, labels, steps, (dt, library, reset), progress=progress)
    if split is None:
        counts = tally(machine, model, items, precision, decode, progress=progress)
    else:
        if not isinstance(what, Path | str):
            raise BadSetting("an opened bundle in shards", "its folder: each shard opens it")
        options = {"target": name, "precision": precision, "decode": decode, "steps": steps, "dt": dt, "from": library}
        options |= {"reset": reset}
        words = words_of("run", what, inputs_and(inputs, labels, options))
        start = time.perf_counter()
        shards = split.run(words, reads_of(what, inputs, labels), len(items), progress)
        counts = tally_of(shards, time.perf_counter() - start)
    result = DataRun(name, precision, counts, items.labels, out, reading)
    if out is not None:
        write_whole(out, _csv(result))
    return result


def run_shard(
    shard: Shard,
    what: Path,
    inputs: Path,
    labels: Path | None,
    *,
    target: str,
    precision: str,
    decode: str | None = None,
    steps: int | None = None,
    units: Units = UNSAID,
) -> None:
    """Run one shard of a data set and write its file; the integers are those that fit the whole."""
    model, items, _ = opened(what, inputs, labels, steps, units)
    counts = tally(spiking_target(target, precision), model, items, precision, decode, only=shard.of(len(items)))
    write_arrays(shard.file, tally_arrays(counts))


def opened(
    what: Bundle | Path | str,
    inputs: Path | str,
    labels: Path | None,
    steps: int | None,
    units: Units = UNSAID,
    *,
    split_signs: bool = False,
    wide: Wide | None = None,
    tuning: Tuning | None = None,
    progress: Progress = SILENT,
) -> tuple[SpikingModel, Items, Reading | None]:
    """The model of a bundle or of a NIR file, the items to run it on, and how the numbers of a file were read.

    `units` are the dt, the library and the reset of a file. `inputs` are a file, recordings of tonic
    (`neuroprompt.simulators.events`), or images of the bundle's own data set (`neuroprompt.bundles.image_items`).
    With `tuning` the integers of a file are those of `export --calibrate --tune` on the same items.
    """
    if isinstance(what, Bundle) or Path(what).is_dir():
        bundle = what if isinstance(what, Bundle) else Bundle.open(what)
        model = load_model(bundle)
        if units != UNSAID or steps is not None or split_signs or (wide, tuning) != (None, None):
            got = "--from, --dt, --reset, --split-signs, --weight-bits, --tune or --steps for a bundle"
            raise BadSetting(got, "a .nir file", "a bundle has its own")
        if is_split(inputs):
            if labels is not None:
                raise BadSetting(f"labels {labels} beside {inputs}", "the labels of that data set")
            return model, image_items(bundle, model, str(inputs), progress), None
        return model, items_of(flatten(model.graph), inputs, labels, steps=model.steps, progress=progress), None
    if is_split(inputs):
        raise BadSetting(f"inputs {inputs} for a NIR file", "a file of inputs", "data:SPLIT is for a bundle of a run")
    flat = flatten(read_graph(Path(what), *units))
    its_own = steps_of(flat.graph) if "steps" in flat.graph.metadata else None
    items = items_of(flat, inputs, labels, steps=steps, its_own=its_own, progress=progress)
    if tuning is None:
        return fitted(flat, items, split_signs, wide), items, flat.reading
    runs = calibration(flat, items, progress)
    model = tuned_model(flat, runs, tuning, split_signs=split_signs, wide=wide, progress=progress)
    return model, items, flat.reading


def calibration(flat: Flat, items: Items, progress: Progress = SILENT) -> NDArray[np.float64]:
    """The items that a graph's integers are calibrated on (b, T, n_in): all, or as many as fit in memory."""
    neurons = sum(p.size for p in lower(flat, 1).populations)
    runs = items.calibration(neurons)
    if len(runs) < len(items):
        progress.say(f"calibrating on {len(runs):,} of {len(items):,} items, spread over the data set")
    return runs


def fitted(flat: Flat, items: Items, split_signs: bool = False, wide: Wide | None = None) -> SpikingModel:
    """A graph with integers fitted on items spread over the data set."""
    inputs = items.spread(FITTED)
    largest = 0.0 if items.largest <= 1 and np.all((inputs == 0) | (inputs == 1)) else items.largest
    return model_of_items(flat, inputs, largest, split_signs=split_signs, wide=wide)


def _csv(result: DataRun) -> bytes:
    labels = [""] * result.items if result.labels is None else result.labels.tolist()
    columns = (result.tally.predicted.tolist(), labels, result.tally.spikes.tolist(), result.tally.synops.tolist())
    rows = (",".join(map(str, (i, *row))) for i, row in enumerate(zip(*columns, strict=True)))
    return "\n".join(("item,predicted,label,spikes,synops", *rows, "")).encode()
