"""A spiking part as a file of lava-dl's netx, with the integers of the Lava bundle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir

from neuroprompt.bundles.bundle import writing
from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.deployment import Exporter, Floats
from neuroprompt.errors import Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.netx import to_netx
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.training.deploy import spiking_model

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run

FILE = "network.net"


class Netx(Exporter):
    """`network.net` in a bundle of kind "netx": `lava.lib.dl.netx.hdf5.Network(net_config="network.net")` runs it."""

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> dict[str, Any]:
        """Write the bundle at `out`; raises Unsupported for what netx cannot hold, CannotWrite."""
        generator = run.model.prompt.generator()
        if generator is None:
            raise Unsupported(f"{run.config.method!r} has no spiking generator", "a run of a spiking prompt")
        return _write(spiking_model(generator), out, {"method": run.config.method})

    def export_graph(
        self,
        graph: nir.NIRGraph,
        out: Path | str,
        inputs: Floats,
        *,
        name: str = "",
        split_signs: bool = False,
        progress: Progress = SILENT,
    ) -> dict[str, Any]:
        """The same for a NIR graph, its integers fitted on `inputs` (T, n_in)."""
        if split_signs:
            raise Unsupported("--split-signs for netx", "one matrix of weights a layer", "use --target lava")
        return _write(model_of_graph(graph, len(inputs), inputs), out, {"graph": name})


def _write(model: SpikingModel, out: Path | str, about: dict[str, Any]) -> dict[str, Any]:
    data = to_netx(model.fixed_program)
    about |= {
        "steps": model.steps,
        "neurons": sum(p.size for p in model.fixed_program.populations),
        "layers": len(model.fixed_program.populations),
        "spike_match": model.scale_report["spike_match"],
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    with writing(out, "netx", about) as folder:
        (folder / FILE).write_bytes(data)
    return about
