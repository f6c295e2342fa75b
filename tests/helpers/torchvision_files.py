"""Made-up files of torchvision's classification sets, each in the layout of the published one.

A maker writes a set below `root` in which every image of class k is grey of level GREY[k], and gives the names of the
classes in the order of their labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.io
import torch
from torchvision_arrays import (
    CIFAR10_FILES,
    CIFAR100_FILES,
    cifar,
    digits,
    emnist,
    fer2013,
    pcam,
    qmnist,
    semeion,
    stl10,
    svhn,
    usps,
)
from torchvision_greys import COUNT, labels_of, save, tree


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


def sun397(root: Path) -> list[str]:
    names = ["abbey", "apartment_building/outdoor"]
    for label, name in enumerate(names):
        for i in range(8):
            save(root / "SUN397" / "a" / name / f"sun_{i}.jpg", label)
    (root / "SUN397" / "ClassName.txt").write_text("".join(f"/a/{name}\n" for name in names))
    return names


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
