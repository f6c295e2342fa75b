"""A NIR graph as one C99 file in float32, for microcontrollers with a floating-point unit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import nir

from neuroprompt.bundles.artefact import Artefact
from neuroprompt.bundles.c_files import write_c
from neuroprompt.bundles.of_graph import about_graph
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.schedule import check_chip
from neuroprompt.contracts.deployment import Exported, Exporter, Floats
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.program import SpikingModel

if TYPE_CHECKING:
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.training.run_folder import Run


class CFloat32(Exporter):
    """What `c` writes, in float32: its spikes are compared with those of the float emulator, which has 64 bits.

    A potential that float32 puts on the other side of its threshold fails the self-test, and then no bundle appears.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> Exported:
        """Raises Unsupported: a run is deployed in the integers that its prompt is made of."""
        raise Unsupported(
            "a run for 'c-float32'", "a NIR graph", "use --target c, or export it with --target nir first"
        )

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
        """Write the bundle, tried on `inputs` (T, n_in); raises Unsupported, naming the node, ParityError."""
        if split_signs:
            raise Unsupported("--split-signs in float32", "integers", "use --target c")
        if wide is not None:
            raise Unsupported("--weight-bits in float32", "integers", "use --target c")
        if tuning is not None:
            raise Unsupported("--tune in float32", "integers", "use --target c")
        program = lower(graph, len(inputs))
        check_chip(program)
        whole = Unsupported("integers of a bundle in float32", 'precision "float"')
        model = SpikingModel(graph, program, program, quantisation_error=whole)
        about = about_graph(graph, name, model) | ({"encoding": encoding} if encoding else {})
        return write_c(
            model,
            inputs,
            out,
            kind="c-float32",
            precision="float",
            title=name or "A net",
            about=about,
            progress=progress,
        )

    def opened(self, bundle: Bundle) -> Artefact:
        """Files for other programs."""
        return Artefact(bundle)
