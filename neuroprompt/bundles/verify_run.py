"""A data set on every target at hand, against the reference; all at once, or in shards on an engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from neuroprompt.bundles.data_run import opened
from neuroprompt.bundles.shards import Arrays, Shard, Split, inputs_and, reads_of, words_of, write_arrays
from neuroprompt.compiler.conventions import UNSAID, Reading, Units
from neuroprompt.contracts.deployment import Recording
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import BadSetting
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.decode import Reader, check_labels
from neuroprompt.simulators.items import Items
from neuroprompt.simulators.verify import REFERENCE, Verification, verify
from neuroprompt.simulators.verify_parts import joined, json_of, of_json
from neuroprompt.spiking.program import SpikingModel

SHOWN = 1000
"""Steps of the reference that a shard keeps, for a figure."""
ChipName = Literal["loihi1", "loihi2"]


def verify_items(
    what: Path,
    inputs: Path | str,
    labels: Path | None = None,
    targets: Sequence[str] | None = None,
    *,
    decode: str | None = None,
    steps: int | None = None,
    units: Units = UNSAID,
    split_signs: bool = False,
    wide: Wide | None = None,
    tuning: Tuning | None = None,
    chip: ChipName = "loihi2",
    split: Split | None = None,
    shard: Shard | None = None,
    progress: Progress = SILENT,
) -> tuple[Verification | None, SpikingModel, Reading | None]:
    """Verify a NIR file or a bundle on a data set; also its model, and how the file was read (`data_run.opened`).

    Items run in parts that fit in memory, and only counts are kept. With `split` an engine runs them in shards: the
    result is that of one run. With `shard` only that shard runs and writes its file, and there is no result. Raises
    what both parts raise.
    """
    if tuning is not None and split is not None:
        got = "--tune in shards, each of which would tune"
        raise BadSetting(got, "either", "export it with --tune, and verify the bundle in shards")
    model, items, reading = opened(
        what, inputs, labels, steps, units, split_signs=split_signs, wide=wide, tuning=tuning, progress=progress
    )
    model = model.on(chip)
    reader = items.reader(model, decode)
    if shard is not None:
        verified = _in_parts(model, items, shard.of(len(items)), targets, reader=reader, progress=progress)
        write_arrays(shard.file, _arrays(verified))
        return None, model, reading
    if split is None:
        every = range(len(items))
        return (
            _in_parts(model, items, every, targets, reader=reader, progress=progress),
            model,
            reading,
        )
    dt, library, reset = units
    options = {"decode": decode, "steps": steps, "dt": dt, "from": library, "reset": reset}
    options |= {"split-signs": split_signs}
    if wide is not None:
        options |= {"weight-bits": wide.bits, "agreement": wide.agreement}
    options |= {"chip": chip, "targets": None if targets is None else ",".join(targets)}
    words = words_of("verify", what, inputs_and(inputs, labels, options))
    shards = split.run(words, reads_of(what, inputs, labels), len(items), progress)
    return joined([_of_arrays(shard) for shard in shards]), model, reading


def _in_parts(
    model: SpikingModel,
    items: Items,
    only: range,
    targets: Sequence[str] | None,
    *,
    reader: Reader,
    progress: Progress,
) -> Verification:
    """Items `only`, as many at a time as memory holds with what their neurons do in them."""
    neurons = 2 * sum(p.size for p in model.float_program.populations)  # spikes, u and v, of a few targets at a time
    starts = range(only.start, only.stop, items.starts(neurons).step)
    inside = progress if len(starts) == 1 else SILENT
    parts: list[Verification] = []
    for first in starts if inside is progress else progress.track(starts, "verifying items", len(starts)):
        stop = min(first + starts.step, only.stop)
        labels = None if items.labels is None else items.labels[first:stop]
        part = verify(model, items.part(first, stop), targets, inside, labels=labels, reader=reader, first=first)
        if not parts and items.labels is not None:  # known before hours of work
            check_labels(items.labels, reader.count(part.recordings[REFERENCE]))
        parts.append(replace(part, recordings={}) if parts else part)
    return joined(parts)


def _arrays(verified: Verification) -> Arrays:
    """What a shard writes: what was counted, and the first steps of the reference."""
    text = np.frombuffer(json.dumps(json_of(verified)).encode(), np.uint8)
    spikes = verified.recordings[REFERENCE].spikes.items()
    return {"verified": text, **{f"spikes/{name}": fired[:SHOWN] for name, fired in spikes}}


def _of_arrays(arrays: Arrays) -> Verification:
    spikes = {name.partition("/")[2]: fired for name, fired in arrays.items() if name.startswith("spikes/")}
    verified = of_json(json.loads(arrays["verified"].tobytes()))
    return replace(verified, recordings={REFERENCE: Recording(spikes, verified.reference.seconds or 0.0)})
