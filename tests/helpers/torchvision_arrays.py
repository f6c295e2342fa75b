"""Made-up files of the torchvision sets whose images lie in arrays: MNIST's kin, CIFAR, SVHN, and the like."""

from __future__ import annotations

import bz2
import csv
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from torchvision_greys import GREY, greys, idx, labels_of


def digits(name: str) -> Callable[[Path], list[str]]:
    def make(root: Path) -> list[str]:
        for split, prefix in (("train", "train"), ("test", "t10k")):
            labels = labels_of(split)
            idx(root / name / "raw" / f"{prefix}-images-idx3-ubyte", greys(labels, 28))
            idx(root / name / "raw" / f"{prefix}-labels-idx1-ubyte", labels)
        from torchvision import datasets

        return list(getattr(datasets, name).classes[:2])

    return make


def emnist(root: Path) -> list[str]:
    for form, first in (("balanced", 0), ("letters", 1)):  # letters count from 1
        for split in ("train", "test"):
            labels = labels_of(split, first=first)
            idx(root / "EMNIST" / "raw" / f"emnist-{form}-{split}-images-idx3-ubyte", greys(labels, 28, first))
            idx(root / "EMNIST" / "raw" / f"emnist-{form}-{split}-labels-idx1-ubyte", labels)
    return ["0", "1"]


def qmnist(root: Path) -> list[str]:
    for split in ("train", "test"):
        labels = labels_of(split)
        rows = np.zeros((len(labels), 8), np.int32)
        rows[:, 0] = labels
        idx(root / "QMNIST" / "raw" / f"qmnist-{split}-images-idx3-ubyte", greys(labels, 28))
        idx(root / "QMNIST" / "raw" / f"qmnist-{split}-labels-idx2-int", rows)
    return ["0 - zero", "1 - one"]


def cifar(folder: str, files: dict[str, str], key: str, meta: tuple[str, str]) -> Callable[[Path], list[str]]:
    def make(root: Path) -> list[str]:
        (root / folder).mkdir(parents=True)
        for name, split in files.items():
            labels = labels_of(split)
            data = greys(labels, 32)[:, None].repeat(3, 1).reshape(len(labels), -1)
            (root / folder / name).write_bytes(pickle.dumps({"data": data, key: labels.tolist()}))
        names = ["airplane", "automobile"]
        (root / folder / meta[0]).write_bytes(pickle.dumps({meta[1]: names}))
        return names

    return make


def fer2013(root: Path) -> list[str]:
    (root / "fer2013").mkdir(parents=True)
    with (root / "fer2013" / "fer2013.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("emotion", "pixels", "Usage"))
        for split, usage in (("train", "Training"), ("test", "PublicTest")):
            for label in labels_of(split):
                rows.writerow((label, " ".join([str(GREY[label])] * 48 * 48), usage))
    return ["0", "1"]


def pcam(root: Path) -> list[str]:
    (root / "pcam").mkdir(parents=True)
    for split, name in (("train", "train"), ("val", "valid"), ("test", "test")):
        labels, place = labels_of(split), root / "pcam"
        with h5py.File(place / f"camelyonpatch_level_2_split_{name}_x.h5", "w") as file:
            file["x"] = greys(labels, 96)[..., None].repeat(3, 3)
        with h5py.File(place / f"camelyonpatch_level_2_split_{name}_y.h5", "w") as file:
            file["y"] = labels.reshape(-1, 1, 1, 1)
    return ["0", "1"]


def semeion(root: Path) -> list[str]:
    root.mkdir(parents=True, exist_ok=True)
    rows = [[float(label == 0)] * 256 + [float(k == label) for k in range(10)] for label in (0, 1) for _ in range(8)]
    np.savetxt(root / "semeion.data", rows)
    return ["0", "1"]


def stl10(root: Path) -> list[str]:
    place = root / "stl10_binary"
    place.mkdir(parents=True)
    for split in ("train", "test"):
        labels = labels_of(split)
        (place / f"{split}_X.bin").write_bytes(greys(labels, 96)[:, None].repeat(3, 1).tobytes())
        (place / f"{split}_y.bin").write_bytes((labels + 1).tobytes())
    (place / "unlabeled_X.bin").write_bytes(b"")
    (place / "class_names.txt").write_text("airplane\nbird\n")
    return ["airplane", "bird"]


def svhn(root: Path) -> list[str]:
    root.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        labels = labels_of(split)
        images = greys(labels, 32).transpose(1, 2, 0)[:, :, None].repeat(3, 2)
        scipy.io.savemat(root / f"{split}_32x32.mat", {"X": images, "y": np.where(labels == 0, 10, labels)[:, None]})
    return ["0", "1"]


def usps(root: Path) -> list[str]:
    root.mkdir(parents=True, exist_ok=True)
    for split, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        rows = []
        for label in labels_of(split):
            values = " ".join(f"{i}:{GREY[label] / 127.5 - 1:.6f}" for i in range(1, 257))
            rows.append(f"{label + 1} {values}\n")
        (root / name).write_bytes(bz2.compress("".join(rows).encode()))
    return ["0", "1"]


CIFAR10_FILES = {f"data_batch_{i}": "train" for i in range(1, 6)} | {"test_batch": "test"}
CIFAR100_FILES = {"train": "train", "test": "test"}
