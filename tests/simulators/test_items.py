"""Data sets for spiking targets: every form of file, and mistakes that name what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neuroprompt.errors import BadData, BadSetting
from neuroprompt.simulators.items import read_items

SPIKES = np.random.default_rng(0).random((7, 5, 6)) < 0.4
LABELS = np.arange(7) % 3


def written(folder: Path, name: str, inputs: Any, labels: Any = None) -> Path:
    file = folder / name
    arrays = {"inputs": inputs} | ({} if labels is None else {"labels": labels})
    if file.suffix == ".npy":
        np.save(file, inputs)
    elif file.suffix == ".npz":
        np.savez(file, **arrays)
    else:
        with h5py.File(file, "w") as opened:
            opened.update(arrays)
    return file


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
@pytest.mark.parametrize("shape", [(7, 5, 6), (7, 5, 2, 3), (7, 5, 1, 3, 2)])
def test_every_form_of_file_holds_the_same_items(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    items = read_items(written(tmp_path, name, SPIKES.reshape(shape)), None, 6)
    assert (len(items), items.steps, items.labels) == (7, 5, None)
    assert np.array_equal(items.part(0, 7), SPIKES)
    assert np.array_equal(items.part(2, 4), SPIKES[2:4])


@pytest.mark.parametrize("name", ["a.npz", "a.h5"])
def test_labels_stand_beside_the_inputs_or_in_a_file_of_their_own(tmp_path: Path, name: str) -> None:
    both = read_items(written(tmp_path, name, SPIKES, LABELS), None, 6)
    apart = read_items(written(tmp_path, "x.npy", SPIKES), written(tmp_path, "y.npy", LABELS), 6)
    other = read_items(written(tmp_path, f"other-{name}", SPIKES, LABELS), written(tmp_path, "y.npy", LABELS[::-1]), 6)
    assert both.labels is not None
    assert apart.labels is not None
    assert other.labels is not None
    assert np.array_equal(both.labels, LABELS)
    assert np.array_equal(apart.labels, LABELS)
    assert np.array_equal(other.labels, LABELS[::-1])


def test_numbers_without_steps_are_the_input_of_every_step(tmp_path: Path) -> None:
    still = np.random.default_rng(1).normal(size=(7, 2, 3)).astype(np.float32)
    items = read_items(written(tmp_path, "a.npy", still), None, 6, 4)
    assert np.array_equal(items.part(3, 5), np.stack([still[3:5].reshape(2, 6)] * 4, axis=1))
    assert items.largest == np.abs(still).max()
    assert read_items(written(tmp_path, "a.npy", still), None, 6, None, 9).steps == 9


def test_fewer_steps_are_the_first(tmp_path: Path) -> None:
    items = read_items(written(tmp_path, "a.npy", SPIKES), None, 6, 3)
    assert np.array_equal(items.part(0, 7), SPIKES[:, :3])


def with_nan() -> Any:
    numbers = np.ones((7, 5, 6))
    numbers[4, 2, 1] = np.nan
    return numbers


@pytest.mark.parametrize(
    ("inputs", "labels", "words"),
    [
        (SPIKES[:, :, :4], None, "the graph has 6 input lines"),
        (with_nan(), None, "NaN or infinity in item 4"),
        (np.full((7, 5, 6), np.inf), None, "NaN or infinity in item 0"),
        (np.zeros((0, 5, 6)), None, "one item or more"),
        (np.zeros((7, 0, 6)), None, "one item or more"),
        (np.zeros(6), None, "one item or more"),
        (np.full((7, 5, 6), "a"), None, "expected numbers"),
        (SPIKES, LABELS[:-1], "one for each item"),
        (SPIKES, np.eye(7), "one for each item"),
        (SPIKES, LABELS - 1, "the label -1"),
        (SPIKES, LABELS + 0.5, "whole numbers"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path: Path, inputs: Any, labels: Any, words: str) -> None:
    with pytest.raises(BadData, match=words):
        read_items(written(tmp_path, "a.npz", inputs, labels), None, 6)


def test_steps_that_nobody_says_or_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="--steps 25"):
        read_items(written(tmp_path, "a.npy", SPIKES[:, 0]), None, 6)
    with pytest.raises(BadData, match="5 steps an item"):
        read_items(written(tmp_path, "a.npy", SPIKES), None, 6, 6)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
@pytest.mark.parametrize("content", [b"", b"no array at all"])
def test_files_that_hold_no_arrays(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match="cannot be read"):
        read_items(tmp_path / name, None, 6)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "a.npz", inputs=np.array([{}]))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(BadData, match="plain numbers"):
            read_items(tmp_path / name, None, 6)


def test_a_file_that_is_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="No such file"):
        read_items(tmp_path / "a.npy", None, 6)
    with pytest.raises(BadData, match=r"\.npy, \.npz or \.h5"):
        read_items(tmp_path / "a.pkl", None, 6)


def test_arrays_of_other_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=SPIKES, b=SPIKES)
    with pytest.raises(BadData, match=r"\['a', 'b'\].*'inputs'"):
        read_items(tmp_path / "a.npz", None, 6)
    np.savez(tmp_path / "b.npz", anything=SPIKES, y=LABELS)
    assert len(read_items(tmp_path / "b.npz", None, 6)) == 7


def test_an_hdf5_file_holds_its_values_and_all_that_it_says(tmp_path: Path) -> None:
    """Values elsewhere, claims of terabytes, and a damaged group are one line; what compresses well is read."""
    (tmp_path / "other").write_bytes(bytes(7 * 30 * 4))
    with h5py.File(tmp_path / "linked.h5", "w") as opened:
        opened.create_dataset("inputs", (7, 5, 6), "f4", external=[(str(tmp_path / "other"), 0, 7 * 30 * 4)])
    with h5py.File(tmp_path / "claimed.h5", "w") as opened:
        opened.create_dataset("inputs", (2**40, 5, 6), "f4", chunks=(1, 5, 6))
    for name in ("linked", "claimed"):
        with pytest.raises(BadData, match=r"elsewhere|stores 0"):
            read_items(tmp_path / f"{name}.h5", None, 6)
    with h5py.File(tmp_path / "empty.h5", "w") as opened:
        opened["inputs"] = h5py.Empty("f4")
    with pytest.raises(BadData, match="holds nothing"):
        read_items(tmp_path / "empty.h5", None, 6)
    damaged = written(tmp_path, "damaged.h5", SPIKES)
    damaged.write_bytes(damaged.read_bytes().replace(b"SNOD", b"XXXX"))
    with pytest.raises(BadData, match="cannot be read"):
        read_items(damaged, None, 6)
    with h5py.File(tmp_path / "zeros.h5", "w") as opened:
        opened.create_dataset("inputs", data=np.zeros((50_000, 5, 6), "f4"), compression="gzip", compression_opts=9)
    assert len(read_items(tmp_path / "zeros.h5", None, 6)) == 50_000
