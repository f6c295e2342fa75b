"""What of NIR a spiking target supports: a small graph for every primitive and habit, shown to the target's code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import nir
import numpy as np

from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.quantise import quantise
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.time_step import DT_SECONDS

STEPS = 6
LOIHI = "loihi"
"""Of other integers a target's `refuse` says all."""


def features() -> dict[str, nir.NIRGraph]:
    """A graph of a few neurons for each."""
    w, b, image = np.array([[0.9, 0.7], [0.8, 0.6]]), np.full(2, 0.2), np.full((1, 1, 2, 2), 0.5)
    two, window = (2,), np.array([2, 2])
    tau, low = np.full(2, 3 * DT_SECONDS), np.full(2, -0.1)
    own = nir.LIF(tau=tau * [1, 2], r=np.ones(2), v_leak=np.zeros(2), v_threshold=np.array([0.2, 0.3]))
    cuba = {"tau_syn": tau, "tau_mem": tau, "r": np.full(2, 3.0), "v_leak": np.zeros(2), "w_in": np.full(2, 3.0)}
    conv = nir.Conv2d((4, 4), image, 1, 0, 1, 1, np.zeros(1))
    line = nir.Conv1d(4, np.full((1, 1, 3), 0.5), 1, 0, 1, 1, np.zeros(1))
    flat = nir.Flatten({"input": np.array([1, 2])}, 0, -1)
    inner = _row(two, nir.Linear(w))
    leaky = nir.LIF(tau=tau, r=np.ones(2), v_leak=np.full(2, 0.1), v_threshold=np.full(2, 0.2))
    slow = {"tau_syn": np.full(2, 2 * DT_SECONDS), "tau_mem": np.full(2, 4 * DT_SECONDS)}
    halving = nir.CubaLIF(**cuba | slow, v_threshold=np.full(2, 0.5))
    back = _row(two, nir.Linear(w), _if(2))
    back.nodes["rec"] = nir.Affine(w * 0.1, b * 0.1)
    back.edges += [("n1", "rec"), ("rec", "n1")]
    return {
        "Affine": _row(two, nir.Affine(w, b), _if(2)),
        "Linear": _row(two, nir.Linear(w), _if(2)),
        "Scale": _row(two, nir.Scale(np.array([0.9, 0.8])), _if(2)),
        "Conv1d": _row((1, 4), line, _if(1, 2)),
        "Conv2d": _row((1, 4, 4), conv, _if(1, 3, 3)),
        "SumPool2d": _row((1, 4, 4), nir.SumPool2d(window, window, window * 0), _if(1, 2, 2)),
        "AvgPool2d": _row((1, 4, 4), nir.AvgPool2d(window, window, window * 0), _if(1, 2, 2)),
        "Flatten": _row((1, 2), flat, nir.Linear(w), _if(2)),
        "Delay": _row(two, nir.Linear(w), nir.Delay(np.array([1, 2]) * DT_SECONDS), _if(2)),
        "IF": _row(two, nir.Linear(w), _if(2)),
        "LIF": _row(two, nir.Linear(w), nir.LIF(tau=tau, r=np.ones(2), v_leak=b * 0, v_threshold=b)),
        "CubaLIF": _row(two, nir.Linear(w), nir.CubaLIF(**cuba, v_threshold=np.full(2, 0.5))),
        "Threshold": _row(two, nir.Linear(w), nir.Threshold(np.full(2, 0.5))),
        "I at the end": _row(two, nir.Linear(w), _if(2), nir.Linear(w), nir.I(r=np.ones(2))),
        "LI at the end": _row(two, nir.Linear(w), _if(2), nir.Linear(w), nir.LI(tau=tau, r=b + 1, v_leak=b * 0)),
        "CubaLI at the end": _row(two, nir.Linear(w), _if(2), nir.Linear(w), nir.CubaLI(**cuba)),
        "LI between": _row(two, nir.Linear(w), nir.LI(tau=tau, r=b + 1, v_leak=b * 0), nir.Linear(w), _if(2)),
        "nested graphs": _row(two, inner, _if(2)),
        "recurrence": back,
        "v_leak": _row(two, nir.Linear(w), leaky),
        "v_reset": _row(two, nir.Linear(w), _if(2, v_reset=low)),
        "own parameters": _row(two, nir.Linear(w), own),
        "CubaLIF, its reset subtracts": _row(two, nir.Linear(w), halving, reset="subtract"),
    }


@dataclass(frozen=True)
class Support:
    """What of NIR a target runs: for every feature of `features` why it does not, "" where it does."""

    reasons: Mapping[str, str]

    def json(self) -> dict[str, str]:
        """For scripts."""
        return dict(self.reasons)


def supported(target: SpikingTarget) -> Support:
    """Ask the target's code for every feature; nothing is run. Where it runs integers they are fitted first."""
    reasons = {}
    for name, graph in features().items():
        program = lower(graph, STEPS)
        try:
            target.refuse(program)
            if "fixed" in target.precisions and target.integers == LOIHI:
                quantise(program)
            reasons[name] = ""
        except Unsupported as reason:
            reasons[name] = str(reason)
    return Support(reasons)


def _row(shape: tuple[int, ...], *nodes: Any, **metadata: str) -> nir.NIRGraph:
    named: dict[str, Any] = {"input": nir.Input({"input": np.array(shape)})}
    named |= {f"n{i}": node for i, node in enumerate(nodes)}
    named["output"] = nir.Output({"output": None})
    return nir.NIRGraph(named, list(pairwise(named)), metadata=dict(metadata), type_check=False)


def _if(*shape: int, **other: Any) -> nir.IF:
    return nir.IF(**({"r": np.ones(shape), "v_threshold": np.full(shape, 0.4), "v_reset": np.zeros(shape)} | other))
