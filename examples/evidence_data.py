"""The studies of evidence.py, their images, decoded, resized and made noisy once.

Images stay in the accelerator's memory. Noise depends on the image's place in the test split alone.
"""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import neuroprompt as npt
from neuroprompt.contracts.learning import Images, Labelled
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.robustness.noise import Noise, parse_noises
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.dataset import load_data, size_of

Split = tuple[Tensor, Tensor]
"""Images and their labels."""

OOD = {
    "cifar10": {
        "caltech101": {
            **dict.fromkeys(("airplanes",), "airplane"),
            **dict.fromkeys(("car_side",), "automobile"),
            **dict.fromkeys(("emu", "flamingo", "ibis", "pigeon", "rooster"), "bird"),
            **dict.fromkeys(("dalmatian",), "dog"),
            **dict.fromkeys(("ferry", "ketch", "schooner"), "ship"),
        }
    }
}
"""Of a data set the sets from elsewhere, and which of its classes each of their classes is."""


@dataclass(frozen=True)
class Study:
    """One row of RESULTS.md: a method with settings on a data set; its rates are searched, then all seeds run.

    `noisy`: test under the noises too; not asked of the logistic regression on larger images. `fixed`: nothing is
    searched, and all seeds get the first rates.
    """

    name: str
    method: str
    data: str
    backbone: str
    px: int
    epochs: int
    rates: tuple[tuple[float, ...], tuple[float, ...]]
    seeds: tuple[int, ...]
    search_seeds: tuple[int, ...]
    side: int
    settings: dict[str, Any] = field(default_factory=dict)
    warm: tuple[float, float] | None = None
    noisy: bool = True
    fixed: bool = False

    @property
    def has_prompt(self) -> bool:
        """Whether there is a prompt whose rate can be searched."""
        return self.method not in ("linear", "logistic")

    def about(self) -> dict[str, Any]:
        """What a row says of its study."""
        keys = ("method", "settings", "data", "backbone", "px", "epochs", "warm")
        return {"study": self.name} | {key: getattr(self, key) for key in keys}


def studies(file: Path, tiny: bool) -> list[Study]:
    """The studies of a TOML file, in its order; `tiny` makes each a matter of seconds."""
    groups = tomllib.loads(file.read_text())
    defaults, listed = groups.pop("defaults"), []
    for group, shared in groups.items():
        common = {key: value for key, value in shared.items() if key != "studies"}
        for name, own in shared["studies"].items():
            values = {"method": name, "rates": [[1.0], [1.0]], **defaults, **common, **own, "name": f"{group}/{name}"}
            if tiny:
                short = [rates[:2] for rates in values["rates"]]
                values |= {"epochs": 1, "seeds": values["seeds"][:2], "rates": short, "side": min(values["side"], 4)}
            values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            listed.append(Study(**values))
    return listed


def prepare(assets: Path, folder: Path, job: tuple[str, int, int, int]) -> None:
    """Write one part of a data set's tensors: part 0 the images, the others a slice of the test images with noise.

    `job`: the data set, its size, the part and how many parts there are. The size is the backbone's, or less where the
    prompt puts a frame around the images.
    """
    torch.set_num_threads(1)
    data, size, part, parts = job
    there, images = (folder / f"{data}-{size}-{i}.pt" for i in (part, 0))
    if there.is_file():
        return
    if part == 0:
        labelled = read_images(assets, data, size)
        kept: dict[str, Any] = {"classes": labelled.classes}
        kept |= {name: _stacked(getattr(labelled, name)) for name in ("train", "val", "test")}
        for other, names in OOD.get(data, {}).items():
            if (assets / "data" / other).is_dir():
                kept["ood"] = _elsewhere(read_images(assets, other, size), labelled.classes, names)
    else:
        while not images.is_file():
            time.sleep(0.2)
        test = torch.load(images)["test"][0]
        mine = torch.arange(part - 1, len(test), parts - 1)
        kept = {"indices": mine, "noises": {}}
        for noise in parse_noises(["all"]):
            kept["noises"][str(noise)] = torch.stack([noise(test[i].float() / 255, int(i)) for i in mine])
    beside = there.with_suffix(f".{os.getpid()}")
    torch.save(kept, beside)
    beside.replace(there)


def read_images(assets: Path, data: str, size: int) -> Labelled:
    """A data set of the assets, its images at `size`."""
    return load_data(f"folder:{assets / 'data' / data}", Preprocess((size, size)), seed=0)


def _elsewhere(other: Labelled, classes: Sequence[str], names: dict[str, str]) -> Split:
    """All images of another set whose class is one of `classes`, with its number there."""
    place = {other.classes.index(a): classes.index(b) for a, b in names.items()}
    splits = [_stacked(split) for split in (other.train, other.val, other.test)]
    images, labels = (torch.cat(parts) for parts in zip(*splits, strict=True))
    mine = torch.tensor([int(label) in place for label in labels])
    return images[mine], torch.tensor([place[int(label)] for label in labels[mine]])


def _stacked(split: Images) -> Split:
    pairs = [split[i] for i in range(size_of(split))]
    return torch.stack([image for image, _ in pairs]), torch.tensor([label for _, label in pairs])


@dataclass(frozen=True)
class Noisy:
    """Images with a noise, made a batch at a time: twelve noises on images of 224 pixels would take 7 GB."""

    images: Tensor
    noise: Noise
    places: Sequence[int]

    def split(self, size: int) -> Iterator[Tensor]:
        """Batches of float images."""
        for i in range(0, len(self.images), size):
            pairs = zip(self.images[i : i + size], self.places[i : i + size], strict=True)
            yield torch.stack([self.noise(image.float() / 255, place) for image, place in pairs])

    def __getitem__(self, rows: slice) -> Noisy:
        return Noisy(self.images[rows], self.noise, self.places[rows])


@lru_cache(maxsize=2)
def tensors_of(folder: Path, data: str, size: int, parts: int, device: str) -> dict[str, Any]:
    """The prepared tensors on `device`; waits for them. With one part the noises are made when they are used."""
    files = [folder / f"{data}-{size}-{part}.pt" for part in range(parts)]
    while not all(file.is_file() for file in files):
        time.sleep(0.2)
    kept, *noisy = (torch.load(file, map_location=device) for file in files)
    if not noisy:
        test = kept["test"][0]
        return {**kept, "noises": {str(noise): Noisy(test, noise, range(len(test))) for noise in parse_noises(["all"])}}
    order = torch.cat([part["indices"] for part in noisy]).argsort()
    kept["noises"] = {n: torch.cat([part["noises"][n] for part in noisy])[order] for n in noisy[0]["noises"]}
    return dict(kept)


@cache
def backbone_of(assets: Path, name: str, px: int, device: str) -> Any:
    """The frozen backbone on `device`."""
    return load_backbone(npt.BackboneSpec(name, str(assets / "weights" / f"{name}.safetensors"), px)).to(device)


def size_at(study: Study, backbone: Any) -> int:
    """The side to which a study's images are resized: a frame leaves them less."""
    if study.method == "logistic":
        return study.px
    size = npt.Prompt.named(study.method, site=backbone.site, **study.settings).image_size()
    return size[0] if size else study.px
