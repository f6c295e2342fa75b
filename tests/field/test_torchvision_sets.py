"""Every classification set of the installed torchvision, on made-up files of its layout; others say why not."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest
import torchvision.datasets
from torchvision_files import MAKERS
from torchvision_greys import COUNT, GREY

from neuroprompt.contracts.learning import Images, Labelled
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.data._torchvision_sets import SETS, UNSUPPORTED, VARIANTS
from neuroprompt.errors import BadData, NeuropromptError, UnknownName, Unsupported
from neuroprompt.training.dataset import load_data, size_of

CLASSES = {n for n in torchvision.datasets.__all__ if inspect.isclass(getattr(torchvision.datasets, n))}


@pytest.fixture(autouse=True)
def _any_file_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up files have other checksums; nothing is downloaded."""
    for name, module in list(sys.modules.items()):
        if name.startswith("torchvision.datasets") and hasattr(module, "check_integrity"):
            monkeypatch.setattr(module, "check_integrity", lambda path, md5=None: Path(path).is_file())
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")


def load(name: str, root: Path) -> Labelled:
    return load_data(f"torchvision:{name}", Preprocess((4, 4)), 0, root=str(root))


def levels(images: Images) -> list[tuple[int, int]]:
    """(label, grey) of every image, the grey as the nearest of GREY."""
    pairs = []
    for i in range(size_of(images)):
        image, label = images[i]
        value = float(image.float().mean())
        nearest = min(GREY, key=lambda grey: abs(grey - value))
        assert abs(nearest - value) < 6  # JPEG
        pairs.append((label, nearest))
    return sorted(pairs)


def test_every_class_of_torchvision_is_known() -> None:
    """A new release brings new sets: each is tried here, or listed with a reason."""
    assert set(SETS) | set(UNSUPPORTED) == CLASSES
    assert not set(SETS) & set(UNSUPPORTED)
    assert set(MAKERS) == set(SETS) - {"FakeData"}
    assert set(VARIANTS) <= set(SETS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_set_has_its_classes_and_splits(name: str, tmp_path: Path) -> None:
    names = MAKERS[name](tmp_path)
    data = load(name, tmp_path)
    assert list(data.classes) == names
    splits = (data.train, data.val, data.test)
    for images in splits:
        pairs = levels(images)
        if name == "SEMEION":  # black and white alone, and its white is 0
            assert {grey for label, grey in pairs if label == 1} == {0}
        else:
            assert all(GREY[label] == grey for label, grey in pairs)
        assert {label for label, _ in pairs} == set(range(len(names)))
    classes = len(names)
    whole = 6 * classes * (5 if name == "CIFAR10" else 1)
    sizes = [size_of(images) for images in splits]
    if len(SETS[name]) == 3:
        assert sizes == [whole, 4 * classes, 3 * classes]
    elif len(SETS[name]) == 2:
        second = "val" if name == "CLEVRClassification" else "test"  # what its maker calls the split that is tested
        withheld = round(0.2 * whole / classes) * classes
        assert sizes == [whole - withheld, withheld, COUNT[second] * classes]
    else:
        assert sum(sizes) == 8 * classes
        assert data.drawn


@pytest.mark.slow
def test_a_set_that_is_drawn_at_random() -> None:
    data = load_data("torchvision:FakeData", Preprocess((4, 4)), 0, limit=20)
    assert len(data.classes) == 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("EMNIST/letters", ["a", "b"]),
        ("FGVCAircraft/manufacturer", ["Boeing", "Airbus"]),
        ("Imagenette/160px", ["tench, Tinca tinca", "English springer, English springer spaniel"]),
    ],
)
def test_variants(name: str, classes: list[str], tmp_path: Path) -> None:
    MAKERS[name.partition("/")[0]](tmp_path)
    data = load(name, tmp_path)
    assert list(data.classes) == classes
    assert all(GREY[label] == grey for label, grey in levels(data.test))


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_a_set_that_is_none_says_why(name: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=f"{name} cannot be trained on: .*{UNSUPPORTED[name][:20]}"):
        load(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("mnist", UnknownName, "one such as: MNIST"),
        ("cifar10", UnknownName, "one such as: CIFAR10"),
        ("imagenet", UnknownName, "ImageNet"),
        ("EMNIST/lettres", UnknownName, "one of: balanced, byclass, bymerge, digits, letters, mnist"),
        ("MNIST/letters", UnknownName, "its name alone"),
        ("ImageNet", BadData, "put it in"),
        ("FER2013", BadData, "fer2013.csv|train.csv"),
    ],
)
def test_what_cannot_be_had_is_one_line(name: str, error: type[NeuropromptError], said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said) as caught:
        load(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_test_images_without_labels_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "fer2013").mkdir()
    pixels = " ".join(["0"] * 48 * 48)
    (tmp_path / "fer2013" / "train.csv").write_text(f"emotion,pixels\n0,{pixels}\n1,{pixels}\n")
    (tmp_path / "fer2013" / "test.csv").write_text(f"pixels\n{pixels}\n")
    with pytest.raises(BadData, match="without a label"):
        load("FER2013", tmp_path)


def test_a_damaged_image_of_a_set_is_named(tmp_path: Path) -> None:
    MAKERS["EuroSAT"](tmp_path)
    (tmp_path / "eurosat" / "2750" / "Forest" / "3.jpg").write_bytes(b"no image")
    with pytest.raises(BadData, match="image 11 of torchvision's EuroSAT"):
        load("EuroSAT", tmp_path)
