"""Nets in C: compiled with every warning and sanitizer, they compute what the emulator computes, bit by bit."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_graphs import random_graph
from scipy.sparse import csr_matrix

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.schedule import check_chip
from neuroprompt.csource.compiler import FLAGS, compiled, compiler
from neuroprompt.csource.cost import cost_of
from neuroprompt.csource.net import CNet, c_net
from neuroprompt.csource.selftest import c_selftest
from neuroprompt.csource.writer import identifiers
from neuroprompt.errors import NeuropromptError, ParityError, Unsupported
from neuroprompt.loihi.arithmetic import simulate_sent
from neuroprompt.loihi.neurons import Trace
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights

STEPS = 30
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


@dataclass(frozen=True)
class Case:
    program: Program
    sent: NDArray[np.generic]
    net: CNet
    traces: Mapping[str, Trace]


def case(program: Program, inputs: NDArray[np.float64], prefix: str = "net") -> Case:
    sent = program.encode(inputs)
    return Case(program, sent, c_net(program, prefix), simulate_sent(program, sent))


@pytest.fixture(scope="session")
def cc() -> str:
    program = compiler()
    if program is None:
        pytest.skip("no C compiler (cc, gcc or clang)")
    return program


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


def corners() -> tuple[Program, NDArray[np.float64]]:
    """Everything that the integers do at their ends, every form of weights, and names that C does not take."""
    rng = np.random.default_rng(0)
    none, lines = np.zeros(4, np.int32), 5

    def of(name: str, **other: object) -> Population:
        plain = Population(name, 4, du=4095, dv=50, vth=300, bias=none, bias_exp=6, depth=1)
        return replace(plain, **other)  # type: ignore[arg-type]

    def whole(low: int, high: int, *shape: int) -> NDArray[np.int32]:
        return rng.integers(low, high + 1, shape).astype(np.int32)

    own = np.array([0, 50, 700, 4095])
    populations = [
        (of("u wraps", du=0, dv=4095, vth=99999), np.full((4, lines), 255), 7),
        (of("u wraps down", du=0, dv=4095, vth=99999), np.full((4, lines), -255), 7),
        (of("v clips", dv=0, vth=131071), np.full((4, lines), -255), 7),
        (
            of("parameters of each */", du=own, dv=own[::-1], vth=np.array([1, 300, 600, 5000])),
            whole(-256, 254, 4, lines) & ~1,
            2,
        ),
        (of("parameters, of each!", bias=whole(-50, 80, 4)), whole(0, 255, 4, lines), 0),
        (of("??/", depth=0, bias=np.array([-4096, 4095, 1, 0], np.int32), bias_exp=7), whole(-9, 9, 4, lines) & ~1, 0),
        (of("right", vth=40), whole(-256, 254, 4, lines) & ~1, -3),
        (of("holds", hold=True, vth=20), whole(0, 255, 4, lines), 0),
        (
            of("late", currents=((0, whole(-5, 9, 4)), (7, whole(0, 400, 4)), (9, whole(-300, 0, 4)))),
            whole(-255, 0, 4, lines),
            0,
        ),
        (of("never fires", emits="v", unit=2.0, vth=131071, du=77), whole(-255, 0, 4, lines), 1),
        (of("hears nothing", depth=0, bias=whole(1, 40, 4)), np.zeros((4, lines), np.int32), 0),
    ]
    projections = [Projection("input", p.name, Weights(w), exponent=e) for p, w, e in populations]
    sparse = csr_matrix(np.where(rng.random((4, 4)) < 0.4, whole(-100, 100, 4, 4) & ~1, 0))
    projections += [
        Projection("holds", "holds", Weights(whole(-90, 90, 4) & ~1), lag=1),
        Projection("holds", "late", Weights(sparse), lag=3),
        Projection("late", "holds", Weights(np.full(4, 7)), lag=2, exponent=3),
        Projection("input", "right", Weights(whole(0, 200, 4, lines)), lag=2, exponent=-8),
        Projection("right", "never fires", Weights(whole(0, 200, 4, 4)), lag=0),
    ]
    program = Program("fixed", STEPS, lines, tuple(p for p, _, _ in populations), tuple(projections))
    return program, (rng.random((STEPS, lines)) < 0.7).astype(float)


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


def test_bytes_are_those_of_the_object_file(cc: str, tmp_path: Path) -> None:
    size = shutil.which("size")
    if size is None:
        pytest.skip("no `size` (binutils)")
    program, inputs = corners()
    each = case(program, inputs)
    (tmp_path / "net.h").write_text(each.net.header)
    (tmp_path / "net.c").write_text(each.net.source)
    subprocess.run([cc, *FLAGS, "-Os", "-c", "net.c"], cwd=tmp_path, check=True, timeout=100)
    said = subprocess.run([size, "net.o"], cwd=tmp_path, check=True, timeout=100, capture_output=True, text=True)
    text, data, bss = map(int, said.stdout.splitlines()[1].split()[:3])
    cost = cost_of(program, each.net, each.sent, each.traces)
    arrays = each.net.source.count("static ")
    assert data == 0
    assert cost.state_bytes <= bss <= cost.state_bytes + 32 * arrays  # arrays begin at multiples of 32
    assert cost.constant_bytes < text
    # By hand: lines that fire times the rows of their matrices, and all weights of those that are one to one.
    lines = int(each.sent.sum()) * 4 * 10 + int(each.sent[: STEPS - 2].sum()) * 4
    own = 4 * (STEPS - 1) + 4 * (STEPS - 2)
    holds = each.traces["holds"].spikes[: STEPS - 3]
    sparse = program.projections[12].weights.fan_out @ holds.sum(axis=0)
    assert cost.additions * STEPS == lines + own + sparse + 4 * int(each.traces["right"].spikes.sum())
    assert cost.updates == 44


def test_a_step_takes_an_instruction_or_more_for_each_weight_that_it_adds(cc: str, tmp_path: Path) -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("no valgrind")
    rng, lines, size = np.random.default_rng(0), 40, 50
    p = Population("p", size, du=4095, dv=50, vth=90000, bias=np.zeros(size, np.int32), bias_exp=6, depth=1)
    weights = Weights(rng.integers(0, 200, (size, lines)).astype(np.int32))
    program, counts = Program("fixed", STEPS, lines, (p,), (Projection("input", "p", weights),)), []
    for active in (0.0, 1.0):
        each = case(program, np.full((STEPS, lines), active))
        (tmp_path / "net.h").write_text(each.net.header)
        (tmp_path / "net.c").write_text(each.net.source)
        (tmp_path / "selftest.c").write_text(c_selftest(program, each.net, each.sent, each.traces))
        done = compiled(tmp_path, STEPS)
        assert done is not None
        assert done.instructions is not None
        counts.append(done.instructions)
    silent, busy = counts
    assert silent >= size  # each neuron is updated
    assert lines * size <= busy - silent <= 30 * lines * size


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
