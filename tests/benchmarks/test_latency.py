"""Bench: five forms of one model in one run, compared before they are timed."""

from __future__ import annotations

import json

import pytest
import torch
from float_bounds import near

from neuroprompt.benchmarks import latency as benchmark
from neuroprompt.benchmarks.latency import bench, bench_model
from neuroprompt.benchmarks.latency_result import LatencyBenchmark
from neuroprompt.contracts.deployment import ImageTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadSetting, ParityError
from neuroprompt.onnxgraph.parity import TOLERANCE
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import EMBEDDED, load_backbone
from neuroprompt.training.config import RunConfig

SPEC = BackboneSpec("embedded", image_size=16, random=True)


@pytest.fixture(autouse=True)
def _few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EMBEDDED, "depth", 1)


@pytest.mark.slow
def test_bench_of_a_backbone_by_processor_time() -> None:
    result = bench(SPEC, tokens=50, batch=2, rounds=3, cpu_time=True)
    forms = {"baked", "naive", "lean", "pytorch", "baked_fused", "lean_fused", "int8_dynamic"}
    openvino = ImageTarget.part("openvino")
    names = {"float": "openvino", "bf16": "openvino_bf16"}
    forms |= {name for precision, name in names.items() if openvino.computes_in(precision)}
    assert set(result.ms) == forms | {"bare"}
    assert set(result.missing) == {"web"}, "a browser is another process"
    beside = {"baked_over_lean", "baked_fused_over_baked", "baked_fused_over_lean_fused"}
    assert set(result.ratio) == {f"{form}_over_bare" for form in forms} | beside
    assert all(value.median > 0 for value in [*result.ms.values(), *result.ratio.values()])
    # A block gains an Expand and a Concat each for keys and values; the batch's size is read once: two nodes.
    nodes = result.nodes
    assert nodes["lean"] < nodes["baked"] <= nodes["lean"] + 4 + 2
    assert nodes["lean"] < nodes["bare"] < nodes["naive"]
    macs = result.macs
    assert macs["lean"] < min(macs["bare"], macs["baked"]) <= macs["baked"] < macs["naive"]
    assert (macs["lean_fused"], macs["baked_fused"]) == (macs["lean"], macs["baked"])
    assert 0 < result.max_rel_diff <= TOLERANCE
    assert result.max_abs_diff > 0  # two implementations of floating point: equal would mean one was not run
    assert (result.batch, result.rounds, result.threads, result.cpu_time) == (2, 3, 1, True)
    assert all(ms.low <= ms.median <= ms.high for ms in result.ms.values())
    values = json.loads(json.dumps(result.json(), allow_nan=False))
    keys = {"ratio", "ratio_quartiles", "ms", "ms_quartiles", "nodes", "macs", "max_abs_diff", "max_rel_diff"}
    assert set(values) == keys | {
        "top1_agreement",
        "batch",
        "rounds",
        "threads",
        "joules",
        "note",
        "fastest",
        "macs_int8",
        "bytes",
        "energy_delay_js",
        "measured",
        "energy_delay_measured_js",
        "accuracy",
        "missing",
        "cpu_time",
    }
    assert LatencyBenchmark.from_json(values) == result
    assert values["joules"]["bare"] == near(macs["bare"] * 4.6e-12)
    for form in values["joules"]:
        seconds = values["ms"][form] * 1e-3 / values["batch"]
        assert values["energy_delay_js"][form] == near(values["joules"][form] * seconds)
    assert set(values["measured"]) in (set(), {"bare", "baked"}), "with RAPL counters, and without"
    assert set(values["energy_delay_measured_js"]) == set(values["measured"])


@pytest.mark.slow
def test_bench_of_a_framed_image() -> None:
    model = assemble(RunConfig("evp", backbone=SPEC, classes=("a", "b")), load_backbone(SPEC))
    torch.nn.init.normal_(model.prompt.get_parameter("delta"))
    result = bench_model(model, None, batch=2, rounds=1, cpu_time=True)
    assert 0 < result.max_rel_diff <= TOLERANCE
    assert result.nodes["baked"] == result.nodes["lean"] < result.nodes["naive"]


@pytest.mark.slow
def test_models_that_differ_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = assemble(RunConfig("vpt-deep", backbone=SPEC, classes=("a", "b")), load_backbone(SPEC))
    right = type(model.backbone).baked
    monkeypatch.setattr(type(model.backbone), "baked", lambda self, *_: right(self))
    monkeypatch.setattr(benchmark, "in_turn", lambda *_: pytest.fail("timed"))
    with pytest.raises(ParityError):
        bench_model(model, torch.randn(1, 4, 128))


def test_wrong_settings() -> None:
    with pytest.raises(BadSetting):
        bench(SPEC, tokens=0)
    with pytest.raises(BadSetting):
        bench(SPEC, tokens=4, batch=0)
    with pytest.raises(BadSetting):
        bench(SPEC, tokens=4, rounds=0)
    with pytest.raises(BadSetting):
        bench(SPEC, tokens=4, threads=0)
    with pytest.raises(BadSetting, match="processor time of 2 threads"):
        bench(SPEC, tokens=4, threads=2, cpu_time=True)
