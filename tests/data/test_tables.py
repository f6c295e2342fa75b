"""Tables and lists of images, and which images validate."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from neuroprompt.contracts.learning import Images, Labelled
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.errors import BadData, BadSetting
from neuroprompt.training.config import RunConfig, configure
from neuroprompt.training.dataset import load_data, size_of


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """12 images, 0.png to 11.png, whose red is their number."""
    (tmp_path / "images").mkdir()
    for i in range(12):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(tmp_path / "images" / f"{i}.png")
    return tmp_path


def load(name: str, **options: object) -> Labelled:
    return load_data(name, Preprocess((4, 4)), 0, **options)  # type: ignore[arg-type]


def reds(split: Images) -> list[tuple[int, int]]:
    """(label, red) of every image."""
    pairs = [split[i] for i in range(size_of(split))]
    return sorted((label, int(image[0, 0, 0])) for image, label in pairs)


def table(file: Path, *rows: str, head: str = "path,label,split") -> str:
    file.write_text("\n".join([head, *rows]) + "\n")
    return f"csv:{file}"


SPLITS = ["train"] * 6 + ["val"] * 2 + ["test"] * 4


def test_a_table_with_splits(images: Path) -> None:
    rows = [f"images/{i}.png,{('b', 'a')[i % 2]},{split}" for i, split in enumerate(SPLITS)]
    data = load(table(images / "t.csv", *rows))
    assert data.classes == ("a", "b")
    assert reds(data.train) == [(0, 1), (0, 3), (0, 5), (1, 0), (1, 2), (1, 4)]
    assert reds(data.val) == [(0, 7), (1, 6)]
    assert reds(data.test) == [(0, 9), (0, 11), (1, 8), (1, 10)]
    assert not data.drawn


def test_other_names_of_columns_quotes_tabs_and_marks(images: Path) -> None:
    rows = [f'"{images / "images"}/{i}.png",{i % 2 + 9},x' for i in range(12)]
    data = load(table(images / "t.csv", *rows, head="\ufeffImage , Class,note"))
    assert data.classes == ("9", "10")
    assert data.drawn
    tabs = [row.replace(",", "\t") for row in rows]
    assert load(table(images / "t.tsv", *tabs, head="image\tclass\tnote")).classes == ("9", "10")


@pytest.mark.parametrize(
    ("head", "rows", "said"),
    [
        ("path,class_name", ["0.png,a"], "no column 'label', but path, class_name"),
        ("path,label", [], "no rows"),
        ("path,label", ["0.png,"], "line 2 lacks a path or a label"),
        ("path,label", ["0.png"], "line 2 lacks"),
        ("path,label,split", ["0.png,a,dev"], "line 2 has the split 'dev'"),
        ("path,label,split", ["0.png,a,test"], "no training split"),
        ("path,label", [f"images/{i}.png,a" for i in range(5)], "1 class"),
        ("path,label", [f"images/{i}.png,{i % 2}" for i in range(20)], r"1\d\.png"),
    ],
)
def test_a_table_that_cannot_be_used(head: str, rows: list[str], said: str, images: Path) -> None:
    with pytest.raises(BadData, match=said) as caught:
        load(table(images / "t.csv", *rows, head=head))
    assert "\n" not in str(caught.value)


def test_lists(images: Path) -> None:
    for name, split in (("train", "train"), ("validation", "val"), ("test", "test")):
        rows = [f"images/{i}.png {i % 2}\n" for i, its in enumerate(SPLITS) if its == split]
        (images / f"{name}.txt").write_text("".join(rows))
    data = load(f"list:{images}")
    assert [size_of(split) for split in (data.train, data.val, data.test)] == [6, 2, 4]
    assert reds(data.test) == [(0, 8), (0, 10), (1, 9), (1, 11)]
    Image.new("RGB", (4, 4), (99, 0, 0)).save(images / "images" / "with spaces.png")
    rows = [f"images/{i}.png a\n" for i in range(6)] + ["images/with spaces.png b\n"] * 6
    (images / "all.lst").write_text("\n" + "".join(rows))
    assert {red for label, red in reds(load(f"list:{images / 'all.lst'}").train) if label == 1} == {99}


def test_the_lists_of_vtab_are_800_and_200_or_1000(images: Path) -> None:
    for name, count, first in (("train800", 800, 0), ("val200", 200, 6), ("test", 30, 8)):
        rows = (f"images/{first + i % 4}.png {i % 10}\n" for i in range(count))
        (images / f"{name}.txt").write_text("".join(rows))
    searched, final = load(f"list:{images}", val="split"), load(f"list:{images}", val="none")
    assert [size_of(split) for split in (searched.train, searched.val, searched.test)] == [800, 200, 30]
    assert [size_of(split) for split in (final.train, final.val, final.test)] == [1000, 0, 30]
    assert sorted(reds(searched.train) + reds(searched.val)) == reds(final.train)
    assert searched.classes == tuple("0123456789")
    (images / "train800.txt").unlink()
    with pytest.raises(BadData, match=r"no train\.txt"):
        load(f"list:{images}")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "images/0.png\n", "line 1 has no label"),
        ("a.txt", "\xff", "UTF-8"),
        ("no.txt", "", "cannot be read"),
    ],
)
def test_lists_that_cannot_be_used(name: str, text: str, said: str, images: Path) -> None:
    (images / "a.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadData, match=said):
        load(f"list:{images / name}")
    with pytest.raises(BadData, match=r"no train\.txt"):
        load(f"list:{images / 'images'}")


def test_paths_of_tables_become_absolute(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(images)
    assert configure(data="csv:t.csv").data == f"csv:{images / 't.csv'}"
    assert configure(data="list:lists").data == f"list:{images / 'lists'}"


# --- validation ------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(images: Path) -> str:
    rows = [f"images/{i}.png,{'ab'[i % 2]},{split}" for i, split in enumerate(SPLITS)]
    return table(images / "t.csv", *rows)


def test_a_set_validates_with_its_own_images_unless_told_otherwise(own: str) -> None:
    assert reds(load(own).val) == reds(load(own, val="split").val) == [(0, 6), (1, 7)]
    nothing = load(own, val="none")
    assert size_of(nothing.val) == 0
    assert len(reds(nothing.train)) == 8
    share = load(own, val="0.25")
    assert (size_of(share.train), size_of(share.val)) == (6, 2)
    assert sorted(reds(share.train) + reds(share.val)) == reds(nothing.train)
    assert all(reds(data.test) == reds(load(own).test) for data in (nothing, share))


def test_shares_of_a_set_without_validation_images() -> None:
    whole = size_of(load("digits", val="none").train)
    assert whole == 1078 + 269
    assert abs(size_of(load("digits", val="0.5").val) - whole / 2) <= 10 / 2  # half an image of each class
    assert size_of(load("digits", val="none", limit=20).train) == 20


@pytest.mark.parametrize("val", ["some", "1.0", "0", "-0.1", "nan", ""])
def test_what_val_cannot_be(val: str) -> None:
    with pytest.raises(BadSetting, match=r"--val 0\.1"):
        RunConfig(val=val)
    with pytest.raises(BadSetting, match=r"--val 0\.1"):
        load("digits", val=val)


def test_a_set_without_a_split_of_its_own_says_so() -> None:
    with pytest.raises(BadSetting, match=r"val split; expected a data set that has one; for example --val 0\.2"):
        load("digits", val="split")
