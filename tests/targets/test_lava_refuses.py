"""What the Lava target refuses, each in one line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from neuroprompt.contracts.deployment import SpikingTarget, Target
from neuroprompt.errors import BadSetting, RuntimeMissing, Unsupported, WorkerFailed
from neuroprompt.spiking.program import Population, Program, SpikingModel

INPUTS = np.ones((4, 2))


def small() -> SpikingModel:
    population = Population("only", 2, 4095, 0, 10, np.array([3, 5], np.int32), 6)
    program = Program("fixed", len(INPUTS), 2, (population,), ())
    return SpikingModel(nir.NIRGraph({}, []), program, program)


def test_inputs_that_are_no_spikes_are_refused(lava: SpikingTarget) -> None:
    with pytest.raises(Unsupported, match="other than 0 and 1"):
        lava.run(small(), INPUTS * 0.5, "fixed")
    with pytest.raises(Unsupported, match="shape"):
        lava.run(small(), INPUTS[:3], "fixed")


def test_integers_that_lava_would_take_in_silence_are_refused(lava: SpikingTarget) -> None:
    model = small()
    (population,) = model.fixed_program.populations
    wide = replace(model.fixed_program, populations=(replace(population, bias=np.array([3, 5000])),))
    with pytest.raises(WorkerFailed, match="bias must hold integers from -4096 to 4095"):
        lava.run(SpikingModel(model.graph, wide, wide), INPUTS, "fixed")


def test_a_runtime_that_is_not_built_is_one_line(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path))
    available = Target.part("lava").available()
    assert not available.ok
    assert "neuroprompt targets install lava" in available.fix
    assert available.version == "lava-nc 0.10.0"
    lava_target = SpikingTarget.named("lava")
    with pytest.raises(RuntimeMissing, match="run 'neuroprompt targets install lava'") as caught:
        lava_target.run(small(), INPUTS, "fixed")
    assert "\n" not in str(caught.value)


def test_a_time_limit_must_be_positive() -> None:
    with pytest.raises(BadSetting, match="time_limit"):
        Target.named("lava", time_limit=0)
