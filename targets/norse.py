"""The float program on real Norse neurons, in float64."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from neuroprompt.cells import run_cells
from neuroprompt.contracts import Availability, Floats, Recording, SpikingTarget
from neuroprompt.errors import RuntimeMissing, Unsupported
from neuroprompt.program import Model
from neuroprompt.workers.stepwise import Step

INSTALL = "pip install 'neuroprompt-toolkit[simulators]'"


class Norse(SpikingTarget):
    """Norse's functional steps with dt = 1, so that Norse's 1/tau is the program's decay.

    `lif_feed_forward_step`: i = i + x; v = v + dv ((v_leak - v) + i); i = i - du i; z = v > v_th; v = v_reset where z.
    With x = a / dv and v_leak = bias / dv, dv i is the program's u, and v its v. Where dv = 0 that gain is 0, and
    `iaf_feed_forward_step`, v = v + x, takes x = u + bias; the u of a current with memory is that of
    `li_box_feed_forward_step`, i = i + du ((0 - i) + a / du). What never fires has v_th = inf.

    Refused: a node of which some neurons leak and others do not, for Norse has a function for each. Norse's own
    importer, which ignores r of IF and LIF and the time step of the file, is not used.
    """

    about = "Norse's functional neurons in float64"

    @classmethod
    def available(cls) -> Availability:
        """Whether the package norse is installed."""
        if find_spec("norse") is None:
            return Availability(False, "in process", fix=INSTALL)
        return Availability(True, "in process", f"norse {version('norse')}")

    @torch.no_grad()
    def run(self, model: Model, inputs: Floats, precision: str = "float", states: bool = False) -> Recording:
        """Run the program on `inputs` (T, n_in); raises RuntimeMissing, and Unsupported where a node leaks in part."""
        if not self.available().ok:
            raise RuntimeMissing("norse is not installed", "the package norse", INSTALL)
        return run_cells(model.float_program, inputs, _neurons, states)


def _neurons(population: dict[str, Any]) -> Step:
    norse = _norse()
    rest = torch.zeros(population["size"], dtype=torch.float64)
    keys = ("du", "dv", "vth", "v_reset", "bias")
    du, dv, vth, v_reset, bias = (rest + torch.from_numpy(np.asarray(population[key], np.float64)) for key in keys)
    leaks = bool((dv != 0).all())
    if not leaks and ((dv != 0).any() or (du == 0).any()):
        got = f"node {population['name']!r} has neurons that leak beside others that do not"
        raise Unsupported(got, "one kind of neuron in a node", "make two nodes of it")
    spiking = {"v_th": vth, "v_reset": v_reset, "method": "heaviside"}
    fires = population["emits"] == "spikes"
    if leaks:
        parameters = norse.LIFParameters(tau_syn_inv=du, tau_mem_inv=dv, v_leak=bias / dv, **spiking)
        state = norse.LIFFeedForwardState(v=rest, i=rest)

        def step(a: Any) -> tuple[Any, Any]:
            nonlocal state
            fired, state = norse.lif_feed_forward_step(torch.from_numpy(a) / dv, state, parameters, dt=1.0)
            return (fired if fires else state.v).numpy(), state.v.numpy()

        return step
    current = norse.LIBoxParameters(tau_mem_inv=du, v_leak=rest)
    u, v, iaf = norse.LIBoxState(rest), norse.IAFFeedForwardState(rest), norse.IAFParameters(**spiking)
    remembers = bool((du != 1).any())

    def step_without_leak(a: Any) -> tuple[Any, Any]:
        nonlocal u, v
        x = torch.from_numpy(a)
        if remembers:
            x, u = norse.li_box_feed_forward_step(x / du, u, current, dt=1.0)
        fired, v = norse.iaf_feed_forward_step(x + bias, v, iaf)
        return (fired if fires else v.v).numpy(), v.v.numpy()

    return step_without_leak


def _norse() -> Any:
    with warnings.catch_warnings():
        # Norse 1.1.0 compiles neurons that are not used here.
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated", FutureWarning)
        import norse.torch

    return norse.torch
