"""Models verified on every target at hand, spike by spike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import Floats, Recording, SpikingTarget, Target
from neuroprompt.errors import BadSetting, Unsupported, WorkerFailed
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.compare import cells, compare, known_cause
from neuroprompt.spiking.program import SpikingModel

REFERENCE = "reference"
EMULATOR = "loihi"


def verify(
    model: SpikingModel,
    inputs: Floats | None = None,
    targets: Sequence[str] | None = None,
    progress: Progress = SILENT,
    recordings: dict[str, Recording] | None = None,
) -> dict[str, Any]:
    """Run `model` on every spiking target at hand (or on `targets`) and compare each with the reference.

    `inputs` (T, n_in): None for zeros under constant drive, seeded spikes otherwise. Keys of "targets" are names, with
    the precision where a target has more than one; fixed ones are also held to our emulator ("exact_with_emulator",
    "states_exact_with_emulator"), and their potentials are in the chip's units. "cause" says why spikes differ, where
    that is known (`neuroprompt.simulators.compare.known_cause`); "delay" are the chip's steps, by node, taken out.
    What cannot run stands in "skipped" with its reason and fix, and a target whose process broke in "failed"; the rest
    runs all the same. `recordings`, where given, gets what every target did.
    """
    inputs = stimulus(model.float_program) if inputs is None else inputs
    reference = _spiking(REFERENCE).run(model, inputs, "float", states=True)
    fired = cells(reference)
    result: dict[str, Any] = {
        "reference": {
            "spikes": int(fired.sum()),
            "steps": fired.shape[0],
            "neurons": fired.shape[1],
            "seconds": reference.seconds,
        },
        "targets": {},
        "skipped": {},
        "failed": {},
    }
    emulated: Recording | None = None
    thresholds = {p.name: p.vth for p in model.float_program.populations if p.emits == "spikes"}
    kept = {} if recordings is None else recordings
    kept[REFERENCE] = reference
    for key, name, precision in progress.track(_runs(targets, result["skipped"]), "verifying"):
        try:
            recording = _spiking(name).run(model, inputs, precision, states=True)
        except Unsupported as error:
            result["skipped"][key] = str(error)
            continue
        except WorkerFailed as error:
            result["failed"][key] = str(error)
            continue
        found, kept[key] = compare(reference, recording), recording
        if precision == "fixed" and name != EMULATOR:
            if emulated is None:
                emulated = _spiking(EMULATOR).run(model, inputs, "fixed", states=True)
            found["exact_with_emulator"] = compare(emulated, recording)["spike_exact"]
            found["states_exact_with_emulator"] = _same_states(emulated, recording)
        found["cause"] = known_cause(reference, recording, precision, thresholds)
        found["delay"] = dict(recording.delay)
        result["targets"][key] = found
    return result


def _same_states(emulated: Recording, other: Recording) -> bool | None:
    """Whether u and v are equal, integer by integer, at every step; None where the target does not give them."""
    if not other.u or not other.v:
        return None
    pairs = [(emulated.u, other.u), (emulated.v, other.v)]
    return all(np.array_equal(a[name], b[name]) for a, b in pairs for name in a)


def _runs(targets: Sequence[str] | None, skipped: dict[str, str]) -> list[tuple[str, str, str]]:
    """(key, name, precision) of what can run here; the reasons of what cannot go to `skipped`."""
    runs: list[tuple[str, str, str]] = []
    for name in Target.names() if targets is None else targets:
        part = Target.part(name)
        if not issubclass(part, SpikingTarget):
            if targets is not None:
                raise BadSetting(f"target {name!r} runs no spiking models", "a spiking target")
            continue
        if name == REFERENCE:
            continue
        here = part.available()
        if not here.ok:
            skipped[name] = "; ".join(s for s in (here.how, here.fix) if s)
            continue
        several = len(part.precisions) > 1
        runs += [(f"{name}-{precision}" if several else name, name, precision) for precision in part.precisions]
    return runs


def _spiking(name: str) -> SpikingTarget:
    return SpikingTarget.named(name)
