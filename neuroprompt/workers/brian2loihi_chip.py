"""A fixed program on Brian2Loihi's groups and synapses, its integers set directly; the rules stand in its target."""

from typing import Any

import numpy as np
from brian2 import SpikeMonitor, StateMonitor, prefs
from brian2_loihi import LoihiNetwork, LoihiNeuronGroup, LoihiSpikeGeneratorGroup, LoihiSynapses

prefs.codegen.target = "numpy"  # no compiler is asked for
MIXED, EXCITING, INHIBITING = 1, 2, 3

ALONE = True


def run(program: dict[str, Any], inputs: Any) -> dict[str, dict[str, Any]]:
    """Run from rest on spikes (T, n_in): spikes, u and v of every population, (T, n) each, its depth taken out."""
    steps, populations = len(inputs), program["populations"]
    chip_steps = steps + max(p["depth"] for p in populations)
    times, lines = np.nonzero(inputs)
    # A generator's spikes arrive in the step in which it sends them, all others one step later.
    groups: dict[str, Any] = {"input": LoihiSpikeGeneratorGroup(max(1, inputs.shape[1]), lines, times + 1)}
    groups |= {p["name"]: group_of(p) for p in populations}
    parts = list(groups.values())
    for q in program["projections"]:
        weights = q["weights"]
        if isinstance(weights, np.ndarray):
            dense = np.diag(weights) if weights.ndim == 1 else weights
        else:
            dense = weights.toarray()
        rows, columns = np.nonzero(dense)
        if not len(rows):
            continue
        values = dense[rows, columns].astype(np.int64)
        sign = MIXED if values.min() < 0 < values.max() else EXCITING if values.min() >= 0 else INHIBITING
        synapses = LoihiSynapses(
            groups[q["source"]], groups[q["target"]], delay=q["delay"], w_exp=q["exponent"], sign_mode=sign
        )
        synapses.connect(i=columns, j=rows)
        synapses.w = values
        parts.append(synapses)
    # I holds u between the synapses and the step of the neurons, which ends with its decay.
    monitors = {
        p["name"]: (
            SpikeMonitor(groups[p["name"]]),
            StateMonitor(groups[p["name"]], "I", record=True, when="before_groups"),
            StateMonitor(groups[p["name"]], "v", record=True, when="end"),
        )
        for p in populations
    }
    LoihiNetwork(*parts, *(monitor for each in monitors.values() for monitor in each)).run(chip_steps)
    traces: dict[str, dict[str, Any]] = {"spikes": {}, "u": {}, "v": {}}
    for p in populations:
        spikes, u, v = monitors[p["name"]]
        fired = np.zeros((chip_steps, p["size"]), bool)
        fired[np.rint(np.asarray(spikes.t) * 1000).astype(int), np.asarray(spikes.i)] = True
        kept = slice(p["depth"], p["depth"] + steps)
        traces["spikes"][p["name"]] = fired[kept]
        traces["u"][p["name"]] = np.rint(np.asarray(u.I).T[kept]).astype(np.int64)
        traces["v"][p["name"]] = np.rint(np.asarray(v.v).T[kept]).astype(np.int64)
    return traces


def group_of(p: dict[str, Any]) -> Any:
    """The neurons of a population; a refractory period of 2 steps is one in which v stays at 0."""
    return LoihiNeuronGroup(
        p["size"],
        refractory=2 if p["hold"] else 1,
        threshold_v_mant=int(np.max(p["vth"])),
        decay_v=int(np.max(p["dv"])),
        decay_I=int(np.max(p["du"])) + 1,
    )
