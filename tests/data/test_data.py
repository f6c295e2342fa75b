"""Every data source: sizes, splits, thinning, and one clear line for what cannot be used."""

from __future__ import annotations

import struct
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from neuroprompt.contracts.learning import Images, Labelled
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.data import digits
from neuroprompt.errors import BadData, BadSetting, NeuropromptError, UnknownName
from neuroprompt.training.dataset import absolute, batches, load_data

SIZE = (8, 12)
PREPROCESS = Preprocess(SIZE)


def load(name: str, seed: int = 0, **options: object) -> Labelled:
    return load_data(name, PREPROCESS, seed, **options)  # type: ignore[arg-type]


def labels(images: Images) -> list[int]:
    return [images[i][1] for i in range(len(images))]  # type: ignore[arg-type]


def fill(folder: Path, count: int, colour: int) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        Image.new("RGB", (20, 10), (colour, i, 0)).save(folder / f"{i}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, colour in (("ant", 10), ("bee", 20), ("cat", 30)):
        fill(tmp_path / "p" / name, 10, colour)
    return tmp_path / "p"


def test_digits() -> None:
    data = load("digits")
    assert (len(data.train), len(data.val), len(data.test)) == (1078, 269, 450)  # type: ignore[arg-type]
    assert data.classes == tuple("0123456789")
    image, label = data.train[0]
    assert image.shape == (3, *SIZE)
    assert image.dtype == torch.uint8
    assert torch.equal(image[0], image[2])
    assert image.max() > 200
    assert label in range(10)


@pytest.mark.parametrize("place", [None, "elsewhere"])
def test_digits_are_read_as_scikit_learn_reads_them(
    place: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the package's file, and by scikit-learn where a version keeps the file elsewhere."""
    if place:
        spec = ModuleSpec("sklearn", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path / place)]
        monkeypatch.setattr(digits, "find_spec", lambda _: spec)
    grey, labels = digits.read_digits()
    theirs = load_digits()
    np.testing.assert_array_equal(grey, theirs.data)
    np.testing.assert_array_equal(labels, theirs.target)


def test_digits_without_scikit_learn_name_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError) as missing:
        digits.read_digits()
    assert missing.value.name == "sklearn"


def test_seed_draws_validation_and_never_test(folder: Path) -> None:
    def seen(images: Images) -> list[tuple[int, ...]]:
        return sorted(tuple(images[i][0][:, 0, 0].tolist()) for i in range(len(images)))  # type: ignore[arg-type]

    one, same, other = load(f"folder:{folder}", 1), load(f"folder:{folder}", 1), load(f"folder:{folder}", 2)
    assert seen(one.val) == seen(same.val) != seen(other.val)
    assert seen(one.test) == seen(other.test)
    everything = seen(one.train) + seen(one.val) + seen(one.test)
    assert len(set(everything)) == len(everything) == 30
    assert sorted(labels(one.test)) == [0, 0, 1, 1, 2, 2]
    assert sorted(labels(one.val)) == [0, 0, 1, 1, 2, 2]


def test_folder_with_splits_keeps_them(tmp_path: Path) -> None:
    for name, colour in (("ant", 10), ("bee", 20)):
        fill(tmp_path / "train" / name, 5, colour)
        fill(tmp_path / "test" / name, 3, colour)
    data = load(f"folder:{tmp_path}")
    assert (len(data.train), len(data.val), len(data.test)) == (8, 2, 6)  # type: ignore[arg-type]
    assert labels(data.test) == [0, 0, 0, 1, 1, 1]
    assert data.test[5][0][:, 4, 4].tolist() == [20, 2, 0]


def test_images_are_resized_by_pillow_without_a_crop(tmp_path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.fromarray(random).save(tmp_path / name / f"{i}.png")
    data = load_data(f"folder:{tmp_path}", Preprocess(SIZE, interpolation="bilinear"), 0)
    expected = np.asarray(Image.fromarray(random).resize((12, 8), Image.Resampling.BILINEAR))
    assert torch.equal(data.train[0][0], torch.from_numpy(expected.copy()).permute(2, 0, 1))


def test_limit_keeps_the_classes_even() -> None:
    data = load("digits", limit=40)
    assert [labels(part).count(3) for part in (data.train, data.val, data.test)] == [4, 4, 4]
    again, other = load("digits", limit=40), load("digits", limit=40, seed=1)
    assert all(torch.equal(data.train[i][0], again.train[i][0]) for i in range(40))
    assert not all(torch.equal(data.train[i][0], other.train[i][0]) for i in range(40))
    assert len(set(labels(load("digits", limit=7).train))) == 7


def test_large_sets_are_decoded_when_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = load(f"folder:{folder}")
    monkeypatch.setattr("neuroprompt.data._images.MEMORY_BYTES", 0)
    lazy = load(f"folder:{folder}")
    for i in range(len(lazy.train)):  # type: ignore[arg-type]
        assert torch.equal(lazy.train[i][0], in_memory.train[i][0])
    (folder / "bee" / "3.png").write_bytes(b"")
    with pytest.raises(BadData, match=r"3\.png"):
        list(batches(lazy.train, [range(18)]) if 3 in labels(lazy.train) else _all(lazy))


def _all(data: Labelled) -> list[object]:
    return [part[i] for part in (data.train, data.val, data.test) for i in range(len(part))]  # type: ignore[arg-type]


def test_batches_keep_the_order_asked_for() -> None:
    data = load("digits", limit=30)
    rows = [[3, 1], [29], [0, 2, 4]]
    found = list(batches(data.train, rows))
    for row, (images, of_them) in zip(rows, found, strict=True):
        assert torch.equal(images, torch.stack([data.train[i][0] for i in row]))
        assert of_them.tolist() == [data.train[i][1] for i in row]


def test_folder_that_is_empty(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="holds no images"):
        load(f"folder:{tmp_path}")
    with pytest.raises(BadData, match="there is no folder"):
        load(f"folder:{tmp_path / 'nowhere'}")


def test_folder_of_one_class(tmp_path: Path) -> None:
    fill(tmp_path / "ant", 5, 0)
    with pytest.raises(BadData, match="one class only, 'ant'"):
        load(f"folder:{tmp_path}")


def test_class_of_one_image(tmp_path: Path) -> None:
    fill(tmp_path / "ant", 5, 0)
    fill(tmp_path / "bee", 1, 0)
    with pytest.raises(BadData, match="'bee' has fewer than two"):
        load(f"folder:{tmp_path}")


def test_unreadable_and_truncated_images_are_named(folder: Path) -> None:
    (folder / "ant" / "4.png").write_text("no image")
    with pytest.raises(BadData, match=r"4\.png.*replace or remove"):
        load(f"folder:{folder}")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "ant" / "4.jpg")
    whole = (folder / "ant" / "4.jpg").read_bytes()
    (folder / "ant" / "4.png").unlink()
    (folder / "ant" / "4.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match=r"4\.jpg.*truncated"):
        load(f"folder:{folder}")


def test_test_class_without_training_images(tmp_path: Path) -> None:
    for part, names in (("train", ("ant", "bee")), ("test", ("ant", "cow"))):
        for name in names:
            fill(tmp_path / part / name, 4, 0)
    with pytest.raises(BadData, match="'cow'"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("digits:8", BadSetting),
        ("folder", BadSetting),
        ("folder:", BadSetting),
        ("flowers", UnknownName),
        ("torchvision:CIFAR11", UnknownName),
    ],
)
def test_names_that_mean_nothing(name: str, error: type[NeuropromptError]) -> None:
    with pytest.raises(error):
        load(name)


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("folder:p") == f"folder:{tmp_path / 'p'}"
    assert absolute("torchvision:CIFAR10") == "torchvision:CIFAR10"
    assert absolute("digits") == "digits"


def test_torchvision_set_from_its_files(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 20)):
        pixels = np.arange(count, dtype=np.uint8).repeat(28 * 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, count, 28, 28) + pixels.tobytes())
        digits = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, count) + digits.tobytes())
    data = load("torchvision:MNIST", root=str(tmp_path))
    assert len(data.classes) == 10
    assert (len(data.train), len(data.val), len(data.test)) == (30, 10, 20)  # type: ignore[arg-type]
    assert [int(data.test[i][0][0, 0, 0]) for i in range(20)] == list(range(20))
    assert labels(data.test) == [i % 10 for i in range(20)]


def test_torchvision_set_that_cannot_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with pytest.raises(BadData, match="CIFAR10 cannot be had") as caught:
        load("torchvision:CIFAR10", root=str(tmp_path))
    assert "\n" not in str(caught.value)
