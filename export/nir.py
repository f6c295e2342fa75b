"""A run's spiking part as a NIR file that has been read back and simulated before it appears."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroprompt.bundles.bundle import writing
from neuroprompt.compiler.flatten import dt_of
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.deployment import Exporter
from neuroprompt.errors import Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.chain import to_nir
from neuroprompt.spiking.graph import write_graph
from neuroprompt.training.deploy import check_graph
from neuroprompt.training.sample_images import sample_images

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run

FILE = "generator.nir"
LANES = 32
"""Runs of the generator, with inputs of real images, on which graph and modules are compared."""


class Nir(Exporter):
    """`generator.nir` in a bundle of kind "nir": written, read back, held spike by spike to the torch modules.

    A generator whose prompt depends on the image is held to them on inputs made of test images of the run.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> dict[str, Any]:
        """Write the bundle at `out`; raises Unsupported where the prompt has no neurons, ParityError, CannotWrite."""
        prompt = run.model.prompt
        generator = prompt.generator()
        if generator is None:
            raise Unsupported(f"{prompt.name!r} has no spiking generator", "a run of a spiking prompt")
        graph, inputs = to_nir(generator), None
        about: dict[str, Any] = {"method": prompt.name, "steps": generator.steps, "dt_s": dt_of(graph), "file": FILE}
        if prompt.per_image:
            images, about["image_source"] = sample_images(run, 2)
            lanes = prompt.drive(images)
            inputs = lanes[:: -(-len(lanes) // LANES)].double().numpy()
        with writing(out, "nir", about) as folder:
            write_graph(graph, folder / FILE)
            about["checked"] = check_graph(read_graph(folder / FILE), generator, inputs)
        return about
