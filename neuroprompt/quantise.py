"""From a float program to Loihi's integers: a scale searched for every population, and a report of what it changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import BadSetting, OutOfRange, Unsupported
from neuroprompt.fitting import NO_MEMORY, Fitted, best_threshold, decay, mixed, rounded
from neuroprompt.graded import fit_graded, report_graded, scales_for
from neuroprompt.loihi_arithmetic import (
    MANTISSA,
    SHIFT,
    VTH_MAX,
    Array,
    check_range,
    drive_fixed,
    simulate,
    step_fixed,
    stored_weights,
)
from neuroprompt.lower import stimulus, takes_numbers
from neuroprompt.program import Population, Program, Projection, is_spikes

OCTAVES = 6
"""How far below the largest scale without clipping the search goes; it also tries one octave above."""
PER_OCTAVE = 4


def quantise(
    program: Program, inputs: Array | None = None, scale: float | None = None, largest: float = 0.0
) -> tuple[Program, dict[str, Any]]:
    """The integer program that fires most like `program` (float) on `inputs` (T, n_in), and the scale report.

    Each population has a free scale s, in weight units per unit of the float model:

        weights = round(w s), even where signs are mixed;  vth = round(thr s);  bias = round(b s);  dv = round(4096 dv)

    Populations are fitted in order, each on the integer spikes of those before it; of equal matches the one that
    changes fewest values wins, then the larger scale. A population under constant drive is fitted neuron by neuron, and
    is exact wherever the 13-bit bias can say its period (see `_fit_constant`). With `scale` given nothing is searched
    and nothing clipped: what does not fit raises OutOfRange.

    Lines that drive neurons one to one may carry numbers: those become whole numbers too, at a scale at which none of
    at most `largest` (default: the largest of `inputs`) in magnitude overflows; see `neuroprompt.graded`. Raises
    Unsupported for other inputs than 0 and 1 into dense weights.
    """
    if program.precision != "float":
        raise BadSetting("a program that is fixed already", "a float program")
    if scale is not None and not scale > 0:
        raise BadSetting(f"scale {scale}", "a number above 0")
    inputs = stimulus(program) if inputs is None else inputs
    wanted = simulate(program, inputs)
    graded = takes_numbers(program) and (largest > 0 or not is_spikes(inputs))
    if program.projections and not graded and not is_spikes(inputs):
        raise Unsupported("calibration inputs other than 0 and 1", "spikes: Loihi's integers are fitted on them")
    emitted: dict[str, Array] = {"input": inputs}
    report: dict[str, Any] = {"populations": {}, "projections": {}}
    input_scale = 0.0
    populations, projections = [], []
    for population in program.populations:
        incoming = program.into(population.name)
        arriving = [emitted[p.source] for p in incoming]
        spikes = wanted[population.name].spikes
        numbers = graded and [p.source for p in incoming] == ["input"]
        if numbers:
            beyond = largest or float(np.abs(inputs).max())
            at = scales_for(program, population, incoming[0], beyond, scale)
            fitted, input_scale = fit_graded(population, incoming[0], inputs, spikes, at), at[1]
        elif scale is not None:
            fitted = _at_scale(population, incoming, arriving, spikes, scale, clip=False)
        elif incoming:
            fitted = _fit_driven(population, incoming, arriving, spikes)
        else:
            fitted = _fit_constant(population, spikes)
        populations.append(fitted.population)
        projections += [replace(p, weights=w) for p, w in zip(incoming, fitted.weights, strict=True)]
        emitted[population.name] = fitted.trace.spikes
        report["populations"][population.name] = _population_report(population, fitted, spikes)
        for p, w in zip(incoming, fitted.weights, strict=True):
            said = report_graded(p, fitted, inputs, input_scale) if numbers else _projection_report(p, w, fitted.scale)
            report["projections"][f"{p.source} -> {p.target}"] = said
    fixed = replace(
        program,
        precision="fixed",
        populations=tuple(populations),
        projections=tuple(projections),
        input_scale=input_scale,
    )
    check_range(fixed)
    cells = sum(t.spikes.size for t in wanted.values())
    equal = sum(int((t.spikes == emitted[name]).sum()) for name, t in wanted.items())
    report["spike_match"] = equal / cells
    return fixed, report


# --- weights and bias at a scale --------------------------------------------------------------------------------------


def _fit_driven(population: Population, incoming: list[Projection], arriving: list[Array], spikes: Array) -> Fitted:
    largest = max(float(np.abs(p.weights).max()) for p in incoming)
    full = 254 / largest
    exponents = np.arange(-OCTAVES * PER_OCTAVE, PER_OCTAVE + 1) / PER_OCTAVE
    # Powers of two are tried as well: they hold weights that are whole multiples of one exactly.
    twos = 2.0 ** np.arange(np.floor(np.log2(full)) - OCTAVES, np.floor(np.log2(full)) + 2)
    scales = {min(s, VTH_MAX / population.vth) if population.vth else s for s in (*(full * 2.0**exponents), *twos)}
    tried = [_at_scale(population, incoming, arriving, spikes, float(s), clip=True) for s in sorted(scales)]
    return max(tried, key=lambda f: (f.match, -f.changed, f.scale))


def _at_scale(
    population: Population,
    incoming: list[Projection],
    arriving: list[Array],
    spikes: Array,
    scale: float,
    *,
    clip: bool,
) -> Fitted:
    whole = [rounded(p.weights * scale, keep_odd=not clip) for p in incoming]
    bias = np.rint(population.bias * scale)
    fixed = replace(
        population, du=NO_MEMORY, dv=decay(population), bias=bias, bias_exp=SHIFT, vth=round(population.vth * scale)
    )
    if not clip:
        _refuse(fixed, incoming, whole)
    weights = tuple(stored_weights(w) for w in whole)
    fixed = replace(fixed, bias=np.clip(bias, *MANTISSA).astype(np.int32))
    changed = sum(int((w != r).sum()) for w, r in zip(weights, whole, strict=True)) + int((fixed.bias != bias).sum())
    drive = sum((drive_fixed(w, s) for w, s in zip(weights, arriving, strict=True)), np.zeros(spikes.shape, np.int64))
    fixed, trace, match = best_threshold(fixed, population.vth * scale, drive, spikes)
    return Fitted(fixed, weights, trace, scale, match, changed)


def _refuse(population: Population, incoming: list[Projection], whole: list[Array]) -> None:
    """Raise OutOfRange where values at a scale of the user's do not fit, or leave no weight at all."""
    projections = tuple(replace(p, weights=w) for p, w in zip(incoming, whole, strict=True))
    check_range(Program("fixed", 1, 1, (population,), projections))
    for p in projections:
        if not p.weights.any():
            got = f"every weight from {p.source!r} to {p.target!r} becomes 0"
            raise OutOfRange(got, "weights of 1 or more at this scale", "choose a larger scale")


# --- constant drive ---------------------------------------------------------------------------------------------------


def _fit_constant(population: Population, spikes: Array) -> Fitted:
    """Neurons under a constant current fire every k steps, so a bias is right exactly where it has the same k.

    The first spike of all 8192 biases is simulated at once; it never comes later for a larger bias, so the biases of
    period k are an interval, and the neuron takes the one nearest to P s. Without leak that interval is
    theta/k < b <= theta/(k-1): none is empty for theta >= T (T-1), so at theta = 4092 the fit is exact up to T = 64.
    """
    steps = len(spikes)
    period = _first(spikes)
    mantissas = np.arange(MANTISSA[0], MANTISSA[1] + 1, dtype=np.int32)
    best: Fitted | None = None
    # Thresholds above 4094 leave no bias that fires at once: for long runs of slow neurons only.
    for vth in (4092, 4094, *(4094 * 2**j for j in range(1, 6))):
        fixed = replace(population, du=NO_MEMORY, dv=decay(population), vth=vth, bias_exp=SHIFT)
        ladder = replace(fixed, size=mantissas.size, bias=mantissas)
        periods = _first(step_fixed(ladder, np.zeros((steps, mantissas.size), np.int64)).spikes)
        high = np.searchsorted(-periods, -period, side="right") - 1
        low = np.minimum(np.searchsorted(-periods, -period, side="left"), mantissas.size - 1)
        scale = vth / population.vth if population.vth > 0 else float(vth)
        near = np.clip(np.ceil(population.bias * scale), *MANTISSA)
        reachable = (high >= 0) & (periods[high] == period)
        bias = np.where(reachable, np.clip(near, mantissas[low], mantissas[high]), near).astype(np.int32)
        fixed = replace(fixed, bias=bias)
        trace = step_fixed(fixed, np.zeros(spikes.shape, np.int64))
        fitted = Fitted(fixed, (), trace, scale, float((trace.spikes == spikes).mean()), int((~reachable).sum()))
        best = fitted if best is None or fitted.match > best.match else best
        if fitted.match == 1.0:
            break
    assert best is not None
    return best


def _first(spikes: Array) -> NDArray[np.int64]:
    """The step (from 1) of every neuron's first spike; T + 1 where it has none."""
    return np.where(spikes.any(axis=0), spikes.argmax(axis=0) + 1, len(spikes) + 1)


# --- the report -------------------------------------------------------------------------------------------------------


def _population_report(population: Population, fitted: Fitted, spikes: Array) -> dict[str, Any]:
    fixed, trace = fitted.population, fitted.trace
    exact = population.bias * fitted.scale
    saturated = (exact > MANTISSA[1]) | (exact < MANTISSA[0])
    same = (trace.spikes == spikes).all(axis=0)
    within = np.abs(fixed.bias / fitted.scale - population.bias)[~saturated]
    return {
        "scale": fitted.scale,
        "vth": int(fixed.vth),
        "dv": int(fixed.dv),
        "bias_bits": _bits(fixed.bias),
        "clipped": int((saturated & ~same).sum()),
        "saturated_harmless": int((saturated & same).sum()),
        "zeroed": int(((population.bias != 0) & (fixed.bias == 0)).sum()),
        "overflow_u": trace.wrapped,
        "overflow_v": trace.clipped,
        "dead": int((spikes.any(axis=0) & ~trace.spikes.any(axis=0)).sum()),
        "max_error": float(within.max(initial=0.0)),
        "spike_match": fitted.match,
    }


def _projection_report(projection: Projection, weights: Array, scale: float) -> dict[str, Any]:
    exact = projection.weights * scale
    signed = mixed(projection.weights)
    low, high = (-256, 254) if signed else (-255, 255)
    clipped = (np.rint(exact) > high + signed) | (np.rint(exact) < low)
    return {
        "scale": scale,
        "bits": _bits(weights),
        "clipped": int(clipped.sum()),
        "zeroed": int(((projection.weights != 0) & (weights == 0)).sum()),
        "odd_to_even": int((np.rint(exact) % 2 != 0).sum()) if signed else 0,
        "max_error": float((np.abs(weights / scale - projection.weights)).max()),
    }


def _bits(values: Array) -> int:
    """Bits of the largest magnitude, and one for the sign where there is one."""
    return int(np.abs(values).max(initial=0)).bit_length() + int((values < 0).any())
