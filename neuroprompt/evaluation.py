"""Accuracy of a run on clean pictures and under noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from neuroprompt.checkpoint import Run
from neuroprompt.contracts import Pictures
from neuroprompt.dataset import batches, load_data
from neuroprompt.errors import BadData, BadSetting
from neuroprompt.model import PromptedModel
from neuroprompt.noise import Noise, parse_noises
from neuroprompt.progress import SILENT, Progress


def evaluate(
    run: Run,
    noises: Sequence[str] = (),
    split: str = "test",
    data: str | None = None,
    *,
    batch: int = 64,
    seed: int = 0,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Accuracies in [0, 1]: {"clean": a, "noise": {"gaussian:0.1": b}, "images": n}.

    `split` is "test", "val" or "train"; `data` another data set of the same classes in place of the run's. The noise of
    a picture depends on `seed` and its place in the split alone. Runs on a GPU where there is one. Raises BadSetting,
    BadData, UnknownName.
    """
    if split not in ("train", "val", "test"):
        raise BadSetting(f"split {split!r}", "test, val or train")
    wanted = parse_noises(noises)
    config, preprocess = run.config, run.model.backbone.preprocess
    labelled = load_data(
        data or config.data, preprocess.size, preprocess.interpolation, config.seed, limit=config.limit
    )
    if labelled.classes != config.classes:
        got = f"data {data or config.data!r} has the classes {_few(labelled.classes)}"
        raise BadData(got, _few(config.classes), "evaluate on the classes that the run was trained on")
    pictures: Pictures = getattr(labelled, split)
    home = run.model.mean.device
    model = run.model.to("cuda" if torch.cuda.is_available() else home).eval()

    def share(noise: Noise | None) -> float:
        what = str(noise) if noise else "clean"
        return correct(model, pictures, batch, noise=noise, seed=seed, progress=progress, what=what) / count

    count = size_of(pictures)
    try:
        return {"clean": share(None), "noise": {str(noise): share(noise) for noise in wanted}, "images": count}
    finally:
        model.to(home)


@torch.no_grad()
def correct(
    model: PromptedModel,
    pictures: Pictures,
    batch: int,
    *,
    noise: Noise | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
    what: str = "pictures",
    part: tuple[int, int] = (0, 1),
) -> int:
    """How many pictures `model` (in eval mode) gets right; `part` (k, n) looks at every n-th picture from k on."""
    indices = range(part[0], size_of(pictures), part[1])
    rows = [indices[i : i + batch] for i in range(0, len(indices), batch)]
    found = 0
    for row, (raw, labels) in zip(rows, progress.track(batches(pictures, rows), what, len(rows)), strict=True):
        images = as_floats(raw)
        if noise is not None:
            images = torch.stack([noise(x, seed * 1_000_003 + i) for i, x in zip(row, images, strict=True)])
        logits = model(images.to(model.mean.device))
        found += int((logits.argmax(1).cpu() == labels).sum())
    return found


def as_floats(images: Tensor) -> Tensor:
    """uint8 images as floats in [0, 1]."""
    return images.float() / 255


def size_of(pictures: Pictures) -> int:
    """How many pictures there are."""
    return len(pictures)  # type: ignore[arg-type]


def _few(classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:4])
    return shown + (f", ... ({len(classes)})" if len(classes) > 4 else "")
