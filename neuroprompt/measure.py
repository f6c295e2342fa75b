"""Recordings compared spike by spike, models verified on every target at hand, and activity counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.activity import Activity
from neuroprompt.contracts import Floats, Recording, SpikingTarget, Target
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.lower import stimulus
from neuroprompt.program import Model
from neuroprompt.progress import SILENT, Progress

REFERENCE = "reference"
EMULATOR = "loihi"


def compare(reference: Recording, other: Recording) -> dict[str, Any]:
    """How `other` agrees with `reference`, spike by spike.

    spike_exact     equal (step, neuron) cells of all cells; 1.0 only where all are equal
    jaccard         spikes in both of spikes in either; 1.0 where neither has any
    rate_cosine     cosine of the neurons' mean rates (Pedersen et al., Nat. Commun. 15:8122, 2024)
    first_mismatch  the earliest unequal cell (node, step, neuron, both potentials after the reset), or None
    """
    if list(reference.spikes) != list(other.spikes):
        raise BadSetting(f"recordings of {list(other.spikes)}", f"the same nodes: {list(reference.spikes)}")
    a, b = _all(reference), _all(other)
    if a.shape != b.shape:
        raise BadSetting(f"recordings of shape {b.shape}", f"{a.shape}: steps, neurons")
    equal, either = int((a == b).sum()), int((a | b).sum())
    return {
        "spike_exact": equal / a.size,
        "jaccard": int((a & b).sum()) / either if either else 1.0,
        "rate_cosine": _cosine(a.mean(axis=0), b.mean(axis=0)),
        "first_mismatch": None if equal == a.size else _first_mismatch(reference, other),
        "spikes": int(b.sum()),
        "spikes_reference": int(a.sum()),
        "seconds": other.seconds,
    }


def verify(
    model: Model,
    inputs: Floats | None = None,
    targets: Sequence[str] | None = None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Run `model` on every spiking target at hand (or on `targets`) and compare each with the reference.

    `inputs` (T, n_in): None for zeros under constant drive, seeded spikes otherwise. Keys of "targets" are names, with
    the precision where a target has more than one; fixed ones are also held to our emulator ("exact_with_emulator"),
    and their potentials are in the chip's units. What cannot run stands in "skipped" with its reason and fix. Raises
    what a target raises while running.
    """
    inputs = stimulus(model.float_program) if inputs is None else inputs
    reference = _spiking(REFERENCE).run(model, inputs, "float", states=True)
    cells = _all(reference)
    result: dict[str, Any] = {
        "reference": {
            "spikes": int(cells.sum()),
            "steps": cells.shape[0],
            "neurons": cells.shape[1],
            "seconds": reference.seconds,
        },
        "targets": {},
        "skipped": {},
    }
    emulated: Recording | None = None
    for key, name, precision in progress.track(_runs(targets, result["skipped"]), "verifying"):
        try:
            recording = _spiking(name).run(model, inputs, precision, states=True)
        except Unsupported as error:
            result["skipped"][key] = str(error)
            continue
        found = compare(reference, recording)
        if precision == "fixed" and name != EMULATOR:
            if emulated is None:
                emulated = _spiking(EMULATOR).run(model, inputs, "fixed", states=True)
            found["exact_with_emulator"] = compare(emulated, recording)["spike_exact"]
        result["targets"][key] = found
    return result


def activity(model: Model, recording: Recording, inputs: Floats, precision: str) -> Activity:
    """Spikes, synaptic operations and updates of one run, by NeuroBench's definitions.

    synops: for every spike, and every input that is not 0, the non-zero weights of that precision that it meets.
    """
    program = model.program(precision)
    emitted: dict[str, NDArray[Any]] = {"input": program.encode(inputs) != 0, **recording.spikes}
    fan_out = {(p.source, p.target): np.count_nonzero(np.atleast_2d(p.weights), axis=0) for p in program.projections}
    synops = sum(int(emitted[source].sum(axis=0) @ count) for (source, _), count in fan_out.items())
    cells = _all(recording)
    return Activity(spikes=int(cells.sum()), synops=synops, updates=cells.size, updates_active=int(cells.sum()))


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
    target = Target.named(name)
    assert isinstance(target, SpikingTarget)
    return target


def _all(recording: Recording) -> NDArray[np.bool_]:
    return np.concatenate([s.astype(bool) for s in recording.spikes.values()], axis=1)


def _first_mismatch(reference: Recording, other: Recording) -> dict[str, Any]:
    unequal = {name: reference.spikes[name] != other.spikes[name] for name in reference.spikes}
    name = min((n for n in unequal if unequal[n].any()), key=lambda n: int(unequal[n].any(axis=1).argmax()))
    step = int(unequal[name].any(axis=1).argmax())
    neuron = int(unequal[name][step].argmax())
    where = (step, neuron)
    return {
        "node": name,
        "step": step,
        "neuron": neuron,
        "reference_v": float(reference.v[name][where]) if name in reference.v else None,
        "v": float(other.v[name][where]) if name in other.v else None,
    }


def _cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if norm == 0:
        return 1.0 if not a.any() and not b.any() else 0.0
    return min(float(a @ b) / norm, 1.0)
