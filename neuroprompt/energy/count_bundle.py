"""What a deployed prompt does for one image, as counts: its generator's activity and its backbone's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.contents import holds_model, load_model, load_tried
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import Floats, Recording, SpikingTarget
from neuroprompt.energy.break_even import BreakEven, break_even_of
from neuroprompt.energy.count_spikes import ProgramCounts, by_image, count
from neuroprompt.energy.effective import EffectiveCounts
from neuroprompt.energy.measured import MeasuredEnergy
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.onnxgraph.counts import GraphCounts, count_graph
from neuroprompt.spiking.activity import Activity
from neuroprompt.spiking.program import Program, SpikingModel


@dataclass(frozen=True)
class Counts:
    """What a bundle, or a NIR graph, does for one image.

    generator  one run of the spiking part, in the emulator's integers; the mean where it runs for every image
    backbone   one image through every ONNX file of the bundle, counted from the files themselves
    baked      whether the generator ran once, at deployment, and not for every image
    images     the generator's counts node by node, for each image that it was tried on
    graphs     the backbone's counts product by product, by file
    delays     whether something that was emitted arrives in a later step: recurrence, or delays of the graph
    effective  the backbone's operations with two factors that are not 0, where images to count them on were given
    measured   what the backbone's files use on this machine, where that was asked for
    """

    generator: Activity
    backbone: Activity
    baked: bool
    images: tuple[ProgramCounts, ...] = ()
    graphs: Mapping[str, GraphCounts] = field(default_factory=dict)
    delays: bool = False
    effective: EffectiveCounts | None = None
    measured: MeasuredEnergy | None = None

    @property
    def break_even(self) -> BreakEven | None:
        """Against an equal quantised network; None without neurons, or with delays: a single pass has no memory."""
        if not self.images or self.delays:
            return None
        return break_even_of(self.generator, self.images[0].nodes)

    def json(self) -> dict[str, object]:
        """What does not depend on the choice of prices: counts by image and node, by file and operator, break-even."""
        asked = {"effective": self.effective, "measured": self.measured}
        return {
            "counted": {
                "images": [image.json() for image in self.images],
                "files": {name: _file_json(graph) for name, graph in self.graphs.items()},
            },
            "break_even": None if self.break_even is None else self.break_even.json(),
            **{name: result.json() for name, result in asked.items() if result is not None},
        }


def counts(bundle: Bundle, onnx: Bundle | None = None, target: str = "loihi", precision: str = "fixed") -> Counts:
    """The counts of an opened bundle; `onnx` is the ONNX bundle of the same run, whose file is then the backbone.

    The generator runs on the spiking target of that name, by default our emulator of the chip's integers.

    An ONNX bundle holds no generator: its prompt was made once, before it was baked, or is made by the graph. The MACs
    that make a generator's inputs count to the backbone, as they run where it does. A bundle without an ONNX file has
    its backbone's MACs in the manifest, counted from the torch modules. A bundle of a NIR graph has no backbone.
    Raises BadBundle, Unsupported.
    """
    if onnx is not None and (onnx.kind != "onnx" or onnx.about.get("run") != bundle.about.get("run")):
        got = f"{onnx.folder}, a bundle for {onnx.kind!r}"
        raise BadBundle(got, f"one for 'onnx' of the run that {bundle.folder} was made of")
    of_graph = "graph" in bundle.about
    graphs = {file.name: count_graph(file) for file in sorted((onnx or bundle).folder.glob("*.onnx"))}
    images, delays = _generator(bundle, target, precision) if holds_model(bundle) else ((), False)
    if graphs or (of_graph and images):
        backbone = reduce(add, (graph.total for graph in graphs.values()), Activity())
    elif "backbone_macs" in bundle.about:
        backbone = Activity(macs=int(bundle.about["backbone_macs"]))
    else:
        got = f"{bundle.folder}, a bundle for {bundle.kind!r}, holds nothing to count"
        raise BadBundle(got, "one for lava or onnx")
    baked = not of_graph and not bundle.about.get("per_image", False)
    if not images:
        return Counts(Activity(), backbone, baked, graphs=graphs)
    generator = reduce(add, (image.total for image in images)).over(len(images))
    return Counts(generator, backbone, baked, images, graphs, delays)


def counts_of_model(model: SpikingModel, inputs: Floats, target: str = "reference", precision: str = "float") -> Counts:
    """The counts of one run of a spiking model on inputs (T, n_in), on any spiking target; it has no backbone.

    Raises what the target raises.
    """
    program = model.program(precision)
    image = count(program, recorded(model, inputs, target, precision), inputs)
    return Counts(image.total, Activity(), False, (image,), delays=_delays(program))


def recorded(model: SpikingModel, inputs: Floats, target: str, precision: str) -> Recording:
    """One run on the spiking target of that name, potentials included; raises what the target raises.

    Raises UnknownName where it is no spiking target, BadSetting where it has not that precision.
    """
    part = SpikingTarget.named(target)
    if precision not in part.precisions:
        raise BadSetting(f"{precision} on target {target!r}", f"one of: {', '.join(part.precisions)}")
    return part.run(model, inputs, precision, states=True)


def _generator(bundle: Bundle, target: str, precision: str) -> tuple[tuple[ProgramCounts, ...], bool]:
    """The counts of every image that the bundle is tried on, and whether its program has delays."""
    model, inputs, tried = load_tried(bundle)
    inputs = stimulus(model.fixed_program) if inputs is None else inputs
    program = load_model(bundle).program(precision)  # of one lane
    return tuple(by_image(program, recorded(model, inputs, target, precision), inputs, tried)), _delays(program)


def _file_json(graph: GraphCounts) -> dict[str, object]:
    total = graph.total
    return {
        "macs": total.macs,
        "macs_by_operator": graph.by_operator(),
        "reads": total.reads,
        "writes": total.writes,
        "footprint": graph.footprint,
    }


def _delays(program: Program) -> bool:
    return any(projection.lag for projection in program.projections)
