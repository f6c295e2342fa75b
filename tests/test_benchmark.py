"""Bench: four forms of one model in one run, compared before they are timed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neuroprompt import benchmark
from neuroprompt.backbone import EMBEDDED, load_backbone
from neuroprompt.benchmark import bench_backbone, bench_models
from neuroprompt.contracts import BackboneSpec
from neuroprompt.errors import BadSetting, ParityError

SPEC = BackboneSpec("embedded", image_size=16, random=True)


@pytest.fixture(autouse=True)
def _few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EMBEDDED, "depth", 1)


def test_bench_of_a_backbone() -> None:
    result = bench_backbone(SPEC, 50, batch=2, rounds=3)
    assert set(result["ms"]) == {"baked", "naive", "bare", "pytorch"}
    assert set(result["ratio"]) == {"baked_over_bare", "naive_over_bare", "pytorch_over_bare", "baked_over_naive"}
    assert all(value > 0 for value in [*result["ms"].values(), *result["ratio"].values()])
    # A block gains an Expand and a Concat each for keys and values; the batch's size is read once: two nodes.
    assert result["nodes"]["bare"] < result["nodes"]["baked"] <= result["nodes"]["bare"] + 4 + 2
    assert result["nodes"]["bare"] < result["nodes"]["naive"]
    assert result["max_rel_diff"] <= 1e-4
    assert result["max_abs_diff"] > 0  # two implementations of floating point: equal would mean one was not run
    assert (result["batch"], result["rounds"], result["threads"]) == (2, 3, torch.get_num_threads())
    for name, (low, high) in result["ms_quartiles"].items():
        assert low <= result["ms"][name] <= high


def test_models_that_differ_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone(SPEC)
    right = type(backbone).baked
    monkeypatch.setattr(type(backbone), "baked", lambda self, tokens: right(self, None))
    monkeypatch.setattr(benchmark, "_in_turn", lambda *_: pytest.fail("timed"))
    with pytest.raises(ParityError):
        bench_models(backbone, torch.randn(1, 4, 128), nn.Linear(128, 5))


def test_wrong_settings() -> None:
    with pytest.raises(BadSetting):
        bench_backbone(SPEC, 0)
    with pytest.raises(BadSetting):
        bench_backbone(SPEC, 4, batch=0)
    with pytest.raises(BadSetting):
        bench_backbone(SPEC, 4, rounds=0)
    with pytest.raises(BadSetting):
        bench_backbone(SPEC, 4, threads=0)
