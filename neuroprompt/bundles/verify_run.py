"""A data set on every target at hand, against the reference; all at once, or in shards on an engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from neuroprompt.bundles.data_run import opened
from neuroprompt.bundles.shards import (
    Shard,
    Split,
    inputs_and,
    reads_of,
    recording_arrays,
    recording_of,
    words_of,
    write_arrays,
)
from neuroprompt.compiler.conventions import Reading
from neuroprompt.contracts.deployment import Recording
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.verify import Verification, run_all, verify

ChipName = Literal["loihi1", "loihi2"]


def verify_items(
    what: Path,
    inputs: Path | str,
    labels: Path | None = None,
    targets: Sequence[str] | None = None,
    *,
    decode: str | None = None,
    steps: int | None = None,
    units: tuple[float | None, str | None] = (None, None),
    split_signs: bool = False,
    chip: ChipName = "loihi2",
    split: Split | None = None,
    shard: Shard | None = None,
    progress: Progress = SILENT,
) -> tuple[Verification | None, Reading | None]:
    """Verify a NIR file or a bundle on a data set (`neuroprompt.bundles.data_run.opened`), and how the file was read.

    With `split` an engine runs the targets in shards, and they are compared here: the result is that of one run. With
    `shard` only that shard runs and writes its file, and there is no result. Raises what both parts raise.
    """
    model, items, reading = opened(what, inputs, labels, steps, units, split_signs=split_signs, progress=progress)
    model = model.on(chip)
    if shard is not None:
        its = shard.of(len(items))
        done = run_all(model, items.part(its.start, its.stop), targets)
        arrays = [recording_arrays("-".join(key), ran) for key, ran in done.items()]
        write_arrays(shard.file, {name: array for each in arrays for name, array in each.items()})
        return None, None
    ran = None
    if split is not None:
        dt, library = units
        options = {"decode": decode, "steps": steps, "dt": dt, "from": library, "split-signs": split_signs}
        options |= {"chip": chip, "targets": None if targets is None else ",".join(targets)}
        words = words_of("verify", what, inputs_and(inputs, labels, options))
        shards = split.run(words, reads_of(what, inputs, labels), len(items), progress)

        def of_shards(name: str, precision: str) -> Recording:
            return recording_of(f"{name}-{precision}", shards)

        ran = of_shards
    reader = items.reader(model, decode)
    every = items.part(0, len(items))
    return verify(model, every, targets, progress, labels=items.labels, reader=reader, ran=ran), reading
