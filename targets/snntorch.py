"""The float program on real snnTorch neurons, in float64.

snnTorch's own importer turns IF into Leaky(beta=0.9) and takes one threshold a layer, so the neurons are made here.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Availability, Recording, SpikingTarget
from neuroprompt.errors import RuntimeMissing, Unsupported
from neuroprompt.extras import install
from neuroprompt.simulators.in_process import run_in_process
from neuroprompt.spiking.program import Program, SpikingModel
from neuroprompt.workers.stepwise import Step

INSTALL = install("train")


class SnnTorch(SpikingTarget):
    """Leaky(beta = 1 - dv) where u has no memory, else Synaptic(alpha = 1 - du, beta = 1 - dv); reset "zero" at once.

    A bias beside a current with memory needs two Leaky in a row. What never fires has reset "none". What rests in the
    step after a spike is Synaptic with reset_delay=True. A reset that subtracts late is snnTorch's default, "subtract"
    with reset_delay=True. One that subtracts at once is done from outside, beside "none": snnTorch's, with
    reset_delay=False, takes the threshold off before the next comparison too where v is still above it.
    """

    about = "snnTorch neurons in float64"

    @classmethod
    def available(cls) -> Availability:
        """Whether the package snntorch is installed; the extra `train` brings it."""
        if find_spec("snntorch") is None:
            return Availability(False, "in process", fix=INSTALL)
        return Availability(True, "in process", f"snntorch {version('snntorch')}")

    def refuse(self, program: Program) -> None:
        """Resets elsewhere than to 0, thresholds below 0; raises Unsupported."""
        for p in program.populations:
            if np.any(np.asarray(p.v_reset) != 0) or np.any(np.asarray(p.vth) < 0):
                got = f"node {p.name!r} resets elsewhere than to 0, or has a threshold below 0"
                raise Unsupported(got, "v_reset = 0, snnTorch's only value")
            if p.hold and np.any(p.bias) and np.any(np.asarray(p.du) != 1):
                got = f"node {p.name!r} rests after a spike and adds a bias behind its current"
                raise Unsupported(got, "no bias there: snnTorch has none")

    def run_batch(self, model: SpikingModel, inputs: NDArray[Any], precision: str, states: bool) -> Recording:
        """Run the program on `inputs` (B, T, n_in); raises RuntimeMissing, and what `refuse` raises."""
        if not self.available().ok:
            raise RuntimeMissing("snntorch is not installed", "the package snntorch", INSTALL)
        import torch

        self.refuse(model.float_program)
        with torch.no_grad():
            return run_in_process(model.float_program, inputs, _neurons, states)


def _neurons(population: dict[str, Any]) -> Step:
    import snntorch
    import torch

    fires, reset = population["emits"] == "spikes", population["reset"]
    keys = ("du", "dv", "vth", "bias")
    du, dv, vth, bias = (torch.from_numpy(np.asarray(population[key], np.float64)) for key in keys)
    vth = vth.broadcast_to(population["size"])  # its spikes are float32, and make that of a threshold of no dimension
    mechanism = {"value": "zero", "subtract": "none", "late": "subtract"}[reset] if fires else "none"
    options = {"threshold": vth if fires else 1.0, "reset_mechanism": mechanism}
    hold = population["hold"]
    options["reset_delay"] = hold or reset == "late"
    subtracts = fires and reset == "subtract"
    mem = torch.zeros(population["size"], dtype=torch.float64)  # of every item: a step is of a whole batch
    memory = bool((du != 1).any())
    if hold or (memory and not bias.any()):
        both = snntorch.Synaptic(alpha=1 - du, beta=1 - dv, **options)
        syn = torch.zeros_like(mem)

        def step(a: Any) -> tuple[Any, Any]:
            nonlocal syn, mem
            fired, syn, mem = both(torch.from_numpy(a) + bias, syn, mem)
            mem = mem - fired * vth if subtracts else mem
            return (fired if fires else mem).numpy(), mem.numpy()

        return step
    leaky = snntorch.Leaky(beta=1 - dv, **options)
    current = snntorch.Leaky(beta=1 - du, reset_mechanism="none") if memory else None
    u = torch.zeros_like(mem)

    def step_leaky(a: Any) -> tuple[Any, Any]:
        nonlocal u, mem
        if current is None:
            u = torch.from_numpy(a)
        else:
            _, u = current(torch.from_numpy(a), u)
        fired, mem = leaky(u + bias, mem)
        mem = mem - fired * vth if subtracts else mem
        return (fired if fires else mem).numpy(), mem.numpy()

    return step_leaky
