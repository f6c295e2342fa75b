"""Nets in C: compiled with every warning and sanitizer, they compute what the emulator computes, bit by bit."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from c_nets import STEPS, Case, case, corners
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_graphs import random_graph

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.conventions import declare
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.schedule import check_chip
from neuroprompt.csource.compiler import FLAGS, compiled, compiler
from neuroprompt.csource.selftest import c_selftest
from neuroprompt.csource.writer import identifiers
from neuroprompt.errors import NeuropromptError, ParityError, Unsupported
from neuroprompt.spiking.program import Population, Program

STRICT = (*FLAGS, "-Wpedantic", "-Wshadow", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")

DRIVER = """
int run_{i}(FILE *in, FILE *out)
{{
    static {prefix}_input row[{lines}];
    {prefix}_reset();
    for (int t = 0; t < {steps}; t++) {{
        if (fread(row, sizeof row[0], {inputs}, in) != {inputs}) {{
            return 1;
        }}
        {prefix}_step(row);
{writes}
    }}
    return 0;
}}
"""


def driver(i: int, prefix: str, each: Case) -> str:
    writes = []
    for p in each.program.populations:
        name = f"{prefix}_{each.net.names[p.name]}"
        writes += [
            f"        fwrite({name}_spikes(), 1, {p.size}, out);",
            f"        fwrite({name}_v(), 4, {p.size}, out);",
        ]
    text = f'#include <stdio.h>\n#include "{prefix}.h"\nint run_{i}(FILE *in, FILE *out);\n'
    n = each.program.inputs
    return text + DRIVER.format(i=i, prefix=prefix, lines=max(1, n), inputs=n, steps=STEPS, writes="\n".join(writes))


def run_all(cc: str, cases: list[Case], folder: Path) -> list[dict[str, tuple[NDArray[np.uint8], NDArray[np.generic]]]]:
    """Spikes and potentials (T, n) of every population of every case, from one program in C."""
    files = []
    for i, each in enumerate(cases):
        (folder / f"net{i}.h").write_text(each.net.header)
        (folder / f"net{i}.c").write_text(each.net.source)
        (folder / f"run{i}.c").write_text(driver(i, f"net{i}", each))
        files += [str(folder / f"net{i}.c"), str(folder / f"run{i}.c")]
        kind = {"b": np.uint8, "i": np.int32, "f": np.float32}[each.sent.dtype.kind]
        each.sent.astype(kind).tofile(folder / f"in{i}")
    calls = "\n".join(
        f'    in = fopen("in{i}", "rb"); out = fopen("out{i}", "wb");\n'
        f"    if (run_{i}(in, out)) return {i + 1};\n    fclose(in); fclose(out);"
        for i in range(len(cases))
    )
    declared = "\n".join(f"int run_{i}(FILE *in, FILE *out);" for i in range(len(cases)))
    main = f"#include <stdio.h>\n{declared}\nint main(void)\n{{\n    FILE *in, *out;\n{calls}\n    return 0;\n}}\n"
    (folder / "main.c").write_text(main)
    command = [cc, *STRICT, *files, str(folder / "main.c"), "-o", str(folder / "all")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    ran = subprocess.run([str(folder / "all")], capture_output=True, text=True, check=False, timeout=100, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    return [rows_of(each, (folder / f"out{i}").read_bytes()) for i, each in enumerate(cases)]


def rows_of(each: Case, data: bytes) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.generic]]]:
    kind = np.int32 if each.program.precision == "fixed" else np.float32
    fields = [
        (f"{i}{k}", t, p.size) for i, p in enumerate(each.program.populations) for k, t in (("s", "u1"), ("v", kind))
    ]
    rows = np.frombuffer(data, np.dtype([(name, t, (n,)) for name, t, n in fields]))
    assert len(rows) == STEPS
    return {p.name: (rows[f"{i}s"], rows[f"{i}v"]) for i, p in enumerate(each.program.populations)}


def generated(count: int) -> list[tuple[Program, Program, NDArray[np.float64]]]:
    """Graphs that the chip's integers hold: both programs, and inputs, of every third graph numbers."""
    cases: list[tuple[Program, Program, NDArray[np.float64]]] = []

    @settings(max_examples=3 * count, deadline=None, database=None, phases=[Phase.generate])
    @given(st.integers(0, 2**32 - 1))
    def draw(seed: int) -> None:
        if len(cases) == count:
            return
        graph, rng = random_graph(seed), np.random.default_rng(seed)
        floats = lower(graph, STEPS)
        shape = (STEPS, floats.inputs)
        inputs = rng.normal(0.4, 0.5, shape) if seed % 3 == 0 else (rng.random(shape) < 0.4).astype(np.float64)
        try:
            check_chip(floats)
            cases.append((floats, model_of_graph(graph, STEPS, inputs).fixed_program, inputs))
        except NeuropromptError:
            pass

    draw()
    return cases


def test_generated_nets_are_the_emulators_bit_by_bit(cc: str, tmp_path: Path) -> None:
    """Spikes and potentials, integer by integer; in float32 the spikes."""
    nets = generated(12)
    assert len(nets) == 12
    fixed = [case(program, inputs, f"net{i}") for i, (_, program, inputs) in enumerate(nets)]
    floats = [case(program, inputs, f"net{i + 12}") for i, (program, _, inputs) in enumerate(nets)]
    assert sum(bool(each.program.input_scale) for each in fixed) >= 2
    spikes = 0
    for each, ran in zip(fixed + floats, run_all(cc, fixed + floats, tmp_path), strict=True):
        for name, (fired, v) in ran.items():
            trace = each.traces[name]
            np.testing.assert_array_equal(fired, trace.spikes, err_msg=name)
            if each.program.precision == "fixed":
                np.testing.assert_array_equal(v, trace.v, err_msg=name)
            spikes += int(fired.sum())
    assert spikes > 2000


def test_resets_that_subtract_are_the_float_emulators(cc: str, tmp_path: Path) -> None:
    """At once and late, in float32: the spikes of generated nets."""
    cases, resets = list[Case](), set[str]()
    for seed in (1, 2, 5):
        for convention in (None, "snntorch"):
            graph = random_graph(seed)
            declare(graph, convention, reset="subtract")
            program = lower(graph, STEPS)
            check_chip(program)
            inputs = (np.random.default_rng(seed).random((STEPS, program.inputs)) < 0.4).astype(np.float64)
            cases.append(case(program, inputs, f"net{len(cases)}"))
            resets |= {p.reset for p in program.populations}
    assert {"late", "subtract"} <= resets
    fired = 0
    for each, ran in zip(cases, run_all(cc, cases, tmp_path), strict=True):
        for name, (spikes, _) in ran.items():
            np.testing.assert_array_equal(spikes, each.traces[name].spikes, err_msg=name)
            fired += int(spikes.sum())
    assert fired > 200


def test_corners_of_the_integers(cc: str, tmp_path: Path) -> None:
    program, inputs = corners()
    spiking = case(program, inputs, "net0")
    few = {"right", "holds", "late", "never fires"}
    graded = replace(
        program,
        input_scale=3.0,
        populations=tuple(p for p in program.populations if p.name in few),
        projections=tuple(q for q in program.projections if q.target in few),
    )
    numbers = case(graded, np.random.default_rng(1).normal(0, 9, inputs.shape), "net1")
    for each, ran in zip((spiking, numbers), run_all(cc, [spiking, numbers], tmp_path), strict=True):
        for name, (fired, v) in ran.items():
            np.testing.assert_array_equal(fired, each.traces[name].spikes, err_msg=name)
            np.testing.assert_array_equal(v, each.traces[name].v, err_msg=name)
    for name in ("u wraps", "u wraps down"):
        assert spiking.traces[name].wrapped
    assert spiking.traces["v clips"].clipped
    assert all(t.v.any() or t.spikes.any() for t in spiking.traces.values())


def test_the_self_test_passes_and_fails_where_a_weight_changes(cc: str, tmp_path: Path) -> None:
    program, inputs = corners()
    each = case(program, inputs)
    (tmp_path / "net.h").write_text(each.net.header)
    (tmp_path / "selftest.c").write_text(c_selftest(program, each.net, each.sent, each.traces))
    (tmp_path / "net.c").write_text(each.net.source)
    done = compiled(tmp_path, STEPS)
    assert done is not None
    spikes = sum(int(t.spikes.sum()) for p in program.populations if p.emits == "spikes" for t in [each.traces[p.name]])
    assert done.said == f"{STEPS} steps, {spikes} spikes: all as in the emulator"
    strict = [cc, *STRICT, "net.c", "selftest.c", "-o", "strict"]
    subprocess.run(strict, cwd=tmp_path, check=True, timeout=300)
    ran = subprocess.run([str(tmp_path / "strict")], capture_output=True, text=True, check=True, timeout=100)
    assert ran.stdout.strip() == done.said
    before, after = "bias_hears_nothing[4] = {", "bias_hears_nothing[4] = {1 + "
    assert before in each.net.source
    (tmp_path / "net.c").write_text(each.net.source.replace(before, after))
    with pytest.raises(ParityError, match=r"run 0, step 0: hears_nothing.*neuron 0 is not the emulator's"):
        compiled(tmp_path, STEPS)


def test_identifiers_are_c_and_apart() -> None:
    names = identifiers(["a.b", "a b", "A_B", "ü", "1x", "a_b_2"])
    assert names == {"a.b": "a_b", "a b": "a_b_2", "A_B": "a_b_3", "ü": "neurons", "1x": "1x", "a_b_2": "a_b_2_2"}


def test_without_a_compiler_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert compiler() is None
    assert compiled(tmp_path, STEPS) is None


def test_a_float_net_with_a_reset_to_another_value_is_rejected_before() -> None:
    """What no integers and no float program of the chip can say never reaches C."""
    low = Population("p", 1, du=1.0, dv=0.0, vth=1.0, bias=np.zeros(1), v_reset=-1.0)
    with pytest.raises(Unsupported, match="resets to -1"):
        check_chip(Program("float", 1, 1, (low,), ()))
