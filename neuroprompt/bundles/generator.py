"""Writes a run's spiking part as a NIR file, which is read back and simulated before it appears."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuroprompt.bundles.bundle import write_bundle
from neuroprompt.bundles.contents import GRAPH
from neuroprompt.compiler.read import read_graph
from neuroprompt.compiler.reading import reading_of
from neuroprompt.contracts.deployment import Exported
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.chain import to_nir
from neuroprompt.spiking.graph import write_graph
from neuroprompt.training.deploy import check_graph
from neuroprompt.training.sample_images import sample_images

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run

LANES = 32
"""Runs of the generator, with inputs of real images, on which graph and modules are compared."""


def write_generator(run: Run, out: Path | str) -> Exported:
    """Write the bundle at `out`; raises Unsupported where the prompt has no neurons, ParityError, CannotWrite."""
    prompt = run.model.prompt
    generator = run.model.generator()
    if generator is None:
        raise Unsupported(f"{prompt.name!r} has no spiking generator", "a run of a spiking prompt")
    graph, inputs = to_nir(generator), None
    about: dict[str, Any] = {
        "method": prompt.name,
        "steps": generator.steps,
        "dt_s": reading_of(graph).dt,
        "file": GRAPH,
    }
    if prompt.per_image:
        images, origin = sample_images(run, 2)
        about |= {"image_source": origin}
        lanes = run.model.generator_inputs(images)
        inputs = lanes[:: -(-len(lanes) // LANES)].double().numpy()

    def fill(folder: Path) -> dict[str, Any]:
        write_graph(graph, folder / GRAPH)
        return about | {"checked": check_graph(read_graph(folder / GRAPH), generator, inputs)}

    written = write_bundle(out, "nir", fill)
    return Exported(written.folder, written.about, written.about)
