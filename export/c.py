"""A spiking part as one C99 file in Loihi's integers, for microcontrollers: no library, static memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import nir

from neuroprompt.bundles.artefact import Artefact
from neuroprompt.bundles.c_files import write_c
from neuroprompt.bundles.of_graph import about_graph
from neuroprompt.compiler.compile import calibrated
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import Exported, Exporter, Floats
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import Unsupported
from neuroprompt.progress import SILENT, Progress

if TYPE_CHECKING:
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.training.run_folder import Run


class C(Exporter):
    """net.c, net.h, selftest.c and README.md: `net_reset()` and `net_step()`, bit by bit as our emulator computes.

    The self-test holds the emulator's spikes and potentials. Where this machine has a C compiler, it is compiled and
    passes before the bundle appears. `c-float32` writes the same in float32.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> Exported:
        """The neurons of a prompt that is the same for every image; raises Unsupported for others, ParityError."""
        from neuroprompt.training.deploy import spiking_model

        prompt = run.model.prompt
        generator = prompt.generator()
        if generator is None or prompt.per_image:
            got = f"{run.config.method!r} has no neurons that run apart from the image"
            raise Unsupported(got, "a run of spike-nvpt", "export it with --target nir, and the .nir with inputs")
        model = spiking_model(generator)
        return write_c(
            model,
            stimulus(model.fixed_program),
            out,
            kind="c",
            precision="fixed",
            title=run.config.method,
            about={"method": run.config.method, "steps": model.steps},
            progress=progress,
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
        """The same for a NIR graph, its integers fitted on `inputs` (T, n_in).

        Raises Unsupported, naming the node and what would have to change, for what the integers cannot hold.
        """
        model, tried = calibrated(graph, inputs, split_signs=split_signs, wide=wide, tuning=tuning, progress=progress)
        about = about_graph(graph, name, model) | ({"encoding": encoding} if encoding else {})
        return write_c(
            model, tried, out, kind="c", precision="fixed", title=name or "A net", about=about, progress=progress
        )

    def opened(self, bundle: Bundle) -> Artefact:
        """Files for other programs."""
        return Artefact(bundle)
