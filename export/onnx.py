"""A run as one ONNX file: the frozen backbone with its prompt baked in, and the head, for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuroprompt.bundles.predict import Classifier
from neuroprompt.contracts.deployment import Exported, Exporter, Precision
from neuroprompt.progress import SILENT, Progress

if TYPE_CHECKING:
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.training.run_folder import Run


class Onnx(Exporter):
    """model.onnx (backbone, prompt and head), prompt.safetensors (what training learned, to build it again).

    A static prompt is quantised first and baked second: the file holds what the integer generator makes. One that
    depends on the image is made in the graph; where neurons make it, their spikes are counted. Before it appears, the
    file runs in ONNX Runtime beside the unbaked PyTorch model on images of the run's test split, at batch 1, 3 and 8.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> Exported:
        """Write the bundle at `out`; raises Unsupported, ParityError, CannotWrite."""
        from neuroprompt.bundles.baked import write_baked

        return write_baked(run, out, progress)

    def export_reduced(
        self, run: Run, out: Path | str, precision: Precision, *, progress: Progress = SILENT
    ) -> Exported:
        """The same bundle with a second file in fewer bits; raises ParityError where that loses too much accuracy."""
        from neuroprompt.bundles.baked import write_baked

        return write_baked(run, out, progress, precision)

    def opened(self, bundle: Bundle) -> Classifier:
        """A classifier of images."""
        return Classifier(bundle)
