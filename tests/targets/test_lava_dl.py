"""Real lava-dl 0.6.0 loads our `.net` files and spikes as the emulator does; what it cannot hold is refused by node."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neuroprompt.compiler.schedule import schedule
from neuroprompt.contracts.deployment import SpikingTarget, Target
from neuroprompt.errors import BadSetting, Unsupported, WorkerFailed
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.loihi.ranges import check_range
from neuroprompt.simulators.netx import to_netx
from neuroprompt.spiking.program import Population, Program, Projection, SpikingModel
from neuroprompt.spiking.weights import Weights

STEPS = 40


@pytest.fixture(scope="module")
def lava_dl(overlaid: Callable[[str], SpikingTarget]) -> SpikingTarget:
    return overlaid("lava-dl")


def chain(seed: int, recurrent: bool = False, delays: bool = False) -> Program:
    """One to three layers in a row with integers at random; their weights are all above 0, or mixed and then even."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 30, rng.integers(2, 5)).tolist()

    def weights(n: int, n_in: int, scale: int) -> Any:
        low, high, step = [(2, 255, 1 + recurrent), (-126, 127, 2)][rng.integers(2)]
        return rng.integers(low, high // scale + 1, (n, n_in)) // step * step

    parts: list[Population] = []
    projections: list[Projection] = []
    for i, (n_in, n) in enumerate(pairwise(sizes), start=1):
        du = 4095 if rng.random() < 0.5 else int(rng.integers(1000, 4095))
        name, vth = f"p{i}", int(rng.integers(20, 400))
        parts.append(Population(name, n, du, int(rng.integers(0, 2000)), vth, np.zeros(n, np.int32), bias_exp=6))
        before = f"p{i - 1}" if i > 1 else "input"
        projections.append(
            Projection(before, name, Weights(weights(n, n_in, 1)), lag=int(rng.integers(4)) if delays else 0)
        )
        if recurrent:
            projections.append(Projection(name, name, Weights(weights(n, n, 4)), lag=1))
    program = schedule(Program("fixed", STEPS, sizes[0], tuple(parts), tuple(projections)))
    check_range(program)
    return program


def spikes_equal_to_the_emulator(target: SpikingTarget, program: Program) -> int:
    inputs = (np.random.default_rng(1).random((STEPS, program.inputs)) < 0.3).astype(np.float64)
    found = target.run(SpikingModel(nir.NIRGraph({}, []), program, program), inputs, "fixed")
    traces = simulate(program, inputs)
    for p in program.populations:
        np.testing.assert_array_equal(found.spikes[p.name], traces[p.name].spikes, err_msg=p.name)
        assert found.delay[p.name] == p.depth
    return sum(int(trace.spikes.sum()) for trace in traces.values())


@pytest.mark.parametrize("options", [{}, {"recurrent": True}, {"delays": True}])
def test_netx_spikes_as_the_emulator_does(lava_dl: SpikingTarget, options: dict[str, bool]) -> None:
    assert spikes_equal_to_the_emulator(lava_dl, chain(3, **options)) > 400


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 30))
def test_netx_spikes_as_the_emulator_does_on_many(lava_dl: SpikingTarget, seed: int) -> None:
    assert spikes_equal_to_the_emulator(lava_dl, chain(seed, recurrent=seed % 3 == 1, delays=seed % 3 == 2))


@pytest.mark.slow
def test_with_pytorch_beside_it_netx_does_the_same(
    lava_dl: SpikingTarget, overlaid: Callable[[str], SpikingTarget]
) -> None:
    """What the small runtime leaves out changes nothing: the modules that stand in there are lava-dl's own here."""
    runtime = Target.part("lava-dl-full").runtime  # type: ignore[attr-defined]
    free = shutil.disk_usage(existing(runtime.folder)).free
    if not runtime.built and free < 12e9:
        pytest.skip(f"PyTorch and CUDA need 12 GB while they are installed, and {free / 1e9:.0f} GB are free")
    whole = overlaid("lava-dl-full")
    code = "import lava.lib.dl.netx.sequential_modules as m, lava.lib.dl.slayer.neuron.rf as r; print(m.torch, r.torch)"
    said = subprocess.run(
        [runtime.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert said.stdout.count("torch/__init__.py") == 2
    for options in ({}, {"recurrent": True}, {"delays": True}):
        program = chain(3, **options)
        inputs = (np.random.default_rng(2).random((STEPS, program.inputs)) < 0.3).astype(np.float64)
        model = SpikingModel(nir.NIRGraph({}, []), program, program)
        small, large = (target.run(model, inputs, "fixed") for target in (lava_dl, whole))
        assert sum(int(spikes.sum()) for spikes in large.spikes.values()) > 100
        for name, spikes in large.spikes.items():
            np.testing.assert_array_equal(small.spikes[name], spikes)


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def test_a_damaged_file_is_one_line(lava_dl: SpikingTarget) -> None:
    target: Any = lava_dl
    with pytest.raises(WorkerFailed, match="the lava-dl worker failed") as caught:
        target.run_net(to_netx(chain(0))[:1000], np.zeros((1, 4, 5)), 4)
    assert "\n" not in str(caught.value)


def test_what_netx_cannot_run_is_refused_before_it_starts(lava_dl: SpikingTarget) -> None:
    program = chain(0)
    model = SpikingModel(nir.NIRGraph({}, []), program, program)
    inputs = np.ones((STEPS, program.inputs))
    with pytest.raises(Unsupported, match="precision 'float'"):
        lava_dl.run(model, inputs, "float")
    with pytest.raises(Unsupported, match="0 and 1"):
        lava_dl.run(model, inputs / 2, "fixed")
    biased = replace(program.populations[0], bias=np.ones(program.populations[0].size, np.int32))
    wrong = replace(program, populations=(biased, *program.populations[1:]))
    with pytest.raises(Unsupported, match="'p1' has a bias"):
        lava_dl.run(SpikingModel(nir.NIRGraph({}, []), wrong, wrong), inputs, "fixed")
    mixed = chain(3, recurrent=True)  # netx takes the weights of both as one matrix
    forward, own, *others = mixed.projections
    odd = (
        replace(forward, weights=forward.weights.with_values(np.abs(forward.weights.values) | 1)),
        replace(own, weights=own.weights.with_values(-np.abs(own.weights.values))),
        *others,
    )
    wrong = replace(mixed, projections=odd)
    with pytest.raises(Unsupported, match="odd weights into 'p1'"):
        lava_dl.run(SpikingModel(nir.NIRGraph({}, []), wrong, wrong), np.ones((STEPS, wrong.inputs)), "fixed")
    with pytest.raises(BadSetting, match="time_limit -1"):
        Target.named("lava-dl", time_limit=-1)
