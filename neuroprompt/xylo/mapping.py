"""What of a float program fits a XyloAudio 2, and what does not, by node, with the change that it needs.

Its limits are those of Rockpool 3.1.0's documentation (devices/xylo-overview, devices/quick-xylo/deploy_to_xylo).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import Unsupported
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights
from neuroprompt.xylo.arithmetic import readouts

LINES, HIDDEN = 16, 1000
FAN_OUT, MEAN_FAN_OUT = 64, 32
"""Hidden neurons that one of them reaches, at most, and on average over the 1,000."""
LONGEST = 15
"""Bits of the longest shift: a decay of 1/2^15 a step."""
NEAR = 1e-6
"""How near to 2^k steps a time constant must be: files hold them in float32, of which this is 8 units."""


def mapped(program: Program) -> Program:
    """The program with its depths on Xylo, currents from the first step on as biases, one projection for each pair.

    du and dv are as they were. Raises Unsupported, naming the node, for what the chip does not have.
    """
    program = scheduled(together(replace(program, populations=tuple(map(_steady, program.populations)))))
    hidden = 0
    for p in program.populations:
        into = program.into(p.name)
        if is_constant(p, bool(into)):
            _check_constant(p)
        else:
            _check_neurons(p, bool(into))
        _check_lines(program, p, into)
        hidden += 0 if p.name in readouts(program) else p.size
        _need(hidden <= HIDDEN, p, f"is the one with neuron {HIDDEN + 1:,}", f"{HIDDEN:,} on a chip", "smaller layers")
    _check_fan_out(program)
    return program


def is_constant(population: Population, hears: bool) -> bool:
    """Whether its neurons are driven by a constant current alone and reset to 0: only their periods matter."""
    return not hears and population.reset == "value" and population.emits == "spikes"


def dashes(decay: Any) -> NDArray[np.int64]:
    """The shifts of decays 1/2^k, or 1 - exp(-1/2^k), which Rockpool's neurons have; -1 where it is neither."""
    share = np.asarray(decay, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.stack([1 / share, -1 / np.log1p(-share)])
        exponents = np.clip(np.rint(np.log2(np.where(steps > 0, steps, 0.5))), -1, LONGEST)
    near = (exponents >= 0) & (np.abs(steps - 2.0**exponents) <= NEAR * 2.0**exponents)
    shifts: NDArray[np.int64] = np.where(near, exponents, -1).max(axis=0).astype(np.int64)
    return shifts


def scheduled(program: Program) -> Program:
    """Depths on a chip whose inputs arrive at once and whose spikes arrive a step later; no delay can be added there.

    delay = lag + d' - d - (1, or 0 from an input line), and none may be other than 0.
    """
    depths = {"input": 0} | {p.name: 0 for p in program.populations}

    def wanted(q: Projection) -> int:
        return depths[q.source] + (q.source != "input") - q.lag

    for _ in range(len(depths) + 1):
        before = dict(depths)
        for q in program.projections:
            depths[q.target] = max(depths[q.target], wanted(q))
        if depths == before:
            break
    for q in program.projections:
        wait = depths[q.target] - wanted(q)
        got = f"spikes from {q.source!r} to {q.target!r} would have to wait {wait} steps more than others"
        if wait:
            raise Unsupported(got, "ways of equal length: Xylo has no delays", "a layer between, or no Delay")
    projections = tuple(replace(q, delay=0) for q in program.projections)
    populations = tuple(replace(p, depth=depths[p.name]) for p in program.populations)
    return replace(program, populations=populations, projections=projections)


def together(program: Program) -> Program:
    """One projection for each source, target and lag, whose weights are the sum."""
    sums: dict[tuple[str, str, int], Projection] = {}
    for q in program.projections:
        key = (q.source, q.target, q.lag)
        both = q.weights if key not in sums else Weights.best(sums[key].weights.rows() + q.weights.rows())
        sums[key] = replace(q, weights=both)
    return replace(program, projections=tuple(sums.values()))


def _steady(p: Population) -> Population:
    bias = p.bias + sum((values for onset, values in p.currents if onset == 0), np.zeros(p.size))
    _need(all(onset == 0 or not values.any() for onset, values in p.currents), p, *_ONSET)
    memory = np.any(np.asarray(p.du) != 1) and any(values.any() for _, values in p.currents)
    _need(not memory, p, "gets a constant current through a synapse with memory", "a bias (v_leak)", "put it there")
    return replace(p, bias=bias, currents=())


_ONSET = ("gets a current that begins later", "one from the first step on", "send it as spikes")


def _check_constant(p: Population) -> None:
    _need(not np.any(np.asarray(p.v_reset)), p, "resets to another value than 0", "a reset to 0, or one that subtracts",
          "shift v_leak and v_threshold by it")  # fmt: skip
    _need(not p.hold, p, "rests in the step after a spike", "neurons without a refractory period", "leave it out")


def _check_neurons(p: Population, hears: bool) -> None:
    fires = p.emits == "spikes"
    subtracts = "a reset that subtracts the threshold in the step of the spike, as Xylo's does"
    resets = "resets to a value" if p.reset == "value" else "subtracts its threshold in the step after a spike"
    _need(not fires or p.reset == "subtract", p, resets, subtracts, "train with such a reset, and say --reset subtract")
    _need(not p.hold, p, "rests in the step after a spike", "neurons without a refractory period", "leave it out")
    _need(
        not fires or bool(np.all(np.asarray(p.vth) > 0)), p, "has a threshold of 0 or less", "one above 0", "raise it"
    )
    if hears:
        _need(not np.all(np.asarray(p.du) == 1), p, "has no synaptic current with memory (IF, LIF)",
              "one that halves, or decays slower, as every synapse of Xylo does",
              "make it a CubaLIF with tau_syn of 2, 4, 8, ... steps")  # fmt: skip
        _check_decay(p, p.du, "tau_syn", 1)
    _check_decay(p, p.dv, "tau_mem", 0)
    late = p.depth > 0 and bool(np.any(p.bias))
    _need(
        not late,
        p,
        "has a bias (v_leak) behind other neurons",
        "none: it would begin before its inputs",
        "leave it out",
    )


def _check_decay(p: Population, decay: Any, what: str, least: int) -> None:
    wrong = np.asarray(decay)[dashes(decay) < least]
    if wrong.size:
        share = float(wrong.reshape(-1)[0])
        steps = 1 / share if share > 0 else np.inf
        near = 2 ** int(np.clip(np.rint(np.log2(steps)), least, LONGEST))
        said = f"{steps:.4g} steps" if np.isfinite(steps) else "no end (it never decays)"
        got = f"has a {what} of {said}"
        fix = f"{near} steps is the nearest"
        _need(False, p, got, f"{2**least}, {2 ** (least + 1)}, {2 ** (least + 2)}, ... steps: Xylo shifts bits", fix)


def _check_lines(program: Program, p: Population, into: list[Projection]) -> None:
    wide = program.inputs > LINES and any(q.source == "input" for q in into)
    _need(not wide, p, f"hears {program.inputs:,} input lines", f"at most {LINES}, a XyloAudio 2's", "fewer inputs")
    silent = {other.name for other in program.populations if other.emits == "v"}
    for q in into:
        got = f"hears the potential of {q.source!r}"
        _need(q.source not in silent, p, got, "spikes between neurons", "make that a CubaLIF")


def _check_fan_out(program: Program) -> None:
    last, total = readouts(program), 0
    for p in program.populations:
        inner = [q for q in program.projections if q.source == p.name and q.target not in last]
        fan = sum((q.weights.fan_out for q in inner), np.zeros(p.size, np.int64))
        most = int(fan.max(initial=0))
        got = f"reaches {most:,} hidden neurons from one of its own"
        _need(most <= FAN_OUT, p, got, f"at most {FAN_OUT}", "smaller or sparser layers")
        total += int(fan.sum())
        got = f"is the one with synapse {MEAN_FAN_OUT * HIDDEN + 1:,} between hidden neurons"
        _need(total <= MEAN_FAN_OUT * HIDDEN, p, got, f"{MEAN_FAN_OUT} for each of {HIDDEN:,}", "sparser layers")


def _need(holds: bool, p: Population, got: str, expected: str, fix: str) -> None:
    if not holds:
        raise Unsupported(f"node {p.name!r} {got}", expected, fix)
