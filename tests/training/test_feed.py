"""Training images: augmented as seed, epoch and place say, the same whatever decodes them, and a killed run goes on."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from float_bounds import near
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from neuroprompt.contracts.learning import BackboneSpec, Images, Preprocess
from neuroprompt.errors import BadData, WorkerFailed
from neuroprompt.progress import Progress
from neuroprompt.training.augment import AREA, RATIO, augmented, moved, part_of
from neuroprompt.training.config import AUGMENTS, RunConfig, configure
from neuroprompt.training.dataset import load_data
from neuroprompt.training.devices import warn_of_workers
from neuroprompt.training.feed import Feed
from neuroprompt.training.loop import train

T = TypeVar("T")
HOW = Preprocess((24, 24), crop_pct=0.875)
ROWS = [[0, 5, 2], [7, 1]]


@pytest.fixture(scope="module")
def images() -> Images:
    return load_data("digits", HOW, 0, 10).train


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of six noise images of 40 x 30."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir()
        for i in range(6):
            pixels = generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


@pytest.mark.parametrize("how", [how for how in AUGMENTS if how != "none"])
def test_an_augmented_image_repeats_and_differs_by_epoch(images: Images, how: str) -> None:
    first, label = augmented(images, 3, how, (0, 1, 3))
    again, _ = augmented(images, 3, how, (0, 1, 3))
    assert torch.equal(first, again)
    assert first.shape == images[3][0].shape
    assert first.dtype == torch.uint8
    assert label == images[3][1]
    assert any(not torch.equal(augmented(images, 3, how, (0, epoch, 3))[0], first) for epoch in range(2, 12))


def test_a_flip_is_the_image_or_its_mirror(images: Images) -> None:
    image = images[2][0]
    flips = [augmented(images, 2, "flip", (0, epoch, 2))[0] for epoch in range(40)]
    straight = sum(torch.equal(flip, image) for flip in flips)
    assert 0 < straight < 40
    assert sum(torch.equal(flip, image.flip(2)) for flip in flips) == 40 - straight


sides = st.integers(1, 300)


@settings(max_examples=200, deadline=None)
@given(st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from([None, 0.875, 1.0]), st.integers(0, 9))
def test_parts_lie_in_the_image(source: tuple[int, int], size: tuple[int, int], pct: float | None, seed: int) -> None:
    (width, height), how = source, Preprocess(size, crop_pct=pct)
    for choose in (moved, part_of):
        left, top, right, bottom = choose((width, height), how, np.random.default_rng(seed))
        assert 0 <= left < right <= width * (1 + 2**-50)  # of sums and products, a few roundings
        assert 0 <= top < bottom <= height * (1 + 2**-50)


def test_a_moved_crop_has_seven_eighths_of_what_covers_the_size() -> None:
    left, top, right, bottom = moved((80, 40), Preprocess((224, 224), crop_pct=0.9), np.random.default_rng(0))
    assert right - left == near(35)
    assert bottom - top == near(35)
    left, top, right, bottom = moved((80, 40), Preprocess((224, 224)), np.random.default_rng(0))
    assert right - left == near(70)
    assert bottom - top == near(35)


def test_a_part_has_the_area_and_the_ratio_that_were_asked_for() -> None:
    for seed in range(50):
        left, top, right, bottom = part_of((400, 400), HOW, np.random.default_rng(seed))
        wide, tall = right - left, bottom - top
        # A side is rounded by half a pixel, of at least 400 sqrt(0.08 * 3 / 4) = 97.
        assert AREA[0] * (1 - 0.5 / 97) ** 2 <= wide * tall / 400**2 <= AREA[1] * (1 + 0.5 / 97) ** 2
        assert RATIO[0] * (1 - 0.5 / 97) ** 2 <= wide / tall <= RATIO[1] * (1 + 0.5 / 97) ** 2


def batches(images: Images, augment: str, workers: int, epochs: tuple[int, ...]) -> list[torch.Tensor]:
    feed = Feed(images, RunConfig(augment=augment), workers)
    try:
        return [tensor for epoch in epochs for batch in feed.batches(epoch, ROWS) for tensor in batch]
    finally:
        feed.close()


def test_worker_processes_change_nothing(photos: Path) -> None:
    images = load_data(f"folder:{photos}", HOW, 0, val="none").train
    drawn = batches(images, "resized-crop+flip", 0, (1, 2))
    assert len({tensor.numpy().tobytes() for tensor in drawn if tensor.ndim == 4}) == 4
    for ours, theirs in zip(drawn, batches(images, "resized-crop+flip", 1, (1, 2)), strict=True):
        assert torch.equal(ours, theirs)


def test_more_workers_than_processors_are_one_line(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch would say it twice, in three lines; any warning is an error here."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    heard = Heard()
    warn_of_workers(1, heard)
    assert heard.lines == []
    warn_of_workers(2, heard)
    assert heard.lines == ["--workers 2, processors here: 1; more workers than that decode no faster"]
    images = load_data(f"folder:{photos}", HOW, 0, val="none").train
    assert len(batches(images, "crop", 2, (0,))) == 4


def test_a_worker_that_is_killed_is_one_line(photos: Path) -> None:
    feed = Feed(load_data(f"folder:{photos}", HOW, 0, val="none").train, RunConfig(augment="crop"), 1)
    loaded = feed.batches(0, [[0, 1]] * 9)
    next(loaded)
    (worker,) = feed.loader._iterator._workers  # type: ignore[union-attr]
    worker.kill()
    with pytest.raises(WorkerFailed, match="fewer --workers"):
        list(loaded)
    feed.close()


def test_a_broken_image_in_a_worker_is_one_line(photos: Path, tmp_path: Path) -> None:
    copy = tmp_path / "photos"
    for file in photos.rglob("*.png"):
        (copy / file.parent.name).mkdir(parents=True, exist_ok=True)
        (copy / file.parent.name / file.name).write_bytes(file.read_bytes())
    images = load_data(f"folder:{copy}", HOW, 0, val="none").train
    for file in copy.rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(BadData, match="cannot be read as an image"):
        batches(images, "crop", 1, (0,))


def config(**options: object) -> RunConfig:
    few = {"limit": 20, "epochs": 2, "batch": 8, "settings": {"tokens": 2}, "method": "vpt-deep"}
    return configure(**{**few, "backbone": BackboneSpec(random=True, image_size=16), **options})


class Heard(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


class Interrupted(Progress):
    """Ctrl-C in the second epoch."""

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        for i, item in enumerate(items):
            if what.startswith("epoch 2") and i == 1:
                raise KeyboardInterrupt
            yield item


def test_a_run_with_everything_random_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    """Augmentation, prompt dropout, momentum, steps; once in one go, once broken off and decoded elsewhere."""
    wild = config(
        augment="resized-crop+flip",
        schedule="steps",
        optimiser="sgd",
        lr_batch=16,
        settings={"tokens": 2, "dropout": 0.5},
        best=True,
    )
    train(wild, tmp_path / "whole", accelerator="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(wild, tmp_path / "broken", Interrupted(), accelerator="cpu")
    train(wild, tmp_path / "broken", accelerator="cpu", log="csv")
    for name in ("prompt.safetensors", "best.safetensors"):
        whole, broken = load_file(tmp_path / "whole" / name), load_file(tmp_path / "broken" / name)
        assert all(torch.equal(whole[key], broken[key]) for key in whole)
    assert (tmp_path / "whole" / "metrics.json").read_bytes() == (tmp_path / "broken" / "metrics.json").read_bytes()


def test_a_linear_probe_sees_augmented_images(tmp_path: Path) -> None:
    """Its features are computed once only where every epoch has the same images."""
    probe = config(method="linear", settings={})
    plain = load_file(train(probe, tmp_path / "plain", accelerator="cpu").folder / "prompt.safetensors")
    moved_about = dataclasses.replace(probe, augment="crop")
    other = load_file(train(moved_about, tmp_path / "moved", accelerator="cpu").folder / "prompt.safetensors")
    assert not torch.equal(plain["head.weight"], other["head.weight"])


TRAINS = """
import sys
from neuroprompt.contracts.learning import Preprocess
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import load_data
from neuroprompt.training.feed import Feed

if __name__ == "__main__":
    images = load_data("folder:" + sys.argv[1], Preprocess((24, 24)), 0, val="none").train
    feed = Feed(images, RunConfig(augment="crop"), 3)
    next(feed.batches(0, [[0, 1], [2, 3], [4]]))
    print(*(worker.pid for worker in feed.loader._iterator._workers), flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_import_torch_once_and_end_with_the_process_that_trains(
    photos: Path, tmp_path: Path, ended_by: signal.Signals
) -> None:
    """Ended by any signal, the process leaves no worker and no server of workers; Ctrl-C reaches them all at once."""
    script = tmp_path / "trains.py"
    script.write_text(TRAINS)
    other = tmp_path / "cwd" / "neuroprompt"  # the server must not take what it happens to stand beside
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise SystemExit('another neuroprompt')")
    words = [sys.executable, "-W", "ignore", str(script), str(photos)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, stdin=pipe, stdout=pipe, stderr=pipe, cwd=other.parent, start_new_session=True
    ) as trains:
        assert trains.stdout is not None
        assert trains.stderr is not None
        workers = [int(word) for word in trains.stdout.readline().split()]
        assert len(workers) == 3
        (server,) = {int(_stat(pid)[1]) for pid in workers}
        assert server != trains.pid  # all forked from one process, which has imported torch
        if ended_by == signal.SIGINT:
            os.killpg(trains.pid, ended_by)
        else:
            trains.send_signal(ended_by)
        text = trains.stderr.read().decode()  # to its end: no process is left that could write there
    deadline = time.monotonic() + 30  # the kernel still takes its memory away from a process that has closed its files
    while {_stat(pid)[0] for pid in (*workers, server)} != {"Z"} and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [_stat(pid)[0] for pid in (*workers, server)] == ["Z"] * 4
    assert text.count("Traceback") <= 1, text  # the trainer's own, of KeyboardInterrupt


def _stat(pid: int) -> list[str]:
    """State and parent first; one that has ended and is forgotten is a zombie, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["Z"]
