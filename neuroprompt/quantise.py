"""From a float program to Loihi's integers: a scale searched for every population, and a report of what it changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import BadSetting, OutOfRange, Unsupported
from neuroprompt.loihi_arithmetic import (
    DECAY_ONE,
    MANTISSA,
    SHIFT,
    VTH_MAX,
    Array,
    Trace,
    check_range,
    drive_fixed,
    is_spikes,
    simulate,
    step_fixed,
    stored_weights,
)
from neuroprompt.lower import stimulus
from neuroprompt.program import Population, Program, Projection

NO_MEMORY = DECAY_ONE - 1
"""du of a current without memory."""
OCTAVES = 6
"""How far below the largest scale without clipping the search goes; it also tries one octave above."""
PER_OCTAVE = 4


@dataclass(frozen=True)
class Fitted:
    """One population in integers, with its incoming weights, what it did on the calibration inputs, and its scale."""

    population: Population
    weights: tuple[Array, ...]
    trace: Trace
    scale: float
    match: float
    changed: int


def quantise(
    program: Program, inputs: Array | None = None, scale: float | None = None
) -> tuple[Program, dict[str, Any]]:
    """The integer program that fires most like `program` (float) on `inputs` (T, n_in), and the scale report.

    Each population has a free scale s, in weight units per unit of the float model:

        weights = round(w s), even where signs are mixed;  vth = round(thr s);  bias = round(b s);  dv = round(4096 dv)

    Populations are fitted in order, each on the integer spikes of those before it; of equal matches the one that
    changes fewest values wins, then the larger scale. A population under constant drive is fitted neuron by neuron, and
    is exact wherever the 13-bit bias can say its period (see `_fit_constant`). With `scale` given nothing is searched
    and nothing clipped: what does not fit raises OutOfRange. Raises Unsupported for inputs other than 0 and 1.
    """
    if program.precision != "float":
        raise BadSetting("a program that is fixed already", "a float program")
    if scale is not None and not scale > 0:
        raise BadSetting(f"scale {scale}", "a number above 0")
    inputs = stimulus(program) if inputs is None else inputs
    wanted = simulate(program, inputs)
    if program.projections and not is_spikes(inputs):
        raise Unsupported("calibration inputs other than 0 and 1", "spikes: Loihi's integers are fitted on them")
    emitted: dict[str, Array] = {"input": inputs}
    report: dict[str, Any] = {"populations": {}, "projections": {}}
    populations, projections = [], []
    for population in program.populations:
        incoming = program.into(population.name)
        arriving = [emitted[p.source] for p in incoming]
        spikes = wanted[population.name].spikes
        if scale is not None:
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
            report["projections"][f"{p.source} -> {p.target}"] = _projection_report(p, w, fitted.scale)
    fixed = replace(program, precision="fixed", populations=tuple(populations), projections=tuple(projections))
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
    rounded = [_rounded(p.weights * scale, keep_odd=not clip) for p in incoming]
    bias = np.rint(population.bias * scale)
    fixed = replace(
        population, du=NO_MEMORY, dv=_decay(population), bias=bias, bias_exp=SHIFT, vth=round(population.vth * scale)
    )
    if not clip:
        _refuse(fixed, incoming, rounded)
    weights = tuple(stored_weights(w) for w in rounded)
    fixed = replace(fixed, bias=np.clip(bias, *MANTISSA).astype(np.int32))
    changed = sum(int((w != r).sum()) for w, r in zip(weights, rounded, strict=True)) + int((fixed.bias != bias).sum())
    drive = sum((drive_fixed(w, s) for w, s in zip(weights, arriving, strict=True)), np.zeros(spikes.shape, np.int64))
    # A sum of integers is above a threshold exactly where it is above its whole part, so both roundings are candidates.
    options = {fixed.vth, int(np.floor(population.vth * scale))}
    found = []
    for vth in sorted(options):
        option = replace(fixed, vth=vth)
        trace = step_fixed(option, drive)
        found.append(Fitted(option, weights, trace, scale, float((trace.spikes == spikes).mean()), changed))
    return max(found, key=lambda f: f.match)


def _decay(population: Population) -> int:
    """dv in 4096ths; the chip's largest is 4095, so tau = 1 step keeps 1/4096 of v."""
    return min(round(float(population.dv) * DECAY_ONE), DECAY_ONE - 1)


def _rounded(exact: NDArray[np.float64], *, keep_odd: bool) -> NDArray[np.float64]:
    """Whole numbers, even ones where signs are mixed; whole numbers already stay, so that odd ones can be refused."""
    whole = np.rint(exact)
    if not _mixed(exact) or (keep_odd and np.array_equal(whole, exact)):
        return whole
    return 2 * np.rint(exact / 2)


def _refuse(population: Population, incoming: list[Projection], rounded: list[Array]) -> None:
    """Raise OutOfRange where values at a scale of the user's do not fit, or leave no weight at all."""
    projections = tuple(replace(p, weights=w) for p, w in zip(incoming, rounded, strict=True))
    check_range(Program("fixed", 1, 1, (population,), projections))
    for p in projections:
        if not p.weights.any():
            got = f"every weight from {p.source!r} to {p.target!r} becomes 0"
            raise OutOfRange(got, "weights of 1 or more at this scale", "choose a larger scale")


def _mixed(weights: Array) -> bool:
    return bool(weights.min() < 0 < weights.max())


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
        fixed = replace(population, du=NO_MEMORY, dv=_decay(population), vth=vth, bias_exp=SHIFT)
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
    mixed = _mixed(projection.weights)
    low, high = (-256, 254) if mixed else (-255, 255)
    clipped = (np.rint(exact) > high + mixed) | (np.rint(exact) < low)
    return {
        "scale": scale,
        "bits": _bits(weights),
        "clipped": int(clipped.sum()),
        "zeroed": int(((projection.weights != 0) & (weights == 0)).sum()),
        "odd_to_even": int((np.rint(exact) % 2 != 0).sum()) if mixed else 0,
        "max_error": float((np.abs(weights / scale - projection.weights)).max()),
    }


def _bits(values: Array) -> int:
    """Bits of the largest magnitude, and one for the sign where there is one."""
    return int(np.abs(values).max(initial=0)).bit_length() + int((values < 0).any())
