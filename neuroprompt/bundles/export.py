"""A trained run or a NIR graph becomes an artefact that a target runs: what `neuroprompt export` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir

from neuroprompt.contracts.deployment import Exported, Exporter, Floats, Precision
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import BadSetting
from neuroprompt.progress import SILENT, Progress

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run


def export(
    what: Run | nir.NIRGraph | Path | str,
    out: Path | str,
    *,
    target: str = "onnx",
    inputs: Floats | None = None,
    split_signs: bool = False,
    weight_bits: int | str = 8,
    agreement: float = 0.9999,
    tune: int | None = None,
    seed: int = 0,
    precision: str = "fp32",
    calibration_images: int = 64,
    max_drop: float = 1.0,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
) -> Exported:
    """Export a run, opened or by its folder, or a NIR graph; both sides run and are compared before a bundle appears.

    `target` names the artefact (`Exporter.names()`: lava, netx, c, nir, onnx, web, ...), and `settings` are its own. A
    graph is calibrated and checked on `inputs` (T, n_in), or calibrated on all runs of a batch (B, T, n_in);
    `split_signs` puts its weights into one list of synapses for each sign. `weight_bits` of 9 to 16, or "auto", lets
    weights have more bits by several lists, with no more synapses than a Jaccard index of `agreement` needs.
    With `tune` the float net teaches its integers in so many rounds, on most runs of a batch; the others, drawn by
    `seed`, say what is kept. `precision` other than fp32 adds a file in fewer bits to an ONNX bundle of a run: int8,
    with ranges from `calibration_images` training images, int8-dynamic or fp16; it may lose `max_drop` points of
    accuracy on validation images.

    Raises BadSetting for a graph without inputs or a run with them, and what the exporter raises: Unsupported,
    ParityError, CannotWrite.
    """
    exporter, wide = Exporter.named(target, **(settings or {})), Wide.of(weight_bits, agreement)
    tuning = Tuning.of(tune, seed)
    if isinstance(what, nir.NIRGraph):
        if precision != "fp32":
            raise BadSetting(f"precision {precision!r} of a NIR graph", "a run, and target onnx")
        if inputs is None:
            raise BadSetting("a NIR graph without inputs", "inputs of shape (steps, input lines)")
        return exporter.export_graph(
            what, out, inputs, split_signs=split_signs, wide=wide, tuning=tuning, progress=progress
        )
    if inputs is not None or split_signs or wide is not None or tuning is not None:
        raise BadSetting("inputs, split_signs, weight_bits or tune with a run", "a NIR graph")
    if isinstance(what, (Path, str)):
        from neuroprompt.training.run_folder import Run

        what = Run.load(what)
    if precision != "fp32":
        return exporter.export_reduced(what, out, Precision(precision, calibration_images, max_drop), progress=progress)
    return exporter.export(what, out, progress=progress)
