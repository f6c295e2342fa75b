"""The plain definition of right: the NIR graph's own equations, step by step in float64 numpy, without delays."""

from __future__ import annotations

import time
from importlib.metadata import version

import nir
import numpy as np

from neuroprompt.contracts import Availability, Floats, Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.graph import chain, dt_of
from neuroprompt.program import Model


class Reference(SpikingTarget):
    """x -> W x + b;  IF: v <- v + r I;  LIF: v <- (1 - dt/tau) v + (v_leak + r I) dt/tau;  spike if v > v_threshold,
    then v <- v_reset. Spikes reach the next node in the same step.
    """

    about = "plain float64 numpy on the NIR graph: the definition that all others are compared with"

    @classmethod
    def available(cls) -> Availability:
        """Always: numpy is all it needs."""
        return Availability(True, "in process", f"numpy {version('numpy')}")

    def run(self, model: Model, inputs: Floats, precision: str = "float", states: bool = False) -> Recording:
        """Run the graph on `inputs` (T, n_in); raises Unsupported. Potentials are those after the reset."""
        nodes, dt = chain(model.graph), dt_of(model.graph)
        if inputs.ndim != 2 or inputs.shape[1] != np.prod(nodes[0][1].input_type["input"]):
            raise Unsupported(f"inputs of shape {inputs.shape}", f"(T, {np.prod(nodes[0][1].input_type['input'])})")
        v = {name: np.zeros(node.r.size) for name, node in nodes if isinstance(node, (nir.IF, nir.LIF))}
        spikes = {name: np.zeros((len(inputs), v[name].size), bool) for name in v}
        potentials = {name: np.zeros((len(inputs), v[name].size)) for name in v}
        start = time.perf_counter()
        for t, x in enumerate(inputs.astype(np.float64)):
            for name, node in nodes:
                if isinstance(node, nir.Affine):
                    x = node.weight @ x + node.bias.reshape(-1)  # noqa: PLW2901
                elif isinstance(node, nir.Linear):
                    x = node.weight @ x  # noqa: PLW2901
                elif isinstance(node, (nir.IF, nir.LIF)):
                    current = node.r.reshape(-1) * x
                    if isinstance(node, nir.IF):
                        v[name] = v[name] + current
                    else:
                        leak = dt / node.tau.reshape(-1)
                        v[name] = (1 - leak) * v[name] + (node.v_leak.reshape(-1) + current) * leak
                    fired = v[name] > node.v_threshold.reshape(-1)
                    v[name] = np.where(fired, node.v_reset.reshape(-1), v[name])
                    spikes[name][t], potentials[name][t] = fired, v[name]
                    x = fired.astype(np.float64)  # noqa: PLW2901
        return Recording(spikes, time.perf_counter() - start, potentials if states else {})
