"""The float program on real spyx neurons, in float64, their reset done from outside, in packages of their own."""

from __future__ import annotations

import numpy as np

from neuroprompt.errors import Unsupported
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.side_packages import SidePackages, SidePackagesTarget
from neuroprompt.spiking.program import Population


class Spyx(SidePackagesTarget):
    """IF, LIF and LI of spyx.nn with beta = 1 - dv, in jax's double precision; their reset is done from outside.

    LIF: z = spike(v - threshold); v = beta v + x - z threshold: it fires a step late and subtracts after the leak, and
    spyx 1.0.0 has no other reset. So threshold is the largest number here, and when v comes out of the cell, spyx's own
    spike function axn.superspike gives z = v - vth > 0 in the same step, and v = v_reset where z. What runs is spyx's
    leak and spike function, not its reset. A population that subtracts late has spyx's own reset, of which z is one
    step ahead. IF: beta = 1. LI: what never fires, and a current with memory, with
    beta = 1 - du; x = u + bias.

    Refused: decays outside 0 to 1, to which spyx clips beta.
    """

    about = "spyx' neurons in float64 on jax, their reset done from outside (their own subtracts, a step late)"
    runtime = SidePackages("spyx", WORKERS / "spyx.txt")
    needs = ("yaml", "cloudpickle")

    def check(self, population: Population) -> None:
        """Raises Unsupported where a decay is not within 0 and 1."""
        for key in ("du", "dv"):
            decay = np.asarray(getattr(population, key))
            if np.any((decay < 0) | (decay > 1)):
                worst = decay.flat[np.abs(decay - 0.5).argmax()]
                got = f"node {population.name!r} has a {'current' if key == 'du' else 'leak'} with decay {worst:g}"
                raise Unsupported(got, "0 to 1, to which spyx clips", "take a smaller time step")
