"""A run's spiking part as a NIR file that has been read back and simulated before it appears."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuroprompt.bundles.artefact import Artefact
from neuroprompt.contracts.deployment import Exported, Exporter
from neuroprompt.progress import SILENT, Progress

if TYPE_CHECKING:
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.training.run_folder import Run


class Nir(Exporter):
    """`generator.nir` in a bundle of kind "nir": written, read back, and equal to the torch modules spike by spike.

    A generator whose prompt depends on the image is compared on inputs made of test images of the run.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> Exported:
        """Write the bundle at `out`; raises Unsupported where the prompt has no neurons, ParityError, CannotWrite."""
        from neuroprompt.bundles.generator import write_generator

        return write_generator(run, out)

    def opened(self, bundle: Bundle) -> Artefact:
        """A file for other programs; 'neuroprompt verify' takes the graph in it."""
        return Artefact(bundle)
