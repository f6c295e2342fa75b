"""Bench: five forms of one model in one run, compared before they are timed."""

from __future__ import annotations

import pytest
import torch

from neuroprompt.benchmarks import latency as benchmark
from neuroprompt.benchmarks.latency import bench_backbone, bench_model
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadSetting, ParityError
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import EMBEDDED, load_backbone
from neuroprompt.training.config import RunConfig

SPEC = BackboneSpec("embedded", image_size=16, random=True)


@pytest.fixture(autouse=True)
def _few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EMBEDDED, "depth", 1)


def test_bench_of_a_backbone() -> None:
    result = bench_backbone(SPEC, 50, batch=2, rounds=3)
    assert set(result["ms"]) == {"baked", "naive", "lean", "bare", "pytorch"}
    over_bare = {f"{form}_over_bare" for form in ("baked", "naive", "lean", "pytorch")}
    assert set(result["ratio"]) == over_bare | {"baked_over_lean"}
    assert all(value > 0 for value in [*result["ms"].values(), *result["ratio"].values()])
    # A block gains an Expand and a Concat each for keys and values; the batch's size is read once: two nodes.
    nodes = result["nodes"]
    assert nodes["lean"] < nodes["baked"] <= nodes["lean"] + 4 + 2
    assert nodes["lean"] < nodes["bare"] < nodes["naive"]
    macs = result["macs"]
    assert macs["lean"] == macs["bare"] < macs["baked"] < macs["naive"]
    assert result["max_rel_diff"] <= 1e-4
    assert result["max_abs_diff"] > 0  # two implementations of floating point: equal would mean one was not run
    assert (result["batch"], result["rounds"], result["threads"]) == (2, 3, torch.get_num_threads())
    for name, (low, high) in result["ms_quartiles"].items():
        assert low <= result["ms"][name] <= high


def test_bench_of_a_framed_image() -> None:
    model = assemble(RunConfig("evp", backbone=SPEC, classes=("a", "b")), load_backbone(SPEC))
    torch.nn.init.normal_(model.prompt.get_parameter("delta"))
    result = bench_model(model, None, batch=2, rounds=1)
    assert result["max_rel_diff"] <= 1e-4
    assert result["nodes"]["baked"] == result["nodes"]["lean"] < result["nodes"]["naive"]


def test_models_that_differ_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = assemble(RunConfig("vpt-deep", backbone=SPEC, classes=("a", "b")), load_backbone(SPEC))
    right = type(model.backbone).baked
    monkeypatch.setattr(type(model.backbone), "baked", lambda self, *_: right(self))
    monkeypatch.setattr(benchmark, "in_turn", lambda *_: pytest.fail("timed"))
    with pytest.raises(ParityError):
        bench_model(model, torch.randn(1, 4, 128))


def test_wrong_settings() -> None:
    with pytest.raises(BadSetting):
        bench_backbone(SPEC, 0)
    with pytest.raises(BadSetting):
        bench_backbone(SPEC, 4, batch=0)
    with pytest.raises(BadSetting):
        bench_backbone(SPEC, 4, rounds=0)
    with pytest.raises(BadSetting):
        bench_backbone(SPEC, 4, threads=0)
