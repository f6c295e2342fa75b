"""A population as a C function: one step of its neurons, in the chip's integers or in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuroprompt.csource.writer import Array, Writer
from neuroprompt.loihi.arithmetic import DECAY_ONE, HALF, SHIFT
from neuroprompt.spiking.program import Population


def write_neurons(writer: Writer, population: Population, name: str, *, fixed: bool, wide: bool, heard: bool) -> None:
    """Write the state of a population and its function `step_NAME(a, spikes)`, by the rules of `Population`.

    `wide`: u may leave 32 bits. `heard`: projections or currents reach it, so that it has sums, a. Before the function
    runs, `spikes` are to hold those of the step before where the population holds, or subtracts late.
    """
    writer.add(f"\n/* {name}: {population.size} neurons */")
    writer.state(f"v_{name}", "int32_t" if fixed else "float", population.size)
    body = (_fixed if fixed else _float)(writer, population, name, wide, heard)
    sums = "const net_sum *a, " if heard else ""
    writer.add(f"static void step_{name}({sums}uint8_t *spikes)\n{{")
    writer.add(f"    for (int i = 0; i < {population.size}; i++) {{")
    writer.add("\n".join(f"        {line}" for line in body))
    writer.add("    }\n}")


def steady(population: Population, fixed: bool) -> Array:
    """What reaches the sums in every step: the currents that begin at once, and a bias behind a projection."""
    total: Array = np.zeros(population.size, np.int64 if fixed else np.float64)
    total = total + sum(values for onset, values in population.currents if onset == 0)
    return total + population.bias if population.depth else total


def _fixed(writer: Writer, p: Population, name: str, wide: bool, heard: bool) -> list[str]:
    """The lines of FixedNeurons.step (`neuroprompt.loihi.neurons`), in 64 bits where products need them."""
    keep_u = DECAY_ONE - np.asarray(p.du, np.int64) - 1
    keep_v = DECAY_ONE - np.asarray(p.dv, np.int64)
    bias = np.zeros(p.size, np.int64) if p.depth else p.bias.astype(np.int64) << p.bias_exp
    arriving = _sum(["(int64_t)a[i]" if heard else "", _number(writer, f"steady_{name}", steady(p, True))])
    lines = [f"int64_t u = ({arriving}) * {1 << SHIFT};"]
    if keep_u.any():
        writer.state(f"u_{name}", "int64_t" if wide else "int32_t", p.size)
        lines += [f"u += (int64_t)u_{name}[i] * {writer.number(f'keep_u_{name}', keep_u)} / {DECAY_ONE};"]
    lines += [
        f"if (u > {HALF}) {{",
        f"    u -= {2 * HALF};",
        f"}} else if (u <= -{HALF}) {{",
        f"    u += {2 * HALF};",
        "}",
    ]
    kept = f"v_{name}[i]"
    if np.any(keep_v != DECAY_ONE):
        kept = f"(int64_t)v_{name}[i] * {writer.number(f'keep_v_{name}', keep_v)} / {DECAY_ONE}"
    vth = np.asarray(p.vth, np.int64) << SHIFT
    lines += [
        f"int64_t v = {_sum([kept, 'u', _number(writer, f'bias_{name}', bias)])};",
        f"if (v >= {HALF}) {{",
        f"    v = {HALF - 1};",
        f"}} else if (v <= -{HALF}) {{",
        f"    v = {1 - HALF};",
        "}",
        *_hold(p),
        f"uint8_t fired = v > {writer.number(f'threshold_{name}', vth)};",
        f"v_{name}[i] = fired ? 0 : (int32_t)v;",
        *([f"u_{name}[i] = ({'int64_t' if wide else 'int32_t'})u;"] if keep_u.any() else []),
        "spikes[i] = fired;",
    ]
    return lines


def _float(writer: Writer, p: Population, name: str, wide: bool, heard: bool) -> list[str]:
    """The lines of FloatNeurons.step, in float32."""
    keep_u, keep_v = 1 - np.asarray(p.du, np.float64), 1 - np.asarray(p.dv, np.float64)
    bias = np.zeros(p.size) if p.depth else p.bias
    terms = ["a[i]" if heard else "", _number(writer, f"steady_{name}", steady(p, False), "float")]
    if keep_u.any():
        writer.state(f"u_{name}", "float", p.size)
        terms.insert(0, f"u_{name}[i] * {writer.number(f'keep_u_{name}', keep_u, 'float')}")
    kept = f"v_{name}[i]"
    if np.any(keep_v != 1):
        kept += f" * {writer.number(f'keep_v_{name}', keep_v, 'float')}"
    threshold = "" if np.all(np.isinf(p.vth)) else writer.number(f"threshold_{name}", p.vth, "float")
    after = f"v - {threshold}" if p.reset == "subtract" else "v" if p.reset == "late" else "0.0f"
    return [
        f"float u = {_sum(terms, '0.0f')};",
        f"float v = {_sum([kept, 'u', _number(writer, f'bias_{name}', bias, 'float')])};",
        *_hold(p),
        *(["if (spikes[i]) {", f"    v -= {threshold};", "}"] if p.reset == "late" else []),
        f"uint8_t fired = {f'v > {threshold}' if threshold else '0'};",
        f"v_{name}[i] = {'v' if after == 'v' else f'fired ? {after} : v'};",
        *([f"u_{name}[i] = u;"] if keep_u.any() else []),
        "spikes[i] = fired;",
    ]


def _hold(p: Population) -> list[str]:
    return ["if (spikes[i]) {", "    v = 0;", "}"] if p.hold else []


def _number(writer: Writer, name: str, values: Any, kind: str = "") -> str:
    """An expression for what is added, "" where it is 0."""
    return writer.number(name, values, kind) if np.any(values) else ""


def _sum(terms: list[str], nothing: str = "0") -> str:
    return " + ".join(term for term in terms if term) or nothing
