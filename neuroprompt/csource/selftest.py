"""selftest.c: runs net.c on given inputs and compares it with what the emulator did, step by step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neuroprompt.csource.net import CNet
from neuroprompt.csource.writer import Array, Writer
from neuroprompt.loihi.neurons import Trace
from neuroprompt.spiking.program import Population, Program

TOLERANCE = 1e-4
"""How far potentials in float32 of neurons that never fire may be off, of the largest: as in `verify`."""

RUNS = 2
"""The second shows that a reset is one."""

CHECKS = """
static const char *what = "";
static long spikes;

static int bit(const uint8_t *row, int i)
{
    return row[i / 8] >> (i % 8) & 1;
}

static int check_spikes(const char *name, const uint8_t *spiked, const uint8_t *expected, int n)
{
    for (int i = 0; i < n; i++) {
        spikes += spiked[i];
        if (spiked[i] != bit(expected, i)) {
            what = name;
            return i;
        }
    }
    return -1;
}"""

MAIN = """
int main(void)
{
    for (int run = 0; run < RUNS; run++) { /* the second run shows that a reset is one */
        spikes = 0;
        PREFIX_reset();
        for (int t = 0; t < STEPS; t++) {
SEND
            int i = check(t);
            if (i >= 0) {
                printf("run %d, step %d: %s, neuron %d is not the emulator's\\n", run, t, what, i);
                return 1;
            }
        }
    }
    printf("%d steps, %ld spikes: all as in the emulator\\n", STEPS, spikes);
    return 0;
}"""


def c_selftest(program: Program, net: CNet, sent: Array, traces: Mapping[str, Trace], prefix: str = "net") -> str:
    """The text of selftest.c for inputs `sent` (T, n_in), as Program.encode gives them, and what the emulator did.

    In integers spikes and potentials are compared; in float32 spikes, and potentials of neurons that never fire, within
    1e-4 of the largest.
    """
    writer, fixed = Writer(), program.precision == "fixed"
    writer.add(f'#include <stdio.h>\n\n#include "{prefix}.h"\n\n#define STEPS {len(sent)}\n#define RUNS {RUNS}')
    send = _inputs(writer, sent, prefix)
    firing = [p for p in program.populations if p.emits == "spikes"]
    if firing:
        writer.add(CHECKS)
    else:
        writer.add('\nstatic const char *what = "";\nstatic long spikes;')
    if fixed or len(firing) < len(program.populations):
        _potentials(writer, fixed)
    calls = []
    for p in program.populations:
        name, trace = net.names[p.name], traces[p.name]
        if p.emits == "spikes":
            writer.constant(f"spikes_{name}", _packed(trace.spikes), "uint8_t")
            call = f'check_spikes("{name}", {prefix}_{name}_spikes(), spikes_{name}[t], {p.size})'
            calls += [f"i = i < 0 ? {call} : i;"]
        if fixed or p.emits == "v":
            calls += [f"i = i < 0 ? {_of_potentials(writer, p, name, trace, prefix=prefix, fixed=fixed)} : i;"]
    body = "\n".join(f"    {call}" for call in calls)
    writer.add(f"\nstatic int check(int t)\n{{\n    int i = -1;\n{body}\n    return i;\n}}")
    writer.add(MAIN.replace("PREFIX", prefix).replace("SEND", send))
    return "\n".join(writer.lines) + "\n"


def _inputs(writer: Writer, sent: Array, prefix: str) -> str:
    """Write the inputs, and give the lines that send those of step t."""
    if not sent.shape[1]:
        return f"            {prefix}_step(0);"
    if sent.dtype == bool:
        writer.constant("inputs", _packed(sent), "uint8_t")
        writer.add(f"static {prefix}_input sent[{prefix.upper()}_INPUTS];")
        lines = [
            f"for (int j = 0; j < {prefix.upper()}_INPUTS; j++) {{",
            "    sent[j] = inputs[t][j / 8] >> (j % 8) & 1;",
            "}",
            f"{prefix}_step(sent);",
        ]
    else:
        writer.constant("inputs", sent, "float" if sent.dtype.kind == "f" else "int32_t")
        lines = [f"{prefix}_step(inputs[t]);"]
    return "\n".join(" " * 12 + line for line in lines)


def _potentials(writer: Writer, fixed: bool) -> None:
    if fixed:
        writer.add("""
/* The weighted sum of potentials that the emulator's have in this step: another sum, another potential. */
static int check_v(const char *name, const int32_t *v, uint32_t expected, int n)
{
    uint32_t sum = 0;
    for (int i = 0; i < n; i++) {
        sum += (uint32_t)v[i] * (2u * (uint32_t)i + 1u);
    }
    what = name;
    return sum == expected ? -1 : 0;
}""")
    else:
        writer.add("""
static int check_v(const char *name, const float *v, const float *expected, float most, int n)
{
    what = name;
    for (int i = 0; i < n; i++) {
        float off = v[i] - expected[i];
        if (off > most || -off > most) {
            return i;
        }
    }
    return -1;
}""")


def _of_potentials(writer: Writer, p: Population, name: str, trace: Trace, *, prefix: str, fixed: bool) -> str:
    """Write the potentials that are expected, and give the call that compares them."""
    if fixed:
        weights = (2 * np.arange(p.size) + 1).astype(np.uint32)
        sums = (trace.v.astype(np.int32).view(np.uint32) * weights).sum(axis=1, dtype=np.uint32)
        writer.constant(f"sums_{name}", sums, "uint32_t")
        return f'check_v("{name} (a potential)", {prefix}_{name}_v(), sums_{name}[t], {p.size})'
    writer.constant(f"v_{name}", trace.v, "float")
    most = TOLERANCE * max(float(np.abs(trace.v).max(initial=0)), 1e-30)
    return f'check_v("{name} (a potential)", {prefix}_{name}_v(), v_{name}[t], {most:.6e}f, {p.size})'


def _packed(rows: Array) -> Array:
    """Eight columns a byte, the first in the lowest bit."""
    return np.packbits(rows, axis=1, bitorder="little")
