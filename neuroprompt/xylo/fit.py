"""Fit: from a float program to Xylo's integers, population by population, and a report of what that changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neuroprompt.compiler.measure import bits_of
from neuroprompt.compiler.report import label
from neuroprompt.errors import Unsupported
from neuroprompt.loihi.arithmetic import simulate as simulate_float
from neuroprompt.spiking.program import Population, Program
from neuroprompt.xylo.arithmetic import MOST, OF_READOUT, SPIKES, Array, Trace, readouts, simulate
from neuroprompt.xylo.constant import fit_constant
from neuroprompt.xylo.mapping import is_constant, mapped
from neuroprompt.xylo.scaled import Fitted, at_scale, match, of_each, run, scales, side_by_side

SHIFTS = range(7, -1, -1)
"""By which weights are shifted left: 3 bits."""
FEWEST_SPIKES = 5
"""A node that fires less on the calibration inputs may be silent on the chip."""
CELLS = 2**22
"""Steps times neurons of all inputs and scales that are tried at a time."""

Fits = dict[str, Fitted]


def fitted(program: Program, inputs: Array) -> tuple[Program, dict[str, Any]]:
    """Xylo's integers that fire most like `program` (float) on spikes `inputs` (R, T, n_in), and the report of them.

    Each neuron has a scale s, in units of the chip for one of the graph's; all hidden ones share the shift h of their
    weights, and the readouts have theirs:

        du, dv = k of a decay 1/2^k;  weights = round(w s / (1 - 2^-du) / 2^h);  vth = round(thr s), or the next number
        above thr s;  bias = round(b s)

    since i has decayed once when it reaches v. Scales are tried from the largest that 8-bit weights and 16-bit
    thresholds hold, in eighths of an octave; nothing is clipped. Populations are fitted in order, each on the integer
    spikes of those before it, and on float spikes of those behind it in a cycle. Neurons that a constant current alone
    drives are exact (`neuroprompt.xylo.constant`). Raises Unsupported, naming the node.
    """
    fit = _Fit(mapped(program), inputs)
    fits = fit.best(hidden=True, behind={})
    fits |= fit.best(hidden=False, behind=fits)
    fixed = replace(
        fit.program,
        precision="fixed",
        chip="xylo",
        populations=tuple(fits[p.name].population for p in fit.program.populations),
        projections=tuple(q for p in fit.program.populations for q in fits[p.name].projections),
    )
    traces = simulate(fixed, inputs)
    for p in fixed.populations:
        spikes = int(fit.wanted[p.name].spikes.sum()) if p.emits == "spikes" else 0
        if spikes >= FEWEST_SPIKES and not traces[p.name].counts.any():
            got = f"node {p.name!r} fires {spikes:,} times in float and never in Xylo's integers"
            raise Unsupported(got, "spikes on the chip", "weights and thresholds less far apart")
    return fixed, fit.report(fits, traces)


class _Fit:
    """A program, mapped, with the inputs that it is fitted on and what it does on them."""

    def __init__(self, program: Program, inputs: Array) -> None:
        self.program, self.inputs = program, inputs
        self.wanted = simulate_float(program, inputs)
        self.readouts = readouts(program)

    def best(self, hidden: bool, behind: Mapping[str, Fitted]) -> Fits:
        """All hidden populations, or all readouts, at the shift with which they match float best."""
        populations = [p for p in self.program.populations if (p.name not in self.readouts) == hidden]
        best, most = Fits(), -np.inf
        for shift in SHIFTS:
            fits = dict(behind)
            for p in populations:
                fits[p.name] = self.population(p, shift, fits)
            matched = sum(fits[p.name].match for p in populations)
            if matched > most:
                best, most = {p.name: fits[p.name] for p in populations}, matched
            if matched == len(populations):
                break
        return best

    def population(self, p: Population, shift: int, behind: Mapping[str, Fitted]) -> Fitted:
        """One population at its best scale, with the spikes of those that are fitted already."""
        into, wanted = self.program.into(p.name), self.wanted[p.name]
        most, shape = OF_READOUT if p.name in self.readouts else SPIKES, (*self.inputs.shape[:2], p.size)
        if is_constant(p, bool(into)):
            population = fit_constant(p, wanted.spikes)
            trace = run(population, (), (), shape, most)
            return Fitted(population, (), np.ones(p.size), trace, match(p, trace, wanted))
        emitted = {name: trace.spikes for name, trace in self.wanted.items()} | {"input": self.inputs}
        emitted |= {name: fit.trace.counts for name, fit in behind.items()}
        arriving = [_late(emitted[q.source], q.lag) for q in into]

        tried = [(scale, np.full(p.size, above)) for scale in scales(p, into, shift) for above in (False, True)]
        worth: list[Any] = []
        at_once = max(1, CELLS // (shape[0] * shape[1] * p.size))
        for start in range(0, len(tried), at_once):
            part = [at_scale(p, into, *each, shift) for each in tried[start : start + at_once]]
            together = run(*side_by_side(part), arriving, (*shape[:2], p.size * len(part)), most)
            for trace, (population, _) in zip(together.split(len(part)), part, strict=True):
                fires = p.emits == "spikes"
                worth.append(of_each(trace, wanted) if fires else np.full(p.size, match(population, trace, wanted)))
        return self.chosen(p, tried, np.stack(worth), arriving, shift)

    def chosen(
        self, p: Population, tried: Sequence[tuple[Array, Array]], worth: Array, arriving: Sequence[Array], shift: int
    ) -> Fitted:
        """A population with the best for each neuron of what was tried, which is of `worth` (C, n).

        One that hears its own population was judged on float spikes, and may fire several times in a step on its own
        integers: it then gets a threshold of 2^14 or more, where there is one. Of equals those are the best as well.
        """
        into, wanted = self.program.into(p.name), self.wanted[p.name]
        most, shape = OF_READOUT if p.name in self.readouts else SPIKES, (*self.inputs.shape[:2], p.size)
        lines = [None if q.source == p.name else x for q, x in zip(into, arriving, strict=True)]
        once = np.stack([np.broadcast_to(at_scale(p, into, *each, shift)[0].vth, p.size) for each in tried]) > MOST // 2
        worth = worth + np.where(once, 1e-12, 0.0)
        limited = np.zeros(p.size, bool)
        while True:
            best, of = worth.argmax(axis=0), np.arange(p.size)
            scale, above = (np.stack(rows)[best, of] for rows in zip(*tried, strict=True))
            population, projections = at_scale(p, into, scale, above, shift)
            trace = run(population, projections, lines, shape, most)
            several = (trace.counts > 1).any(axis=(0, 1)) & ~limited
            if not several.any():
                return Fitted(population, projections, scale, trace, match(population, trace, wanted))
            limited |= several
            worth = worth - np.where(several & ~once, 4.0, 0.0)

    def report(self, fits: Fits, traces: Mapping[str, Trace]) -> dict[str, Any]:
        """Scales, thresholds and shifts by population, bits by projection, and how much fires as in float."""
        firing = [p.name for p in self.program.populations if p.emits == "spikes"]
        entries = sum(self.wanted[name].spikes.size for name in firing)
        equal = sum(int((self.wanted[name].spikes == traces[name].counts).sum()) for name in firing)
        populations = {
            name: {
                "scale": [float(fit.scale.min()), float(fit.scale.max())],
                "threshold": _range(fit.population.vth),
                "dash_syn": _range(fit.population.du),
                "dash_mem": _range(fit.population.dv),
                "readout": name in self.readouts,
                "match": fit.match,
                "spike_match": float((traces[name].counts == self.wanted[name].spikes).mean()),
            }
            for name, fit in fits.items()
        }
        return {
            "populations": populations,
            "projections": dict(self._rounded(fits)),
            "spike_match": equal / entries if entries else 1.0,
        }

    def _rounded(self, fits: Fits) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, fit in fits.items():
            into = tuple(self.program.into(name))
            for q, fixed in zip(into, fit.projections, strict=True):
                whole = fixed.weights.values
                zeroed = int(np.count_nonzero((whole == 0) & (q.weights.values != 0)))
                yield label(q, into), {"bits": bits_of(whole), "shift": fixed.exponent, "zeroed": zeroed}


def _late(spikes: Array, lag: int) -> Array:
    """(R, T, n) by `lag` steps later."""
    late = np.zeros(spikes.shape, np.int64)
    late[:, lag:] = spikes[:, : spikes.shape[1] - lag]
    return late


def _range(values: Any) -> int | list[int]:
    array = np.asarray(values)
    low, high = int(array.min()), int(array.max())
    return low if low == high else [low, high]
