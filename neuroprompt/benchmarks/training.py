"""Times a training step of every method beside linear probing, the backbone in the loop, in one run and in turn."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from neuroprompt.benchmarks.latency import in_turn, quartiles
from neuroprompt.contracts.learning import BackboneSpec, Head, Prompt
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.model import PromptedModel

BASE, CLASSES = "linear", 100


def bench_training(
    spec: BackboneSpec,
    methods: Sequence[str] = (),
    *,
    batch: int = 16,
    rounds: int = 10,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Training images a second of each of `methods` (all that fit, by default), and their steps over linear probing's.

    A step is forward, backward and AdamW on `batch` random images. Linear probing has the backbone in the loop here,
    as where images are augmented. For prompts that neurons make, outside of the blocks, `generator_share` is the time
    of the generator alone, forward and backward, over that of the step. Every round runs all, in an order drawn anew; a
    ratio is the median over rounds of the two times of one round.

    {"images_per_second", "over_linear", "over_linear_quartiles", "generator_share", "refused", "batch", "rounds",
    "threads"}. Raises BadSetting, UnknownName.
    """
    if batch < 1 or rounds < 1:
        raise BadSetting(f"batch {batch}, rounds {rounds}", "each at least 1")
    backbone = load_backbone(spec)
    runs: dict[str, Callable[[], Any]] = {}
    refused: dict[str, str] = {}
    for method in dict.fromkeys([BASE, *(methods or Prompt.names())]):
        try:
            # Full fine-tuning needs a backbone of its own: its weights change.
            own = load_backbone(spec) if Prompt.part(method).tunes_backbone else backbone
            prompt = Prompt.named(method, site=own.site)
        except Unsupported as error:
            if methods:
                raise
            refused[method] = str(error)
            continue
        model = PromptedModel(own, prompt, Head.named("linear", features=own.features, classes=CLASSES)).train()
        images = torch.rand(batch, 3, *model.preprocess.size, generator=torch.Generator().manual_seed(0))
        runs[method] = _step(model, images)
        if prompt.spiking and prompt.stream() is None:
            runs[f"{method} generator"] = _generator(prompt, images)
    seconds = in_turn(runs, rounds, progress)
    made = [name for name in runs if not name.endswith(" generator")]
    over = {name: _ratios(seconds[name], seconds[BASE]) for name in made if name != BASE}
    timed = [name for name in made if f"{name} generator" in runs]
    shares = {name: _ratios(seconds[f"{name} generator"], seconds[name]) for name in timed}
    return {
        "images_per_second": {name: batch / statistics.median(seconds[name]) for name in made},
        "over_linear": {name: statistics.median(values) for name, values in over.items()},
        "over_linear_quartiles": {name: quartiles(values) for name, values in over.items()},
        "generator_share": {name: statistics.median(values) for name, values in shares.items()},
        "refused": refused,
        "batch": batch,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
    }


def _step(model: PromptedModel, images: Tensor) -> Callable[[], None]:
    labels = torch.arange(len(images)) % CLASSES
    optimiser = torch.optim.AdamW(model.learned().values(), lr=1e-4)

    def step() -> None:
        optimiser.zero_grad()
        loss = cross_entropy(model(images), labels) + model.prompt.penalty()
        loss.backward()
        optimiser.step()

    return step


def _generator(prompt: Prompt, images: Tensor) -> Callable[[], None]:
    """Forward and backward of what makes the prompt, and nothing of the backbone."""

    def step() -> None:
        tokens = prompt.tokens()
        made = prompt.pixels(images) if tokens is None else tokens
        made.backward(torch.ones_like(made))
        prompt.zero_grad()

    return step


def _ratios(a: list[float], b: list[float]) -> list[float]:
    return [x / y for x, y in zip(a, b, strict=True)]
