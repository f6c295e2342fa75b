"""Models verified on every target at hand, spike by spike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from neuroprompt.compiler.lower import stimulus
from neuroprompt.compiler.report import rounding_words
from neuroprompt.contracts.deployment import Floats, Recording, SpikingTarget
from neuroprompt.errors import Unsupported, WorkerFailed
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.compare import Agreement, all_spikes, compare, known_cause
from neuroprompt.spiking.program import SpikingModel

REFERENCE = "reference"
EMULATOR = "loihi"
TOLERANCE = 1e-4
"""How far values of nodes that never fire may be off, of the largest: some simulators compute in float32."""


@dataclass(frozen=True)
class TargetAgreement(Agreement):
    """How a target agrees with the reference.

    cause                       why spikes differ, where it is known (`neuroprompt.simulators.compare.known_cause`)
    delay                       the chip's steps, by node, already taken out
    exact_with_emulator         share of entries that match our emulator's; None of float targets, and of the emulator
    states_exact_with_emulator  whether u and v do, integer by integer; None where the target does not give them
    """

    cause: str | None = None
    delay: Mapping[str, int] = field(default_factory=dict)
    exact_with_emulator: float | None = None
    states_exact_with_emulator: bool | None = None

    def json(self) -> dict[str, Any]:
        """For scripts; what concerns the emulator only where it was compared with it."""
        result = super().json()
        if self.exact_with_emulator is None:
            del result["exact_with_emulator"], result["states_exact_with_emulator"]
        return result


@dataclass(frozen=True)
class ReferenceRun:
    """What the reference did, over all neurons."""

    spikes: int
    steps: int
    neurons: int
    seconds: float | None = None


@dataclass(frozen=True)
class Verification:
    """Every target against the reference, by name, with the precision where a target has more than one.

    What cannot run is in `skipped` with its reason and fix, and a target whose process broke in `failed`. `recordings`
    holds what the reference and every target did; potentials of fixed ones are in the chip's units.
    """

    reference: ReferenceRun
    targets: Mapping[str, TargetAgreement]
    skipped: Mapping[str, str]
    failed: Mapping[str, str]
    recordings: Mapping[str, Recording] = field(default_factory=dict, repr=False, compare=False)

    @property
    def agrees(self) -> bool:
        """Whether float targets match the reference, and integers our emulator, which alone may differ from it."""
        return not self.failed and all(
            _agrees(target) for name, target in self.targets.items() if name != f"{EMULATOR}-fixed"
        )

    def untimed(self) -> Verification:
        """Without the seconds: what files keep, the same each time."""
        targets = {name: replace(target, seconds=None) for name, target in self.targets.items()}
        return replace(self, reference=replace(self.reference, seconds=None), targets=targets)

    def json(self) -> dict[str, Any]:
        """For scripts; without the recordings."""
        return {
            "reference": {name: value for name, value in asdict(self.reference).items() if value is not None},
            "targets": {name: target.json() for name, target in self.targets.items()},
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
        }


def verify(
    model: SpikingModel,
    inputs: Floats | None = None,
    targets: Sequence[str] | None = None,
    progress: Progress = SILENT,
) -> Verification:
    """Run `model` on every spiking target at hand (or on `targets`) and compare each with the reference.

    `inputs` (T, n_in): None for zeros where the model drives itself, seeded spikes otherwise. Raises UnknownName.
    """
    inputs = stimulus(model.float_program) if inputs is None else inputs
    reference = SpikingTarget.named(REFERENCE).run(model, inputs, "float", states=True)
    thresholds = {p.name: p.vth for p in model.float_program.populations if p.emits == "spikes"}
    runs, skipped = _runs(SpikingTarget.names() if targets is None else targets)
    agreements: dict[str, TargetAgreement] = {}
    failed: dict[str, str] = {}
    recordings = {REFERENCE: reference}
    emulated: Recording | None = None
    for key, name, precision in progress.track(runs, "verifying"):
        try:
            recording = SpikingTarget.named(name).run(model, inputs, precision, states=True)
        except Unsupported as error:
            skipped[key] = str(error)
            continue
        except WorkerFailed as error:
            failed[key] = str(error)
            continue
        recordings[key] = recording
        cause = known_cause(reference, recording, precision, thresholds, rounding_words(model.scale_report))
        agreement = TargetAgreement(**vars(compare(reference, recording)), cause=cause, delay=dict(recording.delay))
        if precision == "fixed" and name != EMULATOR:
            if emulated is None:
                emulated = SpikingTarget.named(EMULATOR).run(model, inputs, "fixed", states=True)
            exact, states = compare(emulated, recording).spike_exact, _same_states(emulated, recording)
            agreement = replace(agreement, exact_with_emulator=exact, states_exact_with_emulator=states)
        agreements[key] = agreement
    steps, neurons = all_spikes(reference).shape
    spikes = sum(int(fired.sum()) for fired in reference.spikes.values())
    run = ReferenceRun(spikes, steps, neurons, reference.seconds)
    return Verification(run, agreements, skipped, failed, recordings)


def _agrees(target: TargetAgreement) -> bool:
    if target.exact_with_emulator is not None:
        return target.exact_with_emulator == 1.0
    return target.spike_exact == 1.0 and all(value.max_rel_diff < TOLERANCE for value in target.values.values())


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
