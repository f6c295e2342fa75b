"""A spiking part as a NIR file, read back and simulated before it appears; a graph with the chip's integers in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir
import numpy as np

from neuroprompt.bundles.artefact import Artefact
from neuroprompt.bundles.bundle import write_bundle
from neuroprompt.bundles.contents import GRAPH, write_inputs
from neuroprompt.bundles.of_graph import about_graph, checked_programs, tuned_figures
from neuroprompt.compiler.carried import carrying
from neuroprompt.compiler.compile import calibrated, model_of_graph
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.deployment import Exported, Exporter, Floats
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import ParityError
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.graph import write_graph

if TYPE_CHECKING:
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.training.run_folder import Run


class Nir(Exporter):
    """`generator.nir` in a bundle of kind "nir": written, read back, and equal to the torch modules spike by spike.

    A generator whose prompt depends on the image is compared on inputs made of test images of the run. A graph becomes
    the same graph with Loihi's integers in its metadata, which other libraries ignore, and which every verb here takes
    as they are.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> Exported:
        """Write the bundle at `out`; raises Unsupported where the prompt has no neurons, ParityError, CannotWrite."""
        from neuroprompt.bundles.generator import write_generator

        return write_generator(run, out)

    def export_graph(
        self,
        graph: nir.NIRGraph,
        out: Path | str,
        inputs: Floats,
        *,
        name: str = "",
        split_signs: bool = False,
        wide: Wide | None = None,
        tuning: Tuning | None = None,
        encoding: str = "",
        progress: Progress = SILENT,
    ) -> Exported:
        """The graph with its integers, fitted on `inputs` (T, n_in), beside these as inputs.npy."""
        model, tried = calibrated(graph, inputs, split_signs=split_signs, wide=wide, tuning=tuning, progress=progress)
        whole = carrying(graph, model.float_program, model.fixed_program, model.scale_report)

        def fill(folder: Path) -> dict[str, Any]:
            write_graph(whole, folder / GRAPH)
            write_inputs(tried, folder)
            back = model_of_graph(read_graph(folder / GRAPH), len(tried), tried)
            if back.fixed_program.to_bytes() != model.fixed_program.to_bytes():
                raise ParityError("the file's integers are not those that were fitted", "equal ones")
            about = about_graph(graph, name, model) | ({"encoding": encoding} if encoding else {})
            return about | {"file": GRAPH, "checked": checked_programs(back, tried, progress)}

        about = write_bundle(out, "nir", fill).about
        figures = {
            "steps": about["steps"],
            "neurons": about["neurons"],
            "integer_bytes": int(np.size(whole.metadata["loihi_program"])),
            "fixed_spike_exact": about["checked"]["loihi-fixed"]["spike_exact"],
        }
        return Exported(Path(out), figures | tuned_figures(model), about)

    def opened(self, bundle: Bundle) -> Artefact:
        """A file for other programs; 'neuroprompt verify' takes the graph in it."""
        return Artefact(bundle)
