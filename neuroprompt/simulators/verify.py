"""Models verified on every target at hand, spike by spike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.lower import stimulus
from neuroprompt.compiler.report import rounding_words
from neuroprompt.contracts.deployment import Floats, Recording, SpikingTarget
from neuroprompt.errors import Unsupported, WorkerFailed
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.compare import Agreement, all_spikes, by_item, compare, known_cause
from neuroprompt.simulators.decode import OutputNeurons, Reader, check_labels, output_node
from neuroprompt.simulators.per_item import PerItem, Spread
from neuroprompt.spiking.program import SpikingModel

REFERENCE = "reference"
LOIHI = "loihi"
"""The target whose integers a SpikingModel has itself."""
TOLERANCE = 1e-4
"""How far values of nodes that never fire may be off, of the largest: some simulators compute in float32."""


@dataclass(frozen=True)
class TargetAgreement(Agreement):
    """How a target agrees with the reference.

    cause                       why spikes differ, where it is known (`neuroprompt.simulators.compare.known_cause`)
    integers                    of integers, the target that defines them (`SpikingTarget.integers`); None of floats
    scale_report                of integers that are not Loihi's, what they changed, with the scales
    delay                       the chip's steps, by node, already taken out
    accuracy, changed           of a data set: the share of items whose class is their label, None without labels; and
                                the items whose class is not the reference's
    counts                      of each item of a data set
    exact_with_emulator         share of entries that match those of the target that defines these integers; None of
                                float targets, and of that target itself
    states_exact_with_emulator  whether u and v do, integer by integer; None where the target does not give them
    """

    cause: str | None = None
    delay: Mapping[str, int] = field(default_factory=dict)
    integers: str | None = None
    scale_report: Mapping[str, Any] | None = None
    exact_with_emulator: float | None = None
    states_exact_with_emulator: bool | None = None
    accuracy: float | None = None
    changed: int | None = None
    counts: PerItem | None = field(default=None, repr=False, compare=False)

    def json(self) -> dict[str, Any]:
        """For scripts; what concerns the emulator only where it was compared with it, and classes of a data set."""
        result = super().json()
        del result["counts"]
        if self.changed is None:
            del result["accuracy"], result["changed"]
        if self.counts is not None:
            result["spikes_per_item"] = Spread.of(self.counts.spikes).json()
            result["synops_per_item"] = Spread.of(self.counts.synops).json()
        if self.integers is None:
            del result["integers"]
        if self.scale_report is None:
            del result["scale_report"]
        if self.exact_with_emulator is None:
            del result["exact_with_emulator"], result["states_exact_with_emulator"]
        if self.seconds is None:
            del result["seconds"]
        return result


@dataclass(frozen=True)
class ReferenceRun:
    """What the reference did, over all neurons; of a data set over all items, of `steps` steps each.

    `several`: by node whose reset subtracts, in how many (step, neuron) entries v was two thresholds or more, and is
    still one after its spike. A neuron here fires once a step.
    """

    spikes: int
    steps: int
    neurons: int
    seconds: float | None = None
    accuracy: float | None = None
    several: Mapping[str, int] = field(default_factory=dict)

    def words(self) -> list[str]:
        """What `several` means for the libraries that it may come from, a line a node."""
        return [
            f"check: node {name!r} reaches two thresholds in {count:,} entries and fires once there: sinabs and "
            "Rockpool fire more often, and snnTorch with reset_delay=False subtracts again"
            for name, count in self.several.items()
        ]


@dataclass(frozen=True)
class Verification:
    """Every target against the reference, by name, with the precision where a target has more than one.

    What cannot run is in `skipped` with its reason and fix, and a target whose process broke in `failed`. `recordings`
    holds what the reference and every target did; potentials of fixed ones are in the chip's units. Of a data set there
    are `items`, and recordings hold the first of them, one after the other.
    """

    reference: ReferenceRun
    targets: Mapping[str, TargetAgreement]
    skipped: Mapping[str, str]
    failed: Mapping[str, str]
    recordings: Mapping[str, Recording] = field(default_factory=dict, repr=False, compare=False)
    items: int | None = None

    @property
    def agrees(self) -> bool:
        """Whether float targets match the reference, and integers their emulator, which alone may differ from it."""
        return not self.failed and all(map(_agrees, self.targets.values()))

    def rates(self) -> dict[str, NDArray[Any]]:
        """Spikes a step of each neuron of the reference, by node."""
        for target in self.targets.values():
            return {name: node.matches.reference / node.matches.steps for name, node in target.nodes.items()}
        return {name: fired.mean(axis=0) for name, fired in self.recordings[REFERENCE].spikes.items()}

    def untimed(self) -> Verification:
        """Without the seconds: what files keep, the same each time."""
        targets = {name: replace(target, seconds=None) for name, target in self.targets.items()}
        return replace(self, reference=replace(self.reference, seconds=None), targets=targets)

    def json(self) -> dict[str, Any]:
        """For scripts; without the recordings."""
        reference = asdict(self.reference)
        if self.items is None:
            del reference["accuracy"]
        if reference["seconds"] is None:
            del reference["seconds"]
        if not self.reference.several:
            del reference["several"]
        return {
            **({} if self.items is None else {"items": self.items}),
            "reference": reference,
            "targets": {name: target.json() for name, target in self.targets.items()},
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
        }


def verify(
    model: SpikingModel,
    inputs: Floats | None = None,
    targets: Sequence[str] | None = None,
    progress: Progress = SILENT,
    *,
    labels: NDArray[np.int64] | None = None,
    decode: str | None = None,
    reader: Reader | None = None,
    first: int = 0,
) -> Verification:
    """Run `model` on every spiking target at hand (or on `targets`) and compare each with the reference.

    `inputs` (T, n_in): None for zeros where the model drives itself, seeded spikes otherwise; or a data set
    (B, T, n_in), over all of whose items spikes are compared, and the class of each, by `reader`, or `decode` of the
    output's neurons (`neuroprompt.simulators.decode`), with `labels` (B,) where there are any. They may be a part of
    a data set, from item `first` on (`neuroprompt.simulators.verify_parts`). Raises UnknownName, BadData, BadSetting.
    """
    inputs = stimulus(model.float_program) if inputs is None else inputs
    classes = None
    if inputs.ndim == 3:
        classes = Classes(reader or OutputNeurons(output_node(model.graph), decode), labels, first)
    reference = _recorded(SpikingTarget.named(REFERENCE), "float", model, inputs, classes)
    thresholds = {p.name: p.vth for p in model.float_program.populations if p.emits == "spikes"}
    runs, skipped = _runs(SpikingTarget.names() if targets is None else targets)
    agreements: dict[str, TargetAgreement] = {}
    failed: dict[str, str] = {}
    recordings = {REFERENCE: reference.recording}
    emulated: dict[str, Recording] = {}
    for key, name, precision in progress.track(runs, "verifying"):
        try:
            target = SpikingTarget.named(name)
            recorded = _recorded(target, precision, model, inputs, classes)
        except Unsupported as error:
            skipped[key] = str(error)
            continue
        except WorkerFailed as error:
            failed[key] = str(error)
            continue
        recording = recordings[key] = recorded.recording
        report = target.scale_report(model) if precision == "fixed" else {}
        cause = known_cause(reference.recording, recording, precision, thresholds, rounding_words(report))
        compared = compare(reference.recording, recording)
        if classes is not None:
            compared = by_item(compared, inputs.shape[-2])
        agreement = TargetAgreement(**vars(compared), cause=cause, delay=dict(recording.delay))
        if recorded.predicted is not None and reference.predicted is not None:
            changed = int((recorded.predicted != reference.predicted).sum())
            agreement = replace(agreement, accuracy=recorded.accuracy, changed=changed, counts=recorded.counts)
        if precision == "fixed":
            if name == target.integers:
                emulated[name] = recording
            elif target.integers not in emulated:
                emulator = SpikingTarget.named(target.integers)
                emulated[target.integers] = _recorded(emulator, "fixed", model, inputs, classes).recording
            own = None if target.integers == LOIHI else report
            agreement = replace(agreement, integers=target.integers, scale_report=own)
            agreement = _as_integers(agreement, emulated[target.integers], recording)
        agreements[key] = agreement
    steps, neurons = all_spikes(reference.recording).shape
    spikes = sum(int(fired.sum()) for fired in reference.recording.spikes.values())
    steps = steps if classes is None else inputs.shape[1]
    several = _several(model, reference.recording)
    run = ReferenceRun(spikes, steps, neurons, reference.recording.seconds, reference.accuracy, several)
    return Verification(run, agreements, skipped, failed, recordings, None if classes is None else len(inputs))


@dataclass(frozen=True)
class Classes:
    """How items become classes, their labels where there are any, and which item is the first."""

    reader: Reader
    labels: NDArray[np.int64] | None
    first: int


@dataclass(frozen=True)
class _Recorded:
    """One target's run, a data set's end to end, with the class of each item."""

    recording: Recording
    predicted: NDArray[np.int64] | None = None
    accuracy: float | None = None
    counts: PerItem | None = None


def _recorded(
    target: SpikingTarget, precision: str, model: SpikingModel, inputs: Floats, classes: Classes | None
) -> _Recorded:
    """What a target does, potentials too."""
    recording = target.run(model, inputs, precision, states=True)
    if classes is None:
        return _Recorded(recording)
    if classes.labels is not None:
        check_labels(classes.labels, classes.reader.count(recording))
    predicted = classes.reader.classes(recording, inputs, classes.first)
    accuracy = None if classes.labels is None else float((predicted == classes.labels).mean())
    counts = PerItem.of(target.program(model, precision), recording, inputs)
    return _Recorded(recording.end_to_end(), predicted, accuracy, counts)


def _several(model: SpikingModel, recording: Recording) -> dict[str, int]:
    subtracting = [p for p in model.float_program.populations if p.reset == "subtract" and np.any(p.vth)]
    counts = {p.name: int((recording.v[p.name] >= p.vth).sum()) for p in subtracting}
    return {name: count for name, count in counts.items() if count}


def _agrees(target: TargetAgreement) -> bool:
    if target.integers is not None:
        return target.exact_with_emulator in (None, 1.0)
    return target.spike_exact == 1.0 and all(value.max_rel_diff < TOLERANCE for value in target.values.values())


def _as_integers(agreement: TargetAgreement, emulated: Recording, recording: Recording) -> TargetAgreement:
    """The agreement, with that of the integers; as it is where the recording is the emulator's own."""
    if recording is emulated:
        return agreement
    exact, states = compare(emulated, recording).spike_exact, _same_states(emulated, recording)
    return replace(agreement, exact_with_emulator=exact, states_exact_with_emulator=states)


def _same_states(emulated: Recording, other: Recording) -> bool | None:
    """Whether u and v are equal, integer by integer, at every step; None where the target does not give them."""
    if not other.u or not other.v:
        return None
    pairs = [(emulated.u, other.u), (emulated.v, other.v)]
    return all(np.array_equal(a[name], b[name]) for a, b in pairs for name in a)


def _runs(targets: Sequence[str]) -> tuple[list[tuple[str, str, str]], dict[str, str]]:
    """(key, name, precision) of what can run here, and by name why the others cannot."""
    runs: list[tuple[str, str, str]] = []
    skipped: dict[str, str] = {}
    for name in targets:
        part = SpikingTarget.part(name)
        if name == REFERENCE:
            continue
        here = part.available()
        if not here.ok:
            skipped[name] = "; ".join(s for s in (here.how, here.fix) if s)
            continue
        several = len(part.precisions) > 1
        runs += [(f"{name}-{precision}" if several else name, name, precision) for precision in part.precisions]
    return runs, skipped
