"""Folders as people have them: nested, split in any usual way, with strays; nothing is dropped without a word."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from neuroprompt.bundles.image_files import image_files
from neuroprompt.contracts.learning import Images, Labelled
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.errors import BadData
from neuroprompt.progress import Progress
from neuroprompt.training.dataset import load_data, size_of


class Said(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def fill(folder: Path, count: int = 5, red: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (4, 4), (red, i, 0)).save(folder / f"{i}.png")
    return folder


def load(folder: Path, said: Progress | None = None) -> Labelled:
    return load_data(f"folder:{folder}", Preprocess((4, 4), interpolation="nearest"), 0, progress=said or Said())


def seen(images: Images) -> list[tuple[int, int, int]]:
    """(label, red, green) of every image."""
    rows = [images[i] for i in range(size_of(images))]
    return sorted((label, int(image[0, 0, 0]), int(image[1, 0, 0])) for image, label in rows)


def every(data: Labelled) -> list[tuple[int, int, int]]:
    return sorted(seen(data.train) + seen(data.val) + seen(data.test))


def rejected(folder: Path, *words: str) -> None:
    with pytest.raises(BadData) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)


# --- classes ---------------------------------------------------------------------------------------------------------


def test_nested_folders_are_read_as_torchvision_reads_them(tmp_path: Path) -> None:
    fill(tmp_path / "cat" / "a" / "b", red=10)
    fill(tmp_path / "cat" / "c", red=20)
    fill(tmp_path / "dog", red=30)
    fill(tmp_path / "10", red=40)
    fill(tmp_path / "9", red=50)
    theirs = ImageFolder(str(tmp_path))
    ours = load(tmp_path)
    assert list(ours.classes) == theirs.classes == ["10", "9", "cat", "dog"]
    assert every(ours) == sorted((label, *image.getpixel((0, 0))[:2]) for image, label in theirs)


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "JPG", "PnG"])
def test_every_suffix_of_an_image_counts(suffix: str, tmp_path: Path) -> None:
    fill(tmp_path / "ant")
    for file in fill(tmp_path / "bee").iterdir():
        file.rename(file.with_suffix(f".{suffix}"))
    assert len(every(load(tmp_path))) == 10


def test_a_class_without_images_is_an_error_that_says_what_it_holds(tmp_path: Path) -> None:
    fill(tmp_path / "ant")
    fill(tmp_path / "bee")
    (tmp_path / "fox").mkdir()
    rejected(tmp_path, "class 'fox'", "it is empty")
    (tmp_path / "fox" / ".0.png").write_bytes(b"x")
    rejected(tmp_path, "class 'fox'", "only hidden files")
    for i in range(2):
        (tmp_path / "fox" / f"{i}.heic").write_bytes(b"x")
    rejected(tmp_path, "class 'fox'", "2 files: .heic", ".png", "convert them")
    (tmp_path / "fox" / "deep").mkdir()
    (tmp_path / "fox" / "deep" / "note.txt").write_text("x")
    rejected(tmp_path, "3 files: .heic, .txt")


def test_files_that_are_passed_over_are_named(tmp_path: Path) -> None:
    fill(tmp_path / "ant")
    fill(tmp_path / "bee")
    (tmp_path / "ant" / "a.heic").write_bytes(b"x")
    (tmp_path / "ant" / "Thumbs.db").write_bytes(b"x")
    Image.new("RGB", (4, 4)).save(tmp_path / "loose.png")
    said = Said()
    assert len(every(load(tmp_path, said))) == 10
    assert said.lines == [
        f"{tmp_path}: passed over 1 file outside its folders of classes",
        "class ant: passed over 1 file ending in .heic",
    ]


def test_hidden_names_are_passed_over(tmp_path: Path) -> None:
    for name in ("ant", "bee", ".git", "ant/.cache"):
        fill(tmp_path / name)
    (tmp_path / "ant" / "._0.png").write_bytes(b"Apple's")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    data = load(tmp_path)
    assert data.classes == ("ant", "bee")
    assert len(every(data)) == 10


@pytest.mark.parametrize("split", ["", "train"])
def test_what_archives_and_storage_boxes_add_is_no_data(split: str, tmp_path: Path) -> None:
    """macOS's halves of files in a zip beside the classes or splits, and a NAS's thumbnails in every folder."""
    for name in ("ant", "bee"):
        fill(tmp_path / split / name)
        fill(tmp_path / split / name / "@eaDir" / "0.png", 2, red=9)
    fill(tmp_path / "__MACOSX" / split / "ant")
    fill(tmp_path / "@eaDir" / "0.png", 2)
    said = Said()
    data = load(tmp_path, said)
    assert data.classes == ("ant", "bee")
    assert [red for _, red, _ in every(data)] == [0] * 10
    assert said.lines == []
    assert len(list(image_files([tmp_path]))) == 10


@pytest.mark.timeout(60)
def test_links_in_a_circle_end(tmp_path: Path) -> None:
    fill(tmp_path / "p" / "ant")
    (tmp_path / "p" / "ant" / "again").symlink_to(tmp_path / "p")
    (tmp_path / "p" / "ant" / "self").symlink_to(".")
    fill(tmp_path / "elsewhere", red=7)
    (tmp_path / "p" / "bee").symlink_to(tmp_path / "elsewhere")
    data = load(tmp_path / "p")
    assert data.classes == ("ant", "bee")
    assert [row for row in every(data) if row[0] == 1] == [(1, 7, i) for i in range(5)]


def test_a_link_to_nowhere_is_an_error_and_a_folder_called_png_is_none(tmp_path: Path) -> None:
    fill(tmp_path / "ant")
    fill(tmp_path / "bee" / "x.png")
    assert len(every(load(tmp_path))) == 10
    (tmp_path / "ant" / "gone.png").symlink_to(tmp_path / "nowhere")
    rejected(tmp_path, "gone.png", "cannot be read")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path / "ant")
    fill(tmp_path / "bee" / "deep").chmod(0)
    try:
        rejected(tmp_path, "deep", "cannot be read")
    finally:
        (tmp_path / "bee" / "deep").chmod(0o700)


def test_names_in_any_script_are_the_same_however_they_are_spelt(tmp_path: Path) -> None:
    names = ["Käfer", "ねこ", "кошка", "गाय", "قط", "a b", "100%", "[red]"]
    for name in names:
        fill(tmp_path / "train" / unicodedata.normalize("NFC", name))
        fill(tmp_path / "test" / unicodedata.normalize("NFD", name), 2)  # as macOS writes them
    data = load(tmp_path)
    assert set(data.classes) == {unicodedata.normalize("NFC", name) for name in names}
    assert size_of(data.test) == 16
    fill(tmp_path / "train" / unicodedata.normalize("NFD", "Käfer"))
    rejected(tmp_path, "two folders")


def test_a_name_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    fill(tmp_path / "ant")
    os.mkdir(os.fsencode(tmp_path) + b"/b\xe9e")
    rejected(tmp_path, "not UTF-8", "rename it")


# --- splits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_folder_to_validate_with_is_used(name: str, tmp_path: Path) -> None:
    for split, count, red in (("train", 5, 1), (name, 3, 2), ("test", 2, 3)):
        for label in ("ant", "bee"):
            fill(tmp_path / split / label, count, red)
    data = load(tmp_path)
    assert {red for _, red, _ in seen(data.train)} == {1}
    assert {red for _, red, _ in seen(data.val)} == {2}
    assert {red for _, red, _ in seen(data.test)} == {3}
    assert (size_of(data.train), size_of(data.val), size_of(data.test)) == (10, 6, 4)
    assert not data.drawn


def test_without_a_test_folder_the_validation_images_are_the_test(tmp_path: Path) -> None:
    for label in ("ant", "bee"):
        fill(tmp_path / "train" / label, 5, 1)
        fill(tmp_path / "val" / label, 3, 2)
    said = Said()
    data = load(tmp_path, said)
    assert {red for _, red, _ in seen(data.test)} == {2}
    assert (size_of(data.train), size_of(data.val)) == (8, 2)
    assert said.lines == [f"{tmp_path / 'val'} is the test split, because no other test images have labels"]


def test_train_alone_is_split_and_beside_classes_it_is_one(tmp_path: Path) -> None:
    for label in ("ant", "bee"):
        fill(tmp_path / "only" / "train" / label)
    data = load(tmp_path / "only")
    assert data.classes == ("ant", "bee")
    assert data.drawn
    fill(tmp_path / "vehicles" / "train")
    fill(tmp_path / "vehicles" / "plane")
    assert load(tmp_path / "vehicles").classes == ("plane", "train")


def test_what_stands_beside_the_splits_is_named(tmp_path: Path) -> None:
    for split in ("train", "test", "unlabelled"):
        for label in ("ant", "bee"):
            fill(tmp_path / split / label)
    said = Said()
    load(tmp_path, said)
    assert said.lines == [f"passed over {tmp_path / 'unlabelled'}, which is no split"]


def test_two_folders_for_one_split_are_an_error(tmp_path: Path) -> None:
    for split in ("train", "val", "valid"):
        for label in ("ant", "bee"):
            fill(tmp_path / split / label)
    rejected(tmp_path, "val and valid")


def test_a_class_that_only_one_split_has(tmp_path: Path) -> None:
    for label in ("ant", "bee"):
        fill(tmp_path / "train" / label)
        fill(tmp_path / "val" / label)
    fill(tmp_path / "val" / "cow")
    rejected(tmp_path, "'cow'", "no training images")


def test_tiny_imagenet_is_read_as_it_is_published(tmp_path: Path) -> None:
    for label, red in (("n01443537", 1), ("n01629819", 2)):
        fill(tmp_path / "train" / label / "images", 5, red)
        (tmp_path / "train" / label / f"{label}_boxes.txt").write_text("0.png\t0\t0\t3\t3\n")
    fill(tmp_path / "val" / "images", 4, 3)
    fill(tmp_path / "test" / "images", 4, 4)
    rows = [f"{i}.png\t{('n01443537', 'n01629819')[i % 2]}\t0\t0\t3\t3\n" for i in range(4)]
    (tmp_path / "val" / "val_annotations.txt").write_text("".join(rows))
    data = load(tmp_path)
    assert data.classes == ("n01443537", "n01629819")
    assert seen(data.test) == [(0, 3, 0), (0, 3, 2), (1, 3, 1), (1, 3, 3)]
    assert {red for _, red, _ in seen(data.train) + seen(data.val)} == {1, 2}
    (tmp_path / "val" / "val_annotations.txt").write_text("0.png\tn02\n")
    rejected(tmp_path, "val_annotations.txt", "'n02'")
    (tmp_path / "val" / "val_annotations.txt").write_text("0.png n01443537\n")
    rejected(tmp_path, "val_annotations.txt", "without a class")
