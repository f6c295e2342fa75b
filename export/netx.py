"""A spiking part as a file of lava-dl's netx, with the integers of the Lava bundle."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir
import numpy as np

from neuroprompt.bundles.artefact import Artefact
from neuroprompt.bundles.bundle import write_bundle
from neuroprompt.bundles.of_graph import tuned_figures
from neuroprompt.compiler.compile import calibrated
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import Exported, Exporter, Floats, SpikingTarget
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import ParityError, Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.netx import read_back, to_netx
from neuroprompt.simulators.netx_target import NetxTarget
from neuroprompt.spiking.program import Program, SpikingModel

if TYPE_CHECKING:
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.training.run_folder import Run

FILE = "network.net"
NETX = "lava-dl"


class Netx(Exporter):
    """`network.net` in a bundle of kind "netx": `lava.lib.dl.netx.hdf5.Network(net_config="network.net")` runs it.

    The file is read back and run before the bundle appears (`check_net`); "checked_on" says on what.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> Exported:
        """Write the bundle at `out`; raises Unsupported for what netx cannot hold, CannotWrite."""
        from neuroprompt.training.deploy import spiking_model

        generator = run.model.prompt.generator()
        if generator is None:
            raise Unsupported(f"{run.config.method!r} has no spiking generator", "a run of a spiking prompt")
        model = spiking_model(generator)
        return _write(model, stimulus(model.fixed_program), out, {"method": run.config.method})

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
        """The same for a NIR graph, its integers fitted on `inputs` (T, n_in), or on a batch (B, T, n_in)."""
        if split_signs:
            raise Unsupported("--split-signs for netx", "one matrix of weights a layer", "use --target lava")
        if wide is not None:
            got = "weights of more than 8 bits for netx"
            raise Unsupported(got, "one matrix of weights a layer, without an exponent", "use --target lava")
        source = {"graph": name} | ({"encoding": encoding} if encoding else {})
        return _write(*calibrated(graph, inputs, tuning=tuning, progress=progress), out, source)

    def opened(self, bundle: Bundle) -> Artefact:
        """A file for lava-dl."""
        return Artefact(bundle)


def _write(model: SpikingModel, inputs: Floats, out: Path | str, source: dict[str, str]) -> Exported:
    data = to_netx(model.fixed_program)
    about: dict[str, Any] = source | {
        "steps": model.steps,
        "neurons": sum(p.size for p in model.fixed_program.populations),
        "layers": len(model.fixed_program.populations),
        "spike_match": model.scale_report["spike_match"],
        "sha256": hashlib.sha256(data).hexdigest(),
        **({} if model.tuned is None else {"tuned": model.tuned.untimed()}),
    }

    def fill(folder: Path) -> dict[str, Any]:
        (folder / FILE).write_bytes(data)
        about.update(asdict(check_net(model, (folder / FILE).read_bytes(), inputs)))
        return about

    written = write_bundle(out, "netx", fill)
    return Exported(written.folder, written.about | tuned_figures(model), written.about)


@dataclass(frozen=True)
class NetCheck:
    """What a `.net` file was run on, and how many spikes were equal to those of the program it was written from."""

    checked_on: str
    checked_spikes: int


def check_net(model: SpikingModel, data: bytes, inputs: Floats) -> NetCheck:
    """Read the file and run it: all integers and all spikes must be the program's. Raises ParityError, WorkerFailed.

    It runs on lava-dl where its runtime is built; else on our emulator, with the integers that the file holds.
    """
    program = model.fixed_program
    written = read_back(program, data)
    for mine, theirs in zip(_integers(program), _integers(written), strict=True):
        if not np.array_equal(mine, theirs):
            raise ParityError("the file's integers are not the program's", "equal ones")
    right = SpikingTarget.named("loihi").run(model, inputs, "fixed").spikes
    target = NetxTarget.named(NETX)
    if target.available().ok:
        where = target.available().version
        layers = target.run_net(data, inputs[None], program.steps + program.depth)
        spikes = {
            p.name: layer[0, p.depth : p.depth + program.steps]
            for p, layer in zip(program.populations, layers, strict=True)
        }
    else:
        where = "our emulator (lava-dl is not installed)"
        spikes = dict(SpikingTarget.named("loihi").run(replace(model, fixed_program=written), inputs, "fixed").spikes)
    for name, expected in right.items():
        if not np.array_equal(expected, spikes[name]):
            step, neuron = (int(i) for i in np.argwhere(expected != spikes[name])[0])
            got = f"the file on {where} differs from the program at node {name!r}, step {step}, neuron {neuron}"
            raise ParityError(got, "equal spikes")
    return NetCheck(where, sum(int(s.sum()) for s in right.values()))


def _integers(program: Program) -> list[Any]:
    """All integers that a `.net` file holds, layer by layer."""
    of_layers = [value for p in program.populations for value in (p.du, p.dv, p.vth)]
    projections = sorted(program.projections, key=lambda q: (q.target, q.source == q.target))
    return of_layers + [value for q in projections for value in (q.weights.dense(), q.delay)]
