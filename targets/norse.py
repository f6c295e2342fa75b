"""The float program on real Norse neurons, in float64."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Availability, Recording, SpikingTarget
from neuroprompt.errors import RuntimeMissing
from neuroprompt.extras import install
from neuroprompt.simulators.in_process import check_hold, run_in_process
from neuroprompt.spiking.program import Program, SpikingModel
from neuroprompt.workers.stepwise import Step

INSTALL = install("simulators")


class Norse(SpikingTarget):
    """Norse's functional steps with dt = 1, so that Norse's 1/tau is the program's decay.

    `li_box_feed_forward_step`: v = v + dv ((v_leak - v) + x); with x = v_leak = 0 the leak of v, and of u by du.
    `iaf_feed_forward_step`: v = v + x; z = v > v_th; v = v_reset where z; with x = u + bias.
    What never fires has v_th = inf. Where a reset subtracts, v_reset is what v is to become, in each step anew; where
    it does so late it is v itself, and x is less by the threshold in the next step.

    `lif_feed_forward_step` is those two in one, but with the gain dv on its input: a / dv would have to be fed, which
    rounds, so that a potential that just meets its threshold might fire. Norse's own importer, which ignores r of IF
    and LIF and the time step of the file, is not used.
    """

    about = "Norse's functional neurons in float64"

    @classmethod
    def available(cls) -> Availability:
        """Whether the package norse is installed."""
        if find_spec("norse") is None:
            return Availability(False, "in process", fix=INSTALL)
        return Availability(True, "in process", f"norse {version('norse')}")

    def refuse(self, program: Program) -> None:
        """Neurons that rest in the step after a spike; raises Unsupported."""
        check_hold(program)

    def run_batch(self, model: SpikingModel, inputs: NDArray[Any], precision: str, states: bool) -> Recording:
        """Run the program on `inputs` (B, T, n_in); raises RuntimeMissing."""
        if not self.available().ok:
            raise RuntimeMissing("norse is not installed", "the package norse", INSTALL)
        import torch

        self.refuse(model.float_program)
        with torch.no_grad():
            return run_in_process(model.float_program, inputs, _neurons, states)


def _neurons(population: dict[str, Any]) -> Step:
    import torch

    norse = _norse()
    rest = torch.zeros(population["size"], dtype=torch.float64)
    keys = ("du", "dv", "vth", "v_reset", "bias")
    du, dv, vth, v_reset, bias = (rest + torch.from_numpy(np.asarray(population[key], np.float64)) for key in keys)
    fires = population["emits"] == "spikes"
    current, membrane = (norse.LIBoxParameters(tau_mem_inv=decay, v_leak=rest) for decay in (du, dv))
    spiking = norse.IAFParameters(v_th=vth, v_reset=v_reset, method="heaviside")
    reset = population["reset"] if fires else "value"
    u = v = rest
    fired = rest

    def step(a: Any) -> tuple[Any, Any]:
        nonlocal u, v, fired
        u, _ = norse.li_box_feed_forward_step(rest, norse.LIBoxState(u), current, dt=1.0)
        u = u + torch.from_numpy(a)
        v, _ = norse.li_box_feed_forward_step(rest, norse.LIBoxState(v), membrane, dt=1.0)
        x, now = u + bias, spiking
        if reset == "late":
            x = x - fired * vth
        if reset != "value":
            before = v + x
            now = spiking._replace(v_reset=before - vth if reset == "subtract" else before)
        fired, (v,) = norse.iaf_feed_forward_step(x, norse.IAFFeedForwardState(v), now)
        return (fired if fires else v).numpy(), v.numpy()

    return step


def _norse() -> Any:
    with warnings.catch_warnings():
        # Norse 1.1.0 compiles neurons that are not used here.
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)
        import norse.torch

    return norse.torch
