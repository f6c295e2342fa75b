"""Times a training step of every method beside linear probing, the backbone in the loop, in one run and in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from neuroprompt.benchmarks.rounds import Middles, in_turn, medians, middle, quartiles, ratio
from neuroprompt.contracts.learning import BackboneSpec, Head, Prompt
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.model import PromptedModel

BASE, GENERATOR, CLASSES = "linear", " generator", 100


@dataclass(frozen=True)
class TrainingBenchmark:
    """Training steps of several methods on one backbone.

    images_per_second  of the median step, by method
    over_linear        a step's time over that of linear probing, by method
    generator_share    the time of the generator alone over that of the step, where neurons make the prompt
    refused            methods that do not fit the backbone, with the reason
    """

    images_per_second: Mapping[str, float]
    over_linear: Middles
    generator_share: Mapping[str, float]
    refused: Mapping[str, str]
    batch: int
    rounds: int
    threads: int

    def json(self) -> dict[str, object]:
        """The figures, quartiles beside medians."""
        return {
            "images_per_second": dict(self.images_per_second),
            "over_linear": medians(self.over_linear),
            "over_linear_quartiles": quartiles(self.over_linear),
            "generator_share": dict(self.generator_share),
            "refused": dict(self.refused),
            "batch": self.batch,
            "rounds": self.rounds,
            "threads": self.threads,
        }


def bench_training(
    spec: BackboneSpec,
    methods: Sequence[str] = (),
    *,
    batch: int = 16,
    rounds: int = 10,
    progress: Progress = SILENT,
) -> TrainingBenchmark:
    """Training images a second of each of `methods` (all that fit, by default), and their steps over linear probing's.

    A step is forward, backward and AdamW on `batch` random images. Linear probing has the backbone in the loop here,
    as where images are augmented. The generator's share, forward and backward, is given where neurons outside of the
    blocks make the prompt. Every round runs all, in an order drawn anew. Raises BadSetting, UnknownName.
    """
    if batch < 1 or rounds < 1:
        raise BadSetting(f"batch {batch}, rounds {rounds}", "each at least 1")
    backbone = load_backbone(spec)
    runs: dict[str, Callable[[], None]] = {}
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
            runs[method + GENERATOR] = _generator(prompt, images)
    seconds = in_turn(runs, rounds, progress)
    steps = [name for name in runs if not name.endswith(GENERATOR)]
    return TrainingBenchmark(
        images_per_second={name: batch / middle(seconds[name]).median for name in steps},
        over_linear={name: ratio(seconds[name], seconds[BASE]) for name in steps if name != BASE},
        generator_share={
            name: ratio(seconds[name + GENERATOR], seconds[name]).median for name in steps if name + GENERATOR in runs
        },
        refused=refused,
        batch=batch,
        rounds=rounds,
        threads=torch.get_num_threads(),
    )


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
        output = prompt.pixels(images) if tokens is None else tokens
        output.backward(torch.ones_like(output))
        prompt.zero_grad()

    return step
