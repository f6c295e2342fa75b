"""A whole float program as one nengo network, in nengo's own package; the equations stand in targets/nengo.py."""

from typing import Any, ClassVar

import nengo
import numpy as np
from nengo.dists import Choice

ALONE = True
"""A network is one run."""


class Neurons(nengo.neurons.NeuronType):  # type: ignore[misc]  # nengo has no types
    """The program's neurons: u = u (1 - du) + J; v = v (1 - dv) + u + bias; spike if v > vth; v = v_reset.

    Or v = v - vth, at a spike or in the next step, as the population says.
    """

    state: ClassVar = {"u": Choice([0]), "v": Choice([0]), "late": Choice([0])}
    spiking = True

    def __init__(self, population: dict[str, Any]) -> None:
        super().__init__()
        self.population = population

    def step(self, dt: float, J: Any, output: Any, u: Any, v: Any, *, late: Any) -> None:
        """One time step, in place."""
        of = self.population
        u[:] = u * (1 - of["du"]) + J
        v[:] = v * (1 - of["dv"]) + u + of["bias"] - late
        fired = v > of["vth"]
        output[:] = fired / dt if of["emits"] == "spikes" else v
        if of["reset"] == "value":
            v[:] = np.where(fired, of["v_reset"], v)
        elif of["reset"] == "subtract":
            v[:] = v - np.where(fired, of["vth"], 0)
        else:
            late[:] = np.where(fired, of["vth"], 0)

    def max_rates_intercepts(self, gain: Any, bias: Any) -> Any:
        """Nengo asks for them when it builds; they serve only what it fits, and nothing is fitted here."""
        return np.zeros_like(gain), np.zeros_like(gain)


def run(spec: dict[str, Any], inputs: Any) -> dict[str, dict[str, Any]]:
    """Run from rest on inputs (T, n_in): what every population emits, and its v after the reset, (T, n) each."""
    steps = len(inputs)
    with nengo.Network() as net:
        at = {"input": nengo.Node(lambda t: inputs[round(t) - 1], size_out=inputs.shape[1])}
        for p in spec["populations"]:
            ones = np.ones(p["size"])
            ensemble = nengo.Ensemble(p["size"], 1, neuron_type=Neurons(p), gain=ones, bias=0 * ones)
            at[p["name"]] = ensemble.neurons
            for onset, values in p["currents"]:
                source = nengo.Node(lambda t, onset=onset, values=values: values * (round(t) - 1 >= onset))
                nengo.Connection(source, ensemble.neurons, synapse=None)
        for q in spec["projections"]:
            source = at[q["source"]]
            for _ in range(q["lag"]):  # synapse=0 is nengo's delay of one step
                later = nengo.Node(size_in=source.size_out)
                nengo.Connection(source, later, synapse=0)
                source = later
            weights = q["weights"]
            weights = nengo.Sparse(weights.shape, init=weights) if not isinstance(weights, np.ndarray) else weights
            nengo.Connection(source, at[q["target"]], transform=weights, synapse=None)
        probes = {
            kind: {p["name"]: nengo.Probe(at[p["name"]], key) for p in spec["populations"]}
            for kind, key in (("out", "output"), ("v", "v"))
        }
    # Its optimizer would merge populations, because their neuron types are equal but for what it does not know of.
    with nengo.Simulator(net, dt=1.0, progress_bar=False, optimize=False) as simulator:
        simulator.run_steps(steps)
        return {kind: {name: simulator.data[probe] for name, probe in of.items()} for kind, of in probes.items()}
