"""What a deployed prompt does for one image, as counts: its generator's activity and its backbone's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np

from neuroprompt.bundles.artefact import artefact
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.contents import load_model
from neuroprompt.compiler.conventions import Reading
from neuroprompt.contracts.deployment import Floats, Recording, SpikingTarget
from neuroprompt.energy.break_even import BreakEven, break_even_of
from neuroprompt.energy.count_spikes import ProgramCounts, by_image, count, lane_of
from neuroprompt.energy.effective import EffectiveCounts
from neuroprompt.energy.measured import MeasuredEnergy
from neuroprompt.energy.on_chip import OnChip, on_chip
from neuroprompt.errors import BadBundle, BadSetting, Unsupported
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
    reading    how the numbers of a NIR file were read, where it is one
    chip       the run of an integer program placed on a Loihi 1 (of the first image), or why there is none
    simulated  what a target with a model of its chip says of the same run: "joules.PART" and "seconds"
    """

    generator: Activity
    backbone: Activity
    baked: bool
    images: tuple[ProgramCounts, ...] = ()
    graphs: Mapping[str, GraphCounts] = field(default_factory=dict)
    delays: bool = False
    effective: EffectiveCounts | None = None
    measured: MeasuredEnergy | None = None
    reading: Reading | None = None
    chip: OnChip | str = ""
    simulated: Mapping[str, float] = field(default_factory=dict)

    @property
    def break_even(self) -> BreakEven | None:
        """Against an equal quantised network; None without neurons, or with delays: a single pass has no memory."""
        if not self.images or self.delays:
            return None
        return break_even_of(self.generator, self.images[0].nodes)

    def json(self) -> dict[str, object]:
        """What does not depend on the choice of prices: counts by image and node, by file and operator, break-even."""
        asked = {"effective": self.effective, "measured": self.measured, "reading": self.reading}
        return {
            "counted": {
                "images": [image.json() for image in self.images],
                "files": {name: _file_json(graph) for name, graph in self.graphs.items()},
            },
            "break_even": None if self.break_even is None else self.break_even.json(),
            "loihi1": {"not_estimated": self.chip} if isinstance(self.chip, str) else self.chip.json(),
            "simulated": dict(self.simulated),
            **{name: result.json() for name, result in asked.items() if result is not None},
        }


def counts(
    bundle: Bundle,
    onnx: Bundle | None = None,
    target: str = "loihi",
    precision: str = "fixed",
    form: str | None = None,
) -> Counts:
    """The counts of an opened bundle; `onnx` is the ONNX bundle of the same run, whose file is then the backbone.

    `form` says which file of an ONNX bundle is counted (`neuroprompt.bundles.forms`).

    The generator runs on the spiking target of that name, by default our emulator of the chip's integers.

    An ONNX bundle holds no generator: its prompt was made once, before it was baked, or is made by the graph. The MACs
    that make a generator's inputs count to the backbone, as they run where it does. A bundle without an ONNX file has
    its backbone's MACs in the manifest, counted from the torch modules. A bundle of a NIR graph has no backbone.
    Raises BadBundle, Unsupported.
    """
    if onnx is not None and (not artefact(onnx).takes_images or onnx.about.get("run") != bundle.about.get("run")):
        got = f"{onnx.folder}, a bundle for {onnx.kind!r}"
        raise BadBundle(got, f"one for 'onnx' of the run that {bundle.folder} was made of")
    opened, files = artefact(bundle), artefact(onnx or bundle).onnx_files(form)
    graphs, macs = {file.name: count_graph(file) for file in files}, opened.backbone_macs
    if not graphs and macs is None:
        got = f"{bundle.folder}, a bundle for {bundle.kind!r}, holds nothing to count"
        raise BadBundle(got, "one for lava or onnx")
    backbone = reduce(add, (graph.total for graph in graphs.values()), Activity(macs=0 if graphs else macs or 0))
    baked, tried = bool(backbone.macs) and not opened.per_image, opened.tried()
    if tried is None:
        return Counts(Activity(), backbone, baked, graphs=graphs)
    machine = target_of(target, precision)
    program = machine.program(load_model(bundle), precision)  # of one lane
    recording = machine.run(tried.model, tried.inputs, precision, states=True)
    images = tuple(by_image(program, recording, tried.inputs, tried.images))
    generator = reduce(add, (image.total for image in images)).over(len(images))
    first = np.split(tried.inputs, tried.images, axis=1)[0]
    chip = placed(program, lane_of(recording, tried.images, 0), first)
    return Counts(generator, backbone, baked, images, graphs, _delays(program), chip=chip)


def counts_of_model(model: SpikingModel, inputs: Floats, target: str = "reference", precision: str = "float") -> Counts:
    """The counts of one run of a spiking model on inputs (T, n_in), on any spiking target; it has no backbone.

    Raises what the target raises.
    """
    machine = target_of(target, precision)
    program = machine.program(model, precision)
    recording = machine.run(model, inputs, precision, states=True)
    image = count(program, recording, inputs)
    simulated = {key: float(value) for key, value in recording.cost.items()}
    chip = placed(program, recording, inputs)
    delays = _delays(program)
    return Counts(image.total, Activity(), False, (image,), delays=delays, chip=chip, simulated=simulated)


def placed(program: Program, recording: Recording, inputs: Floats) -> OnChip | str:
    """The run on a Loihi 1, or why there is none; "" for a program of floats, or another chip's."""
    if program.precision != "fixed" or program.chip == "xylo":
        return ""
    try:
        return on_chip(program, recording, program.encode(inputs))
    except Unsupported as error:
        return str(error)


def target_of(name: str, precision: str) -> SpikingTarget:
    """The spiking target of that name.

    Raises UnknownName where it is no spiking target, BadSetting where it has not that precision.
    """
    target = SpikingTarget.named(name)
    if precision not in target.precisions:
        fix = "--target loihi" if precision == "fixed" else f"--precision {target.precisions[0]}"
        raise BadSetting(f"{precision} on target {name!r}", f"one of: {', '.join(target.precisions)}", fix)
    return target


def _file_json(graph: GraphCounts) -> dict[str, object]:
    total = graph.total
    return {
        "macs": total.macs,
        "macs_int8": total.macs_int8,
        "macs_by_operator": graph.by_operator(),
        "reads": total.reads,
        "writes": total.writes,
        "footprint": graph.footprint,
    }


def _delays(program: Program) -> bool:
    return any(projection.lag for projection in program.projections)
