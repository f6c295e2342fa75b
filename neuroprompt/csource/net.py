"""A program as one C99 file and its header: static memory, constant weights, `net_reset()` and `net_step()`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from neuroprompt.csource.neurons import steady, write_neurons
from neuroprompt.csource.synapses import Synapses, is_silent, write_synapses
from neuroprompt.csource.writer import Writer, identifiers
from neuroprompt.loihi.arithmetic import HALF, SHIFT, cycles
from neuroprompt.loihi.synapses import stored
from neuroprompt.spiking.program import Population, Program, Projection

CLEAR = """
static void clear(int n)
{
    for (int i = 0; i < n; i++) {
        sums[i] = 0;
    }
}"""
FLOOR_SHIFT = """
/* sums + floor(part / 2^by), and part is 0 again */
static void add_shifted(int by, int n)
{
    for (int i = 0; i < n; i++) {
        sums[i] += part[i] < 0 ? ~(~part[i] >> by) : part[i] >> by;
        part[i] = 0;
    }
}"""


@dataclass(frozen=True)
class CNet:
    """The text of net.c and net.h, the C identifier of every population, and the bytes of constants and of state."""

    source: str
    header: str
    names: Mapping[str, str]
    constant_bytes: int
    state_bytes: int


@dataclass(frozen=True)
class Layout:
    """What all parts of a net must know of it: C types, identifiers, and how many steps back each source is heard.

    fixed    whether it computes in the chip's integers
    numbers  whether input lines carry numbers
    wide     whether sums, or u, may leave 32 bits
    slots    by source, how many steps of its spikes are kept: a power of 2
    """

    prefix: str
    names: Mapping[str, str]
    fixed: bool
    numbers: bool
    wide: bool
    slots: Mapping[str, int]

    @property
    def input(self) -> str:
        """The C type of an input line: what it is sent."""
        return "float" if not self.fixed else "int32_t" if self.numbers else "uint8_t"

    @property
    def sum(self) -> str:
        """The C type of a sum of weights."""
        return "float" if not self.fixed else "int64_t" if self.wide else "int32_t"

    def rows(self, source: str, lag: int) -> str:
        """The expression of what `source` emitted `lag` steps ago."""
        slots = self.slots[source]
        if source == "input" and slots == 1:
            return "input"
        name = "kept_input" if source == "input" else f"spikes_{self.names[source]}"
        if slots == 1:
            return f"{name}[0]"
        return f"{name}[{f'(now - {lag}u)' if lag else 'now'} & {slots - 1}u]"


def c_net(program: Program, prefix: str = "net") -> CNet:
    """The net in C: the chip's integers of a fixed program, bit by bit; float32 of a float one.

    A step computes what a step of the graph does, without the chip's delays. Only sources that spiked are visited.
    """
    order = list(chain.from_iterable(cycles(program)))
    layout = _layout(program, prefix)
    writer = Writer()
    writer.add(_opening(layout))
    used = [q for q in program.projections if not is_silent(q)]
    functions = {id(q): _synapses(writer, i, q, layout) for i, q in enumerate(used)}
    onsets = sorted({onset for p in program.populations for onset, _ in p.currents if onset})
    for p in order:
        heard = any(q.target == p.name for q in used) or any(onset for onset, _ in p.currents)
        write_neurons(writer, p, layout.names[p.name], fixed=layout.fixed, wide=layout.wide, heard=heard)
        for onset, values in p.currents:
            if onset:
                writer.constant(f"from_step_{onset}_{layout.names[p.name]}", values, "" if layout.fixed else "float")
    writer.add("\n/* the state beside that of the neurons */")
    for p in order:
        writer.state(f"spikes_{layout.names[p.name]}", "uint8_t", layout.slots[p.name], p.size)
    if layout.slots["input"] > 1:
        writer.state("kept_input", layout.input, layout.slots["input"], program.inputs)
    writer.state("now", "uint32_t")
    if onsets:
        writer.state("age", "uint32_t")
    most = max(p.size for p in order)
    if used or onsets:
        writer.state("sums", layout.sum, most)
        writer.add(CLEAR)
    if any(each.shift for each in functions.values()):
        writer.state("part", layout.sum, most)
        writer.add(FLOOR_SHIFT)
    writer.add(_reset(program, order, layout, onsets))
    writer.add(_step(program, order, layout, functions, onsets))
    writer.add("\n".join(_accessors(p, layout) for p in order))
    source = "\n".join(writer.lines) + "\n"
    return CNet(source, _header(program, layout), layout.names, writer.constant_bytes, writer.state_bytes)


def _layout(program: Program, prefix: str) -> Layout:
    fixed = program.precision == "fixed"
    names = identifiers(p.name for p in program.populations)
    slots = {}
    for source in ("input", *names):
        longest = max((q.lag for q in program.projections if q.source == source), default=0)
        slots[source] = 1 << longest.bit_length()
    numbers = not fixed or bool(program.input_scale)
    wide = fixed and (numbers or max(_reach(program, p) for p in program.populations) << SHIFT > 2 * HALF)
    return Layout(prefix, names, fixed, numbers, wide, slots)


def _reach(program: Program, population: Population) -> int:
    """The largest magnitude that spikes, currents and bias can add up to before the shift by 6."""
    total = np.abs(steady(population, True)).astype(np.int64)
    for onset, values in population.currents:
        total += np.abs(values) if onset else 0
    for q in program.into(population.name):
        if not is_silent(q):
            kept = stored(q.weights)
            sums = kept.with_values(np.abs(kept.values).astype(np.int64)).apply(np.ones((1, q.weights.shape[1])))[0]
            total += (sums * 2.0 ** max(0, q.exponent)).astype(np.int64) + 1
    return int(total.max(initial=0))


def _synapses(writer: Writer, index: int, q: Projection, layout: Layout) -> Synapses:
    source = layout.names.get(q.source, q.source)
    sent = layout.input if q.source == "input" else "uint8_t"
    about = f"{source} -> {layout.names[q.target]}"
    return write_synapses(writer, str(index), q, about, sent)


def _opening(layout: Layout) -> str:
    what = "in Loihi's integers, as neuroprompt's emulator computes them" if layout.fixed else "in float32"
    return f"""\
/* A spiking net {what}. Written by neuroprompt; C99, no library. */

#include "{layout.prefix}.h"

#include <string.h>

typedef {layout.sum} net_sum;"""


def _reset(program: Program, order: list[Population], layout: Layout, onsets: list[int]) -> str:
    arrays = [f"v_{layout.names[p.name]}" for p in order]
    arrays += [f"u_{layout.names[p.name]}" for p in order if _remembers(p, layout.fixed)]
    arrays += [f"spikes_{layout.names[p.name]}" for p in order]
    arrays += ["kept_input"] if layout.slots["input"] > 1 else []
    # Bytes of 0 are 0 in every one of these types.
    lines = [f"    memset({name}, 0, sizeof {name});" for name in arrays]
    lines += ["    now = 0;", *(["    age = 0;"] if onsets else [])]
    return f"\nvoid {layout.prefix}_reset(void)\n{{\n" + "\n".join(lines) + "\n}"


def _remembers(p: Population, fixed: bool) -> bool:
    return bool(np.any(np.asarray(p.du) != (4095 if fixed else 1)))


def _step(
    program: Program, order: list[Population], layout: Layout, functions: Mapping[int, Synapses], onsets: list[int]
) -> str:
    lines = []
    if layout.slots["input"] > 1:
        lines.append(f"memcpy({layout.rows('input', 0)}, input, sizeof kept_input[0]);")
    elif not any(q.source == "input" and id(q) in functions for q in program.projections):
        lines.append("(void)input;")
    for p in order:
        name, spikes = layout.names[p.name], layout.rows(p.name, 0)
        into = [q for q in program.into(p.name) if id(q) in functions]
        late = [onset for onset, _ in p.currents if onset]
        if into or late:
            lines.append(f"clear({p.size});")
        for q in into:
            to, rows = functions[id(q)], layout.rows(q.source, q.lag)
            lines.append(f"{to.name}({rows}, {'part' if to.shift else 'sums'});")
            lines += [f"add_shifted({to.shift}, {p.size});"] if to.shift else []
        for onset in late:
            lines += [
                f"for (int i = 0; age >= {onset} && i < {p.size}; i++) {{",
                f"    sums[i] += from_step_{onset}_{name}[i];",
                "}",
            ]
        if (p.hold or p.reset == "late") and layout.slots[p.name] > 1:
            lines.append(f"memcpy({spikes}, {layout.rows(p.name, 1)}, sizeof spikes_{name}[0]);")
        lines.append(f"step_{name}({'sums, ' if into or late else ''}{spikes});")
    lines.append("now++;")
    lines += [f"if (age < {max(onsets)}) {{", "    age++;", "}"] if onsets else []
    body = "\n".join(f"    {line}" for line in lines)
    return f"\nvoid {layout.prefix}_step(const {layout.prefix}_input *input)\n{{\n{body}\n}}"


def _accessors(p: Population, layout: Layout) -> str:
    name = layout.names[p.name]
    latest = layout.rows(p.name, 1) if layout.slots[p.name] > 1 else f"spikes_{name}[0]"
    kind = "int32_t" if layout.fixed else "float"
    return f"""
const uint8_t *{layout.prefix}_{name}_spikes(void)
{{
    return {latest};
}}

const {kind} *{layout.prefix}_{name}_v(void)
{{
    return v_{name};
}}"""


def _header(program: Program, layout: Layout) -> str:
    prefix, capitals = layout.prefix, layout.prefix.upper()
    kind = "int32_t" if layout.fixed else "float"
    what = {
        "uint8_t": "a spike: 0 or 1",
        "int32_t": f"a whole number: x * {capitals}_INPUT_SCALE, rounded",
        "float": "a number",
    }
    lines = [
        f"#ifndef {capitals}_H",
        f"#define {capitals}_H",
        "",
        "#include <stdint.h>",
        "",
        f"#define {capitals}_INPUTS {program.inputs}",
        *(
            [f"#define {capitals}_INPUT_SCALE {float(program.input_scale)!r}"]
            if layout.fixed and layout.numbers
            else []
        ),
        "",
        f"/* What an input line carries: {what[layout.input]}. */",
        f"typedef {layout.input} {prefix}_input;",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        "/* Back to rest. Memory is at rest when the program starts. */",
        f"void {prefix}_reset(void);",
        "",
        f"/* One time step, with {capitals}_INPUTS numbers. */",
        f"void {prefix}_step(const {prefix}_input *input);",
    ]
    for p in program.populations:
        name = layout.names[p.name]
        does = "neurons" if p.emits == "spikes" else "neurons that never fire: read v"
        lines += [
            "",
            f"/* {name}: {p.size} {does}. Spikes (0 or 1) and potentials of the last step, after the reset. */",
            f"#define {capitals}_{name.upper()}_SIZE {p.size}",
        ]
        if p.emits == "v" and layout.fixed:
            lines.append(
                f"#define {capitals}_{name.upper()}_UNIT {float(p.unit)!r} /* v over this is the graph's number */"
            )
        lines += [
            f"const uint8_t *{prefix}_{name}_spikes(void);",
            f"const {kind} *{prefix}_{name}_v(void);",
        ]
    return "\n".join([*lines, "", "#ifdef __cplusplus", "}", "#endif", "", "#endif", ""])
