"""Accuracy of a run on clean images, under noise and corruption, and on images from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset

from neuroprompt.contracts.learning import Images
from neuroprompt.errors import BadData, BadSetting
from neuroprompt.progress import SILENT, Progress
from neuroprompt.robustness.corruptions import PARAMETERS
from neuroprompt.robustness.noise import Noise, parse_noises
from neuroprompt.training.accuracy import Accuracy, Corruption, Elsewhere, Measured, Right
from neuroprompt.training.dataset import as_floats, batches, load_data, size_of
from neuroprompt.training.run_folder import Run


def evaluate(
    run: Run,
    noises: Sequence[str] = (),
    split: str = "test",
    data: str | None = None,
    *,
    ood: Sequence[str] = (),
    batch: int = 64,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Accuracy:
    """The accuracies of a run, as shares in [0, 1].

    `split` is "test", "val" or "train"; `data` another data set of the same classes in place of the run's. The noise of
    an image depends on `seed` and its place in the split alone.

    `ood` names data sets from elsewhere (out of distribution), whose classes are among the run's, by name. The class is
    chosen among those that such a set has: the logits of the others are masked, as is usual with ImageNet-A and -R. All
    its test images count, or all its images where it has no test images of its own. `accuracy_all` is that without the
    mask, the class chosen among all of the run's.

    Runs on a GPU where there is one. Raises BadSetting, BadData, UnknownName.
    """
    return accuracy_of(measure(run, noises, split, data, ood=ood, batch=batch, seed=seed, progress=progress))


def measure(
    run: Run,
    noises: Sequence[str] = (),
    split: str = "test",
    data: str | None = None,
    *,
    ood: Sequence[str] = (),
    batch: int = 64,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
    progress: Progress = SILENT,
) -> Measured:
    """What `evaluate` counts, on the batches of `shard` (k, n) alone: every n-th from k on. Raises what it raises."""
    if split not in ("train", "val", "test"):
        raise BadSetting(f"split {split!r}", "test, val or train")
    wanted = parse_noises(noises)
    config, preprocess = run.config, run.model.preprocess
    labelled = load_data(data or config.data, preprocess, config.seed, config.limit, progress, val=config.val)
    if labelled.classes != config.classes:
        got = f"data {data or config.data!r} has the classes {_few(labelled.classes)}"
        raise BadData(got, _few(config.classes), "evaluate on the classes that the run was trained on")
    images: Images = getattr(labelled, split)
    if not size_of(images):
        raise BadSetting(f"split {split!r}", "one with images: the run was trained without any to validate with")
    elsewhere = {name: _elsewhere(run, name, progress) for name in ood}
    home = run.model.mean.device
    device = torch.device("cuda") if torch.cuda.is_available() else home
    model = run.model.to(device)
    net = model.settled()

    def right(of: Images, what: str, noise: Noise | None = None, among: Sequence[int] | None = None) -> Right:
        return counts(
            net, device, of, batch, noise=noise, seed=seed, progress=progress, what=what, shard=shard, among=among
        )

    try:
        by_noise = {str(noise): right(images, str(noise), noise) for noise in wanted}
        by_data = {name: right(of, name, among=among) for name, (of, among) in elsewhere.items()}
        return Measured(right(images, "clean"), by_noise, by_data)
    finally:
        model.to(home)


def accuracy_of(measured: Measured) -> Accuracy:
    """The accuracies of what was counted on all images."""
    noise = {name: right.masked / right.images for name, right in measured.noise.items()}
    ood = {
        name: Elsewhere(right.masked / right.images, right.images, right.classes, right.unmasked / right.images)
        for name, right in measured.ood.items()
    }
    clean = measured.clean
    return Accuracy(clean.masked / clean.images, noise, clean.images, _means(noise), ood)


def _means(accuracies: Mapping[str, float]) -> Corruption | None:
    """The mean accuracy of each type of corruption, and of all types; None where there is none."""
    types: dict[str, float] = {}
    for kind in PARAMETERS:
        of_kind = [accuracy for noise, accuracy in accuracies.items() if noise.partition(":")[0] == kind]
        if of_kind:
            types[kind] = sum(of_kind) / len(of_kind)
    return Corruption(types, sum(types.values()) / len(types)) if types else None


def _elsewhere(run: Run, name: str, progress: Progress) -> tuple[Images, list[int]]:
    """The images of another data set, and which classes of the run its classes are: by name, else by number from 0."""
    config = run.config
    other = load_data(name, run.model.preprocess, config.seed, config.limit, progress)
    place = {label: i for i, label in enumerate(config.classes)}
    numbers = [int(label) for label in other.classes if label.isascii() and label.isdecimal()]
    counted = len(numbers) == len(other.classes) and max(numbers) < len(place) and not place.keys() & {*other.classes}
    if counted:  # ImageNet-V2 names its folders by the places of ImageNet's classes
        progress.say(f"{name}: its folders are numbers, and so the run's classes in their order")
        place = dict(zip(other.classes, numbers, strict=True))
    strange = [label for label in other.classes if label not in place]
    if strange:
        got = f"data {name!r} has {len(strange)} classes that the run was not trained on: {_few(strange)}"
        raise BadData(got, f"some of {_few(config.classes)}", "name its folders as the run's classes are named")
    splits = [other.train, other.val, other.test] if other.drawn else [other.test]
    return cast(Images, ConcatDataset(splits)), [place[label] for label in other.classes]


@torch.inference_mode()
def counts(
    model: Callable[[Tensor], Tensor],
    device: torch.device,
    images: Images,
    batch: int,
    *,
    noise: Noise | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
    what: str = "images",
    part: tuple[int, int] = (0, 1),
    shard: tuple[int, int] = (0, 1),
    among: Sequence[int] | None = None,
) -> Right:
    """How many images `model` (settled, on `device`) gets right: where only classes `among` are chosen, and of all.

    `among`: the class of the model that each label stands for; None: the label itself, and both counts are the same.
    `part` (k, n): every n-th image from k on. `shard` (k, n): every n-th batch from k on, so that the batches of all
    shards are those of one run, and the logits too.
    """
    indices = range(part[0], size_of(images), part[1])
    rows = [indices[i : i + batch] for i in range(0, len(indices), batch)][shard[0] :: shard[1]]
    masked = unmasked = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, (raw, labels) in zip(rows, progress.track(batches(images, rows), what, len(rows)), strict=True):
            pixels = as_floats(raw)
            if noise is not None:
                pixels = torch.stack(list(pool.map(noise, pixels, [seed * 1_000_003 + i for i in row])))
            logits = model(pixels.to(device))
            if among is None:
                masked += int((logits.argmax(1).cpu() == labels).sum())
                unmasked = masked
            else:
                masked += int((logits[:, among].argmax(1).cpu() == labels).sum())
                unmasked += int((logits.argmax(1).cpu() == torch.tensor(among)[labels]).sum())
    return Right(masked, unmasked, size_of(images), 0 if among is None else len(among))


def _few(classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:4])
    return shown + (f", ... ({len(classes)})" if len(classes) > 4 else "")
