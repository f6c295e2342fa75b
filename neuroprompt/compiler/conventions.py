"""What libraries mean by the numbers in their NIR files, and how a graph says whose it is.

NIR gives continuous equations and no time step. Exporters disagree on what a step makes of them: SpikingJelly writes
IF with r = 1/dt, Spyx and sinabs mean the same neuron and write r = 1. docs/libraries.md has the table, as tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import nir

from neuroprompt.errors import BadSetting, UnknownName
from neuroprompt.spiking.time_step import DT_SECONDS

KEY = "convention"
"""The metadata of a graph that names its convention; beside it stands `dt`."""
RESET = "declared_reset"
"""The metadata of a graph that say how all of its neurons are reset, whatever else it says: a word of `RESETS`."""
RESETS = ("zero", "subtract")
Reset = Literal["value", "subtract", "late"]
"""How a population is reset (`neuroprompt.spiking.program.Population`)."""
Units = tuple[float | None, str | None, str | None]
"""What a user says of a file's numbers: seconds of a step, a convention's name, a reset of `RESETS`."""
UNSAID: Units = (None, None, None)


@dataclass(frozen=True)
class Convention:
    """What one step of `dt` seconds (where the file does not say) makes of a node's numbers.

    share    the part of v that leaks in a step: dt/tau (Euler), or 1 - exp(-dt/tau) (exact)
    tau      as written, or as written over dt
    if_gain  what an input of 1 adds to v of IF and I: r, or r dt
    lif_gain, li_gain, mem_gain   what 1 adds to v of LIF, of LI, and what i adds to v of CubaLIF and CubaLI:
             r times the share, 1, or what is left of 1 after a step's leak
    holds    whether CubaLIF, and LIF that drive themselves, rest in the step after a spike (snnTorch's way)
    syn_gain what an input of 1 adds to i of CubaLIF and CubaLI: w_in times the share of tau_syn, 1, or what is left
    late     where a reset subtracts, which neurons do so in the next step, after the leak, instead of at once
    """

    name: str
    about: str
    dt: float = DT_SECONDS
    share: Literal["euler", "exact"] = "euler"
    tau: Literal["tau", "tau / dt"] = "tau"
    if_gain: Literal["r", "r dt"] = "r"
    lif_gain: Literal["r share", "1"] = "r share"
    li_gain: Literal["r share", "1", "rest"] = "r share"
    syn_gain: Literal["w_in share", "1", "rest"] = "w_in share"
    mem_gain: Literal["r share", "1"] = "r share"
    holds: bool = False
    late: Literal["none", "all", "IF, LIF"] = "none"


ONES: dict[str, Any] = {"lif_gain": "1", "li_gain": "1", "syn_gain": "1", "mem_gain": "1"}
CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention("neuroprompt", "NIR's equations with Euler steps, r of IF and I for a step"),
        Convention("nir", "NIR's equations with Euler steps, r of IF and I for a second", if_gain="r dt"),
        Convention(
            "snntorch", "snnTorch 1.0.0 with reset_delay=True, its default: NIR's equations", holds=True, late="all"
        ),
        Convention("spikingjelly", "SpikingJelly 2.0.0: IF with r = 1/dt, else NIR's equations", if_gain="r dt"),
        Convention("norse", "Norse 1.1.0: time constants times dt, w_in = 1", 1e-3, tau="tau / dt", syn_gain="1"),
        Convention("sinabs", "sinabs 3.1.3: time constants in steps, exact decay, norm_input=True", 1.0, "exact"),
        Convention("sinabs-unnormed", "the same with norm_input=False", 1.0, "exact", **ONES),
        Convention(
            "rockpool",
            "Rockpool 3.1.0: exact decay, w_in = 1",
            1e-3,
            "exact",
            **ONES | {"li_gain": "rest", "syn_gain": "rest"},
        ),
        Convention("spyx", "Spyx 1.0.0: r = beta, w_in = 1, steps of 1 s", 1.0, late="IF, LIF", **ONES),
    )
}
DEFAULT = CONVENTIONS["neuroprompt"]


@dataclass(frozen=True)
class Reading:
    """How a graph is read: its convention and seconds of a step, why where it declares none, and what looks wrong.

    `resets` are those of nodes, by name, that are not reset to v_reset.
    """

    convention: Convention
    dt: float
    assumed: str = ""
    hints: tuple[str, ...] = ()
    declared: bool = False
    resets: Mapping[str, Reset] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "convention": self.convention.name,
            "dt_s": self.dt,
            "assumed": self.assumed,
            "hints": list(self.hints),
            "resets": dict(self.resets),
        }


def declare(graph: nir.NIRGraph, name: str | None = None, dt: float | None = None, reset: str | None = None) -> None:
    """Say in the metadata of `graph` whose convention it follows, its time step, and how its neurons are reset.

    Raises UnknownName, and BadSetting for a reset other than those of RESETS.
    """
    if name is not None:
        convention_called(name)
    if reset is not None and reset not in RESETS:
        raise BadSetting(f"reset {reset!r}", f"one of: {', '.join(RESETS)}")
    said = {KEY: name, "dt": dt, RESET: reset}
    graph.metadata = graph.metadata | {key: value for key, value in said.items() if value is not None}


def convention_called(name: str) -> Convention:
    """The convention of that name; raises UnknownName."""
    if name not in CONVENTIONS:
        raise UnknownName(f"no convention is called {name!r}", f"one of: {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
