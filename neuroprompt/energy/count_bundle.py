"""What a deployed bundle does for one image, as counts: its generator's activity and its backbone's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.contents import load_model, load_tried
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import Floats, Recording, SpikingTarget
from neuroprompt.energy.count_spikes import ProgramCounts, by_image, count
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.onnxgraph.counts import GraphCounts, count_graph
from neuroprompt.spiking.activity import Activity
from neuroprompt.spiking.program import Program, SpikingModel


@dataclass(frozen=True)
class Counts:
    """What a bundle does for one image.

    generator  one run of the spiking part, in the emulator's integers; one that runs for every image: the mean
    backbone   one image through every ONNX file of the bundle, counted from the files themselves
    images     the generator's counts node by node, of each image that it was tried on
    graphs     the backbone's counts product by product, by file
    delays     whether something that was emitted arrives in a later step: recurrence, or delays of the graph
    """

    generator: Activity
    backbone: Activity
    images: tuple[ProgramCounts, ...] = ()
    graphs: dict[str, GraphCounts] | None = None
    delays: bool = False

    def json(self) -> dict[str, Any]:
        """The counts by image and node, and by file and operator."""
        files = (self.graphs or {}).items()
        return {
            "images": [census.json() for census in self.images],
            "files": {
                name: {
                    "macs": graph.total.macs,
                    "macs_by_operator": graph.by_operator(),
                    "reads": graph.total.reads,
                    "writes": graph.total.writes,
                    "footprint": graph.footprint,
                }
                for name, graph in files
            },
        }


def counts(bundle: Bundle, onnx: Bundle | None = None, target: str = "loihi", precision: str = "fixed") -> Counts:
    """The counts of an opened bundle; `onnx` is the ONNX bundle of the same run, whose file then is the backbone.

    The generator runs on the spiking target of that name, by default our emulator of the chip's integers.

    An ONNX bundle holds no generator: its prompt was made once, before it was baked, or is made by the graph. The MACs
    that make a generator's inputs count to the backbone, as they run where it does. A bundle without an ONNX file says
    in its manifest what its backbone multiplies, counted from the torch modules. A bundle of a NIR graph has no
    backbone. Raises BadBundle, Unsupported.
    """
    if onnx is not None and (onnx.kind != "onnx" or onnx.about.get("run") != bundle.about.get("run")):
        got = f"{onnx.folder}, a bundle for {onnx.kind!r}"
        raise BadBundle(got, f"one for 'onnx' of the run that {bundle.folder} was made of")
    if "graph" in bundle.about and bundle.kind == "lava":
        model, inputs, _ = load_tried(bundle)
        given = stimulus(model.float_program) if inputs is None else inputs
        return counts_of_model(model, given, target, precision)
    graphs = {file.name: count_graph(file) for file in sorted((onnx or bundle).folder.glob("*.onnx"))}
    backbone = reduce(add, (graph.total for graph in graphs.values()), Activity())
    if not graphs:
        if "backbone_macs" not in bundle.about:
            raise BadBundle(
                f"{bundle.folder} is a bundle for {bundle.kind!r}, which is not counted", "one for lava or onnx"
            )
        backbone = Activity(macs=int(bundle.about["backbone_macs"]))
    if bundle.kind != "lava":
        return Counts(Activity(), backbone, graphs=graphs)
    model, inputs, tried = load_tried(bundle)
    inputs = stimulus(model.fixed_program) if inputs is None else inputs
    one = load_model(bundle).program(precision)
    images = by_image(one, recorded(model, inputs, target, precision), inputs, tried)
    generator = reduce(add, (census.total for census in images)).over(tried)
    return Counts(generator, backbone, tuple(images), graphs, _delays(one))


def counts_of_model(model: SpikingModel, inputs: Floats, target: str = "reference", precision: str = "float") -> Counts:
    """The counts of one run of a spiking model on inputs (T, n_in), on any spiking target; it has no backbone.

    Raises what the target raises.
    """
    program = model.program(precision)
    census = count(program, recorded(model, inputs, target, precision), inputs)
    return Counts(census.total, Activity(), (census,), delays=_delays(program))


def activities(bundle: Bundle) -> tuple[Activity, Activity]:
    """(generator, backbone) of `counts`."""
    found = counts(bundle)
    return found.generator, found.backbone


def recorded(model: SpikingModel, inputs: Floats, target: str, precision: str) -> Recording:
    """One run on the spiking target of that name, potentials included; raises what the target raises.

    Raises UnknownName where it is no spiking target, BadSetting where it has not that precision.
    """
    part = SpikingTarget.named(target)
    if precision not in part.precisions:
        raise BadSetting(f"{precision} on target {target!r}", f"one of: {', '.join(part.precisions)}")
    return part.run(model, inputs, precision, states=True)


def emulate(model: SpikingModel, inputs: Floats | None = None) -> Recording:
    """One run of the integer program on our emulator; `inputs` None: what `stimulus` gives."""
    emulator = SpikingTarget.named("loihi")
    return emulator.run(model, stimulus(model.fixed_program) if inputs is None else inputs, "fixed")


def _delays(program: Program) -> bool:
    return any(projection.lag for projection in program.projections)
