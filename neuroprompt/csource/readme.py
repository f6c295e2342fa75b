"""The README.md of a net in C: how to compile and check it, how to call it on a microcontroller, and its limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuroprompt.csource.compiler import Compiled
from neuroprompt.csource.cost import Cost
from neuroprompt.csource.net import CNet
from neuroprompt.spiking.program import Population, Program

CHECK = "cc -std=c99 -O2 net.c selftest.c && ./a.out"
FIXED = """\
It computes in integers, with the arithmetic of Loihi as neuroprompt's emulator has it: 8-bit weights, potentials of 24
bits, decays of 12. So it gives the same spikes on every processor, and needs no floating-point unit."""
FLOAT = """\
It computes in float32. A processor without a floating-point unit is slow at that, and a compiler that fuses
multiplications with additions may round otherwise: check it there too, or export it with `--target c`, in integers."""


def c_readme(
    title: str, program: Program, net: CNet, cost: Cost, *, built: Compiled | None, checked: Sequence[str]
) -> str:
    """The text, in Markdown; `checked` are lines on what was compared before the files appeared."""
    fixed = program.precision == "fixed"
    neurons = f"{sum(p.size for p in program.populations):,}"
    last = program.populations[-1]
    ran = f"`{CHECK}` ran here: {built.said}." if built else "There was no C compiler here: run the self-test below."
    lines = [
        f"# {title} in C",
        "",
        f"A spiking net of {neurons} neurons and {_lines(program)} as one C99 file without a library.",
        FIXED if fixed else FLOAT,
        "",
        "## Check it",
        "",
        f"    {CHECK}",
        "",
        "exits with 0 when all spikes"
        + (" and potentials" if fixed else "")
        + f" of {program.steps} steps are those of neuroprompt's emulator.",
        "",
        "## Use it",
        "",
        "Add `net.c` and `net.h` to your firmware; `selftest.c` stays at home, or runs once on the board.",
        "",
        "```c",
        *_example(program, net.names[last.name], last),
        "```",
        "",
        *_lines_words(program),
        f"`net_step` is one time step. Call `net_reset` before each new input. There is one net: it is not reentrant. "
        f"It was checked for {program.steps} steps and runs for any number.",
        "",
        "| population | functions | neurons |",
        "|---|---|---|",
        *(_row(p, net.names[p.name]) for p in program.populations),
        "",
        "## What it costs",
        "",
        f"- flash: {cost.constant_bytes:,} bytes of weights and parameters, and the code{_sections(built)}",
        f"- RAM: {cost.state_bytes:,} bytes, static; no heap, and no recursion",
        f"- a step: {cost.additions:,.0f} weights added on the inputs of the export (at most {cost.most_additions:,}), "
        f"{cost.updates:,} neurons updated",
        *_instructions(built),
        "",
        "On a microcontroller compile it with `-Os`, and with `-ffunction-sections -Wl,--gc-sections` to leave out "
        "what you do not call. Constants are `static const`, so they stay in flash on ARM and RISC-V. An AVR needs "
        "`PROGMEM` for that, which this file does not use.",
        "",
        "## What was checked before these files appeared",
        "",
        f"- {ran}",
        *checked,
        "",
    ]
    return "\n".join(lines)


def _row(p: Population, name: str) -> str:
    return f"| `{p.name.replace('|', ' ')}` | `net_{name}_spikes()`, `net_{name}_v()` | {p.size} |"


def _example(program: Program, name: str, last: Population) -> list[str]:
    spikes = last.emits == "spikes"
    unit = f" / NET_{name.upper()}_UNIT" if program.precision == "fixed" else ""
    kind = "int32_t" if program.precision == "fixed" else "float"
    get = f"const uint8_t *fired = net_{name}_spikes();" if spikes else f"const {kind} *v = net_{name}_v();"
    use = f"counts[i] += fired[i];{'':12}" if spikes else f"values[i] = v[i]{unit};"
    return [
        '#include "net.h"',
        "",
        "net_input input[NET_INPUTS];" if _hears(program) else "static const net_input input[NET_INPUTS]; /* 0 */",
        "",
        "net_reset();",
        f"for (int t = 0; t < {program.steps}; t++) {{",
        *(["    read_sensor(input, t); /* yours */"] if _hears(program) else []),
        "    net_step(input);",
        f"    {get}",
        f"    for (int i = 0; i < NET_{name.upper()}_SIZE; i++) {{",
        f"        {use.rstrip()}",
        "    }",
        "}",
    ]


def _hears(program: Program) -> bool:
    return any(q.source == "input" for q in program.projections)


def _lines(program: Program) -> str:
    if not _hears(program):
        return "no inputs"
    return "1 input line" if program.inputs == 1 else f"{program.inputs:,} input lines"


def _lines_words(program: Program) -> list[str]:
    if not _hears(program):
        return ["Constant currents drive it, so `input` says nothing."]
    if program.precision == "float":
        return ["An input line carries a number."]
    if not program.input_scale:
        return ["An input line carries a spike: 1, or 0 for none."]
    return [
        f"An input line carries a whole number: x times {program.input_scale:g} (`NET_INPUT_SCALE`), rounded. Inputs "
        "that are larger than those of the export may overflow, as on the chip."
    ]


def _sections(built: Compiled | None) -> str:
    if built is None or built.text is None:
        return ""
    return f"; compiled for this computer with -Os both are {built.text:,} bytes"


def _instructions(built: Compiled | None) -> list[str]:
    if built is None or built.instructions is None:
        return []
    return [
        f"- instructions of a step on {built.machine}: {built.instructions:,.0f}, a mean over the inputs of the export "
        "(`-Os`, counted by valgrind); another processor has other instructions"
    ]


def about_c(cost: Cost, built: Compiled | None) -> dict[str, Any]:
    """What the manifest says of cost and self-test; `compiled` is None where there was no compiler."""
    return {"cost": cost.json(), "compiled": built.json() if built else None}
