"""Training speed: every method's step beside linear probing's, and the generator's share of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from neuroprompt.benchmarks.decoding import Decoding, bench_decoding
from neuroprompt.benchmarks.memory import peak_bytes
from neuroprompt.benchmarks.training import bench_training
from neuroprompt.contracts.learning import BackboneSpec, Preprocess, Prompt
from neuroprompt.errors import BadSetting, UnknownName
from neuroprompt.images import read_rgb
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
    more = {"plain_images_per_second", "over_plain", "over_plain_quartiles", "peak_bytes", "plain_peak_bytes"}
    where = {"batch", "rounds", "threads", "device", "precision"}
    fed = {"decoded_images_per_second", "first_batch_seconds", "workers_needed"}
    assert set(result.json()) == keys | more | where | fed
    assert (result.device, result.precision) == ("cpu", "32-true")
    assert set(result.over_plain) == set(result.plain_images_per_second) == set(result.images_per_second)
    assert result.json()["over_linear"] == {name: ratio.median for name, ratio in result.over_linear.items()}


def test_only_those_asked_for() -> None:
    result = bench_training(SPEC, ["vpt-deep"], batch=2, rounds=1)
    assert set(result.images_per_second) == {"linear", "vpt-deep"}
    assert result.generator_share == {}


def test_a_step_holds_less_memory_than_a_plain_one_and_tokens_are_those_asked_for() -> None:
    few, many = (bench_training(SPEC, ["vpt-deep"], tokens=n, batch=2, rounds=1) for n in (4, 64))
    assert many.peak_bytes["vpt-deep"] < many.plain_peak_bytes["vpt-deep"]
    assert few.plain_peak_bytes["vpt-deep"] < many.plain_peak_bytes["vpt-deep"]


def test_a_precision_is_that_of_the_step_and_the_plain_loop_stays_in_32_bits() -> None:
    whole, mixed = (
        bench_training(SPEC, ["vpt-deep"], tokens=64, batch=16, rounds=1, precision=precision)
        for precision in ("32-true", "bf16-mixed")
    )
    assert mixed.precision == "bf16-mixed"
    assert mixed.peak_bytes["vpt-deep"] < whole.peak_bytes["vpt-deep"]
    assert mixed.plain_peak_bytes == whole.plain_peak_bytes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_memory_is_the_allocators() -> None:
    result = bench_training(SPEC, ["vpt-deep"], batch=2, rounds=1, device="cuda")
    assert result.device == torch.cuda.get_device_name()
    assert result.precision == "bf16-mixed"
    assert all(0 < size < 2**30 for size in (*result.peak_bytes.values(), *result.plain_peak_bytes.values()))


def test_peak_memory_is_what_lives_at_once() -> None:
    resident = torch.zeros(1000)

    def run() -> None:
        for _ in range(3):
            a = resident + 1
            b = a.view(10, 100) * 2
            c = resident.view(10, 100).t() + b.sum()
            del a, b, c

    # resident, a, b and the sum; then c too, and what was given back is not counted again.
    assert peak_bytes(run, [resident]) == 4 * (4 * 1000 + 1)


def test_decoding_is_timed_for_each_number_of_workers() -> None:
    result = bench_training(SPEC, ["linear"], batch=32, rounds=1, workers=[0, 0])
    assert set(result.decoded) == {"0"}
    assert result.decoded["0"].images_per_second > 0
    assert result.workers_needed == {}  # of no worker is it known what it does
    with pytest.raises(BadSetting, match="workers -1"):
        bench_training(SPEC, ["linear"], batch=2, rounds=1, workers=[-1])


def test_every_image_is_decoded_in_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that fits in memory stays there decoded, and then nothing would be timed but its copies."""
    opened = 0

    def counted(file: Path, exif: bool) -> Image.Image:
        nonlocal opened
        opened += 1
        return read_rgb(file, exif)

    monkeypatch.setattr("neuroprompt.data._images.read_rgb", counted)
    bench_decoding(Preprocess((16, 16)), [], batch=4, images=8)
    before = opened  # to know of broken ones before work begins
    bench_decoding(Preprocess((16, 16)), [0], batch=4, images=8)
    assert opened - 2 * before == 2 * 8  # an epoch that is not timed, and one that is


@pytest.mark.slow
def test_decoding_by_a_worker_process() -> None:
    decoded = bench_decoding(Preprocess((16, 16)), [1], batch=4, images=8)
    assert set(decoded) == {"1"}
    assert decoded["1"].images_per_second > 0
    assert decoded["1"].first_seconds > 0


def test_as_many_workers_are_needed_as_decode_what_a_step_learns() -> None:
    result = bench_training(SPEC, ["linear"], batch=2, rounds=1)
    fed = dataclasses.replace(
        result,
        images_per_second={"linear": 950.0},
        decoded={"0": Decoding(0.1, 5000.0), "2": Decoding(1.0, 200.0), "4": Decoding(1.0, 300.0)},
    )
    assert fed.workers_needed == {"linear": 10}  # of 100 images a second each
    assert fed.json()["first_batch_seconds"] == {"0": 0.1, "2": 1.0, "4": 1.0}


def test_wrong_settings() -> None:
    with pytest.raises(BadSetting):
        bench_training(SPEC, batch=0)
    with pytest.raises(UnknownName):
        bench_training(SPEC, ["vpt-abyssal"])
