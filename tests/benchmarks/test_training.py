"""Training speed: every method's step beside linear probing's, and the generator's share of it."""

from __future__ import annotations

import pytest

from neuroprompt.benchmarks.training import bench_training
from neuroprompt.contracts.learning import BackboneSpec, Prompt
from neuroprompt.errors import BadSetting, UnknownName
from neuroprompt.training.backbone import EMBEDDED

SPEC = BackboneSpec("embedded", image_size=16, random=True)


@pytest.fixture(autouse=True)
def _few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EMBEDDED, "depth", 1)


def test_every_method_is_timed() -> None:
    result = bench_training(SPEC, batch=2, rounds=2)
    assert set(result.images_per_second) | set(result.refused) == set(Prompt.names())
    assert set(result.over_linear) == set(result.images_per_second) - {"linear"}
    assert all(ratio.median > 0 for ratio in result.over_linear.values())
    assert result.generator_share["spike-nvpt"] > 0
    assert (result.batch, result.rounds) == (2, 2)
    keys = {"images_per_second", "over_linear", "over_linear_quartiles", "generator_share", "refused"}
    assert set(result.json()) == keys | {"batch", "rounds", "threads"}
    assert result.json()["over_linear"] == {name: ratio.median for name, ratio in result.over_linear.items()}


def test_only_those_asked_for() -> None:
    result = bench_training(SPEC, ["vpt-deep"], batch=2, rounds=1)
    assert set(result.images_per_second) == {"linear", "vpt-deep"}
    assert result.generator_share == {}


def test_wrong_settings() -> None:
    with pytest.raises(BadSetting):
        bench_training(SPEC, batch=0)
    with pytest.raises(UnknownName):
        bench_training(SPEC, ["vpt-abyssal"])
