"""Made-up files of torchvision's classification sets, each in the layout of the published one.

A maker writes a set below `root` in which every image of class k is grey of level GREY[k], and gives the names of the
classes in the order of their labels.
"""

from __future__ import annotations

import bz2
import csv
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import torch
from PIL import Image

GREY = (0, 120, 255)
COUNT = {"train": 6, "val": 4, "test": 3}
"""Images of each class in a split."""


def save(file: Path, label: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (GREY[label],) * 3).save(file)


def tree(root: Path, classes: list[str], *splits: tuple[str, int], suffix: str = "jpg") -> list[str]:
    """SPLIT/CLASS/i.suffix below `root`."""
    for split, count in splits:
        for label, name in enumerate(classes):
            for i in range(count):
                save(root / split / name / f"{i}.{suffix}", label)
    return classes


def idx(file: Path, values: np.ndarray) -> None:
    """A file of MNIST's format: 8 for uint8, 12 for int32."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kind = {"uint8": 8, "int32": 12}[str(values.dtype)]
    big = values.astype(values.dtype.newbyteorder(">"))
    file.write_bytes(struct.pack(f">{values.ndim + 1}i", kind * 256 + values.ndim, *values.shape) + big.tobytes())


def greys(labels: np.ndarray, side: int, first: int = 0) -> np.ndarray:
    """(n, side, side) of the greys of labels that begin at `first`."""
    return np.array(GREY, np.uint8)[labels - first, None, None].repeat(side, 1).repeat(side, 2)


def labels_of(split: str, classes: int = 2, first: int = 0) -> np.ndarray:
    return np.arange(first, first + classes, dtype=np.uint8).repeat(COUNT[split])


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


def caltech101(root: Path) -> list[str]:
    place = root / "caltech101" / "101_ObjectCategories"
    for label, name in enumerate(["BACKGROUND_Google", "Faces", "accordion"]):
        for i in range(1, 9):
            save(place / name / f"image_{i:04d}.jpg", max(0, label - 1))
    return ["Faces", "accordion"]


def caltech256(root: Path) -> list[str]:
    names = ["001.ak47", "002.american-flag"]
    for label, name in enumerate(names):
        for i in range(1, 9):
            save(root / "caltech256" / "256_ObjectCategories" / name / f"{label + 1:03d}_{i:04d}.jpg", label)
    return names


def clevr(root: Path) -> list[str]:
    place = root / "clevr" / "CLEVR_v1.0"
    for split in ("train", "val"):
        scenes = []
        for label, objects in enumerate((3, 10)):
            for i in range(COUNT[split]):
                name = f"CLEVR_{split}_{objects:02d}{i:04d}.png"
                save(place / "images" / split / name, label)
                scenes.append({"image_filename": name, "objects": [{}] * objects})
        (place / "scenes").mkdir(exist_ok=True)
        (place / "scenes" / f"CLEVR_{split}_scenes.json").write_text(json.dumps({"scenes": scenes}))
    return ["3", "10"]


def country211(root: Path) -> list[str]:
    return tree(root / "country211", ["AD", "AE"], ("train", 6), ("valid", 4), ("test", 3))


def dtd(root: Path) -> list[str]:
    names, place = ["banded", "blotchy"], root / "dtd" / "dtd"
    for split, count in COUNT.items():
        rows = [f"{name}/{name}_{split}{i}.jpg" for name in names for i in range(count)]
        for row in rows:
            save(place / "images" / row, names.index(row.partition("/")[0]))
        (place / "labels").mkdir(exist_ok=True)
        (place / "labels" / f"{split}1.txt").write_text("\n".join(rows) + "\n")
    return names


def fer2013(root: Path) -> list[str]:
    (root / "fer2013").mkdir(parents=True)
    with (root / "fer2013" / "fer2013.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("emotion", "pixels", "Usage"))
        for split, usage in (("train", "Training"), ("test", "PublicTest")):
            for label in labels_of(split):
                rows.writerow((label, " ".join([str(GREY[label])] * 48 * 48), usage))
    return ["0", "1"]


def fgvc(root: Path) -> list[str]:
    place, names = root / "fgvc-aircraft-2013b" / "data", ["707-320", "727-200"]
    place.mkdir(parents=True)
    (place / "variants.txt").write_text("\n".join(names) + "\n")
    (place / "manufacturers.txt").write_text("Boeing\nAirbus\n")
    for split, count in COUNT.items():
        rows = []
        for label, name in enumerate(names):
            for i in range(count):
                save(place / "images" / f"{split}{label}{i}.jpg", label)
                rows.append((f"{split}{label}{i}", name, ("Boeing", "Airbus")[label]))
        for form, column in (("variant", 1), ("manufacturer", 2)):
            (place / f"images_{form}_{split}.txt").write_text("".join(f"{row[0]} {row[column]}\n" for row in rows))
    return names


def flowers(root: Path) -> list[str]:
    from torchvision.datasets import Flowers102

    place, ids = root / "flowers-102", {}
    labels: list[int] = []
    for split, key in (("train", "trnid"), ("val", "valid"), ("test", "tstid")):
        of_split = labels_of(split)
        ids[key] = np.arange(len(labels) + 1, len(labels) + len(of_split) + 1)
        for number, label in zip(ids[key], of_split, strict=True):
            save(place / "jpg" / f"image_{number:05d}.jpg", label)
        labels += of_split.tolist()
    scipy.io.savemat(place / "imagelabels.mat", {"labels": np.array(labels) + 1})
    scipy.io.savemat(place / "setid.mat", ids)
    return list(Flowers102.classes[:2])


def food(root: Path) -> list[str]:
    place, names = root / "food-101", ["apple_pie", "baby_back_ribs"]
    for split in ("train", "test"):
        rows = {name: [f"{name}/{split}{i}" for i in range(COUNT[split])] for name in names}
        for label, name in enumerate(names):
            for row in rows[name]:
                save(place / "images" / f"{row}.jpg", label)
        (place / "meta").mkdir(exist_ok=True)
        (place / "meta" / f"{split}.json").write_text(json.dumps(rows))
    return names


def gtsrb(root: Path) -> list[str]:
    place = root / "gtsrb"
    tree(place / "GTSRB", ["00000", "00001"], ("Training", 6), suffix="ppm")
    rows = ["Filename;Width;ClassId"]
    for i, label in enumerate(labels_of("test")):
        save(place / "GTSRB" / "Final_Test" / "Images" / f"{i:05d}.ppm", label)
        rows.append(f"{i:05d}.ppm;8;{label}")
    (place / "GT-final_test.csv").write_text("\n".join(rows) + "\n")
    return ["0", "1"]


def inaturalist(root: Path) -> list[str]:
    taxa = "Animalia_Annelida_Clitellata_Haplotaxida_Lumbricidae_Lumbricus"
    names = [f"{i:05d}_{taxa}_{kind}" for i, kind in enumerate("ab")]
    return tree(root, names, ("2021_train", 6), ("2021_valid", 3))


def imagenet(root: Path) -> list[str]:
    tree(root, ["n01440764", "n01443537", "n02012849"], ("train", 6), ("val", 3), suffix="JPEG")
    meta = {"n01440764": ("tench", "Tinca tinca"), "n01443537": ("crane",), "n02012849": ("crane",)}
    torch.save((meta, ["n01440764"] * 3), root / "meta.bin")
    return ["tench, Tinca tinca", "crane (1)", "crane (2)"]


def imagenette(root: Path) -> list[str]:
    for form in ("imagenette2", "imagenette2-160"):
        tree(root / form, ["n01440764", "n02102040"], ("train", 6), ("val", 3), suffix="JPEG")
    return ["tench, Tinca tinca", "English springer, English springer spaniel"]


def omniglot(root: Path) -> list[str]:
    place = root / "omniglot-py" / "images_background"
    for label in range(2):
        for i in range(8):
            save(place / "Alphabet" / f"character{label}" / f"{i}.png", label)
    (root / "omniglot-py" / "images_background.zip").touch()
    return ["Alphabet/character0", "Alphabet/character1"]


def pet(root: Path) -> list[str]:
    place = root / "oxford-iiit-pet"
    for split, count in (("trainval", 6), ("test", 3)):
        rows = []
        for label, name in enumerate(("Abyssinian", "american_bulldog")):
            for i in range(count):
                save(place / "images" / f"{name}_{split}{i}.jpg", label)
                rows.append(f"{name}_{split}{i} {label + 1} {label + 1} 1")
        (place / "annotations").mkdir(exist_ok=True)
        (place / "annotations" / f"{split}.txt").write_text("\n".join(rows) + "\n")
    return ["Abyssinian", "American Bulldog"]


def pcam(root: Path) -> list[str]:
    (root / "pcam").mkdir(parents=True)
    for split, name in (("train", "train"), ("val", "valid"), ("test", "test")):
        labels, place = labels_of(split), root / "pcam"
        with h5py.File(place / f"camelyonpatch_level_2_split_{name}_x.h5", "w") as file:
            file["x"] = greys(labels, 96)[..., None].repeat(3, 3)
        with h5py.File(place / f"camelyonpatch_level_2_split_{name}_y.h5", "w") as file:
            file["y"] = labels.reshape(-1, 1, 1, 1)
    return ["0", "1"]


def places(root: Path) -> list[str]:
    names = ["/a/airfield", "/a/alley"]
    root.mkdir(parents=True, exist_ok=True)
    (root / "categories_places365.txt").write_text("".join(f"{name} {i}\n" for i, name in enumerate(names)))
    for split, listed, folder in (
        ("train", "places365_train_standard.txt", "data_256_standard"),
        ("test", "places365_val.txt", "val_256"),
    ):
        rows = []
        for label, name in enumerate(names):
            for i in range(COUNT[split]):
                row = f"{name}/{i}.jpg" if split == "train" else f"Places365_val_{label}{i}.jpg"
                save(root / folder / row.lstrip("/"), label)
                rows.append(f"{row} {label}")
        (root / listed).write_text("\n".join(rows) + "\n")
    return names


def sst2(root: Path) -> list[str]:
    splits = (("train", 6), ("valid", 4), ("test", 3))
    return tree(root / "rendered-sst2", ["negative", "positive"], *splits, suffix="png")


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


def sun397(root: Path) -> list[str]:
    names = ["abbey", "apartment_building/outdoor"]
    for label, name in enumerate(names):
        for i in range(8):
            save(root / "SUN397" / "a" / name / f"sun_{i}.jpg", label)
    (root / "SUN397" / "ClassName.txt").write_text("".join(f"/a/{name}\n" for name in names))
    return names


def svhn(root: Path) -> list[str]:
    root.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        labels = labels_of(split)
        images = greys(labels, 32).transpose(1, 2, 0)[:, :, None].repeat(3, 2)
        scipy.io.savemat(root / f"{split}_32x32.mat", {"X": images, "y": np.where(labels == 0, 10, labels)[:, None]})
    return ["0", "1"]


def cars(root: Path) -> list[str]:
    place, names = root / "stanford_cars", ["AM General Hummer SUV 2000", "Acura RL Sedan 2012"]
    (place / "devkit").mkdir(parents=True)
    for split, file in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = []
        for i, label in enumerate(labels_of(split)):
            save(place / f"cars_{split}" / f"{i:05d}.jpg", label)
            rows.append((f"{i:05d}.jpg", int(label) + 1))
        scipy.io.savemat(place / file, {"annotations": np.array(rows, [("fname", object), ("class", object)])})
    scipy.io.savemat(place / "devkit" / "cars_meta.mat", {"class_names": np.array(names, dtype=object)})
    return names


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
MAKERS: dict[str, Callable[[Path], list[str]]] = {
    "CIFAR10": cifar("cifar-10-batches-py", CIFAR10_FILES, "labels", ("batches.meta", "label_names")),
    "CIFAR100": cifar("cifar-100-python", CIFAR100_FILES, "fine_labels", ("meta", "fine_label_names")),
    "CLEVRClassification": clevr,
    "Caltech101": caltech101,
    "Caltech256": caltech256,
    "Country211": country211,
    "DTD": dtd,
    "EMNIST": emnist,
    "EuroSAT": lambda root: tree(root / "eurosat", ["AnnualCrop", "Forest"], ("2750", 8)),
    "FER2013": fer2013,
    "FGVCAircraft": fgvc,
    "FashionMNIST": digits("FashionMNIST"),
    "Flowers102": flowers,
    "Food101": food,
    "GTSRB": gtsrb,
    "INaturalist": inaturalist,
    "ImageNet": imagenet,
    "Imagenette": imagenette,
    "KMNIST": digits("KMNIST"),
    "MNIST": digits("MNIST"),
    "Omniglot": omniglot,
    "OxfordIIITPet": pet,
    "PCAM": pcam,
    "Places365": places,
    "QMNIST": qmnist,
    "RenderedSST2": sst2,
    "SEMEION": semeion,
    "STL10": stl10,
    "SUN397": sun397,
    "SVHN": svhn,
    "StanfordCars": cars,
    "USPS": usps,
}
