"""What a net in C costs: its bytes are those of the object file, and its instructions follow from its weights."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_nets import STEPS, case, corners

from neuroprompt.csource.compiler import FLAGS, compiled
from neuroprompt.csource.cost import cost_of
from neuroprompt.csource.selftest import c_selftest
from neuroprompt.spiking.program import Population, Program, Projection
from neuroprompt.spiking.weights import Weights


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
