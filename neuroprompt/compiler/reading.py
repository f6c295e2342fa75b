"""How a graph is read: by the convention that it declares, or that its numbers leave no doubt of, or the default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.compiler.conventions import (
    CONVENTIONS,
    DEFAULT,
    KEY,
    RESET,
    RESETS,
    Convention,
    Reading,
    Reset,
    convention_called,
)
from neuroprompt.compiler.said import said_of_reset
from neuroprompt.errors import BadGraph
from neuroprompt.spiking.time_step import DT_SECONDS

Array = NDArray[np.float64]
BUSY = 0.9
"""The share of (step, neuron) entries with a spike above which a node is likely fed too much."""
EXACT = 1e-6
"""How near numbers of float32 files must be to what an exporter computes, relative to 1 or to themselves."""


def reading_of(graph: nir.NIRGraph, dt: float | None = None) -> Reading:
    """How `graph` is read: as its metadata say, else by what its numbers leave no doubt of, else by the default.

    `dt` overrides the time step of the metadata. Raises BadGraph, UnknownName, and Unsupported for another reset.
    """
    nodes = dict(_nodes(graph))
    said = _dt(graph) if dt is None else dt
    name = graph.metadata.get(KEY)
    hints: tuple[str, ...] = ()
    if name is not None:
        convention = convention_called(str(name))
        reading = Reading(convention, convention.dt if said is None else said, declared=True)
    else:
        with np.errstate(all="ignore"):  # numbers beyond float64 are near none of theirs
            recognised = _recognise(nodes, said)
            dt = DT_SECONDS if said is None else said
        reading = recognised or Reading(DEFAULT, dt)
    resets, words = _resets(graph, nodes, reading.convention)
    if name is None and not reading.assumed:
        with np.errstate(all="ignore"):
            hints = tuple(_hints(nodes, reading.dt, resets))
    return replace(reading, hints=(*words, *hints), resets=resets)


def _resets(
    graph: nir.NIRGraph, nodes: Mapping[str, Any], convention: Convention
) -> tuple[dict[str, Reset], tuple[str, ...]]:
    """The resets of nodes that are none to v_reset, and words of the metadata that nothing here reads.

    What the user declared holds for all; else a node's own word comes before the graph's.
    """
    declared = graph.metadata.get(RESET)
    if declared is not None and declared not in RESETS:
        raise BadGraph(f"the graph's {RESET} is {declared!r}", f"one of: {', '.join(RESETS)}")
    firing = {name: n for name, n in nodes.items() if isinstance(n, (nir.IF, nir.LIF, nir.CubaLIF, nir.Threshold))}
    whole = said_of_reset("", graph.metadata, declared is not None)
    hints, resets = list(whole.hints), dict[str, Reset]()
    for name, node in nodes.items():
        own = said_of_reset(name, node.metadata, declared is not None)
        hints += own.hints
        word = declared or own.reset or whole.reset
        # A Threshold keeps nothing, so that its reset is no matter.
        if name in firing and word.startswith("subtract") and not isinstance(node, nir.Threshold):
            late = convention.late == "all" or (convention.late == "IF, LIF" and not isinstance(node, nir.CubaLIF))
            resets[name] = "late" if late or word == "subtract-late" else "subtract"
    said = declared is not None or whole.reset or resets
    if convention.name in ("rockpool", "spyx") and firing and not said:
        hints.append(f"{convention.name}'s neurons subtract the threshold at a spike: --reset subtract")
    return resets, tuple(hints)


def activity_hints(reading: Reading, spikes: Mapping[str, NDArray[Any]]) -> list[str]:
    """What is odd about the spikes (T, n), or the rates (n,), of a graph whose units nobody declared."""
    if reading.declared or reading.assumed:
        return []
    rates = {name: float(fired.mean()) for name, fired in spikes.items() if fired.size}
    odd = {name: "never fires" for name, rate in rates.items() if rate == 0}
    odd |= {name: f"fires in {rate:.0%} of all steps" for name, rate in rates.items() if rate > BUSY}
    advice = "its numbers may be in a library's own units: --from"
    return [f"check: node {name!r} {what}; {advice}" for name, what in odd.items()]


def _nodes(graph: nir.NIRGraph) -> Iterator[tuple[str, Any]]:
    stack = [("", graph)]
    while stack:
        prefix, inner = stack.pop()
        for name, node in inner.nodes.items():
            if isinstance(node, nir.NIRGraph):
                stack.append((f"{prefix}{name}.", node))
            else:
                yield f"{prefix}{name}", node


def _dt(graph: nir.NIRGraph) -> float | None:
    """The seconds of a step that the metadata say, or None; raises BadGraph."""
    if "dt" not in graph.metadata:
        return None
    try:
        dt = float(graph.metadata["dt"])
    except (TypeError, ValueError):
        dt = -1.0
    if not 0 < dt < np.inf:
        raise BadGraph(f"the graph's dt is {graph.metadata['dt']!r}", "seconds above 0")
    return dt


# --- recognised by their numbers --------------------------------------------------------------------------------------


def _recognise(nodes: Mapping[str, Any], said: float | None) -> Reading | None:
    """SpikingJelly by r = 1/dt of IF, Spyx by r = 1 - dt/tau, Rockpool by r = tau exp(-dt/tau) / dt; else None.

    Each follows from its exporter's own formula, and a number of another origin meets none of them by chance.
    """
    dt = DT_SECONDS if said is None else said
    integrators = [n for n in nodes.values() if isinstance(n, (nir.IF, nir.I))]
    if integrators and all(_close(_of(n, "r") * dt, 1.0) and not _close(_of(n, "r"), 1.0) for n in integrators):
        return Reading(CONVENTIONS["spikingjelly"], dt, f"IF has r = 1/dt = {1 / dt:g}, as SpikingJelly writes it")
    cuba = [n for n in nodes.values() if isinstance(n, (nir.CubaLIF, nir.CubaLI))]
    step = _step_of(cuba) if cuba and said is None else dt
    if not _close(np.asarray(step / dt), 1.0):
        words = f"{type(cuba[0]).__name__} has r = tau_mem/dt and w_in = tau_syn/dt for steps of {step:g} s"
        return Reading(DEFAULT, step, words)
    leaky = [n for n in nodes.values() if isinstance(n, (nir.LIF, nir.CubaLIF))]
    if any(isinstance(n, nir.CubaLIF) and not _close(_of(n, "w_in"), 1.0) for n in leaky):
        return None
    for name, library, words, formula in LEAKY:
        for step in (CONVENTIONS[name].dt, dt) if said is None else (said,):
            if leaky and all(_close(_of(n, "r"), formula(step / _of(n, "tau"))) for n in leaky):
                kind = type(leaky[0]).__name__
                assumed = f"{kind} has {words} for steps of {step:g} s, as {library} writes it"
                return Reading(CONVENTIONS[name], step, assumed)
    return None


def _spyx(share: Array) -> Array:
    return 1 - share


def _rockpool(share: Array) -> Array:
    return np.exp(-share) / share


LEAKY = (
    ("spyx", "Spyx", "r = 1 - dt/tau", _spyx),
    ("rockpool", "Rockpool", "r = tau exp(-dt/tau) / dt", _rockpool),
)
"""The r of leaky neurons by dt/tau, where an exporter has a formula of its own."""


def _step_of(cuba: Sequence[Any]) -> float:
    """The dt of which r = tau_mem/dt and w_in = tau_syn/dt, if it is the same for all; else the usual one."""
    ratios = [_of(n, "tau") / _of(n, "r") for n in cuba] + [_of(n, "tau_syn") / _of(n, "w_in") for n in cuba]
    step = float(ratios[0].flat[0]) if ratios[0].size else DT_SECONDS
    same = step > 0 and all(_close(ratio / step, 1.0) for ratio in ratios)
    return float(f"{step:.6g}") if same else DT_SECONDS


def _of(node: Any, key: str) -> Array:
    """A parameter; `tau` is tau_mem of a CubaLIF. What cannot be one gives nan, near nothing."""
    key = "tau_mem" if key == "tau" and isinstance(node, (nir.CubaLIF, nir.CubaLI)) else key
    values = np.asarray(getattr(node, key))
    values = values.astype(np.float64) if values.dtype.kind in "biuf" else np.full(values.shape, np.nan)
    return np.where(values > 0, values, np.nan) if key.startswith("tau") else values


def _close(values: Array, expected: Any) -> bool:
    return bool(np.size(values)) and bool(
        np.all(np.abs(values - expected) <= EXACT * np.maximum(1.0, np.abs(expected)))
    )


def _gains_of_1(cuba: Any, dt: float) -> bool:
    """Whether an input of 1 adds 1 to the current, and a current of 1 adds 1 to the potential."""
    return _close(_of(cuba, "r") * dt / _of(cuba, "tau"), 1.0) and _close(
        _of(cuba, "w_in") * dt / _of(cuba, "tau_syn"), 1.0
    )


def _gain_of_1(node: Any, dt: float) -> bool:
    """Whether an input of 1 adds 1 to a potential that leaks, as in snnTorch."""
    if isinstance(node, nir.CubaLIF):
        return _gains_of_1(node, dt)
    return isinstance(node, nir.LIF) and _close(_of(node, "r") * dt / _of(node, "tau"), 1.0)


def _leaky(node: Any) -> bool:
    return isinstance(node, (nir.LIF, nir.LI, nir.CubaLIF))


def _slow(cuba: Any, dt: float) -> bool:
    """Whether the current lasts for longer than two steps."""
    return bool(np.any(_of(cuba, "tau_syn") > 2 * dt))


def _hints(nodes: Mapping[str, Any], dt: float, resets: Mapping[str, Reset]) -> Iterator[str]:
    """Numbers that are sound as they stand, and more likely another library's."""
    at_once = [name for name, reset in resets.items() if reset == "subtract" and _gain_of_1(nodes[name], dt)]
    if at_once:
        yield (
            f"node {at_once[0]!r} subtracts in the step of its spike; where snnTorch wrote it with reset_delay=True, "
            "its default, it does so in the next, after the leak: --from snntorch"
        )
    for name, node in sorted(nodes.items()):
        if isinstance(node, (nir.IF, nir.I)) and (r := float(np.max(np.abs(_of(node, "r")), initial=0))) >= 100:
            yield (
                f"node {name!r} has r = {r:g}, taken for what an input of 1 adds in a step; where it is for a second: "
                f"--from nir and the --dt of its exporter (of SpikingJelly 1/r = {1 / r:g})"
            )
        elif _leaky(node) and (tau := float(_of(node, "tau").min(initial=np.inf))) >= 1 and dt < 0.1:
            yield (
                f"node {name!r} has a time constant of {tau:g} s, {tau / dt:g} steps of {dt:g} s; "
                "sinabs and Spyx write steps: --from sinabs, or spyx"
            )
        elif name not in resets and (
            f"{name.removesuffix('lif')}w_rec" in nodes or (isinstance(node, nir.CubaLIF) and _gains_of_1(node, dt))
        ):
            yield (
                f"node {name!r}: if snnTorch wrote it with a reset to zero and reset_delay=True, its default, the "
                "potential rests in the step after a spike: --from snntorch"
            )
        elif isinstance(node, (nir.CubaLIF, nir.CubaLI)) and np.all(_of(node, "w_in") == 1) and _slow(node, dt):
            share = dt / float(np.max(_of(node, "tau_syn")))
            yield (
                f"node {name!r} has w_in = 1, so an input of 1 adds dt/tau_syn = {share:.2g} to its current; "
                "Norse and Rockpool mean 1: --from norse, or rockpool"
            )
