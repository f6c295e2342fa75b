"""Trains and tests runs side by side on one frozen backbone: run k has its own images, prompt and head."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from evidence_data import Split, Study
from torch import Tensor
from torch.nn.functional import cross_entropy

import neuroprompt as npt
from neuroprompt.contracts.learning import Stream
from neuroprompt.progress import SILENT
from neuroprompt.training.begin import begin_prompt
from neuroprompt.training.devices import has_bf16, launch
from neuroprompt.training.model import PromptedModel
from neuroprompt.training.optimiser import set_rate

WEIGHT_DECAY, BATCH = 1e-4, 64


def mixed(device: str) -> bool:
    """Whether training there is in bfloat16 where that is quick: on a GPU, on a processor with instructions for it."""
    return device == "cuda" or has_bf16()


@contextmanager
def quick_on_cpu(backbone: torch.nn.Module) -> Iterator[None]:
    """Train on a processor in half the time: blocks compiled, attention as products.

    torch's fused attention takes 25 ms for the gradient of one block in bfloat16, its products 4.
    """
    blocks: list[Any] = [module for module in backbone.modules() if type(module).__name__ == "Block"]
    fused = [block.attn.fused_attn for block in blocks]
    for block in blocks:
        block.attn.fused_attn = False
        block.compile()
    try:
        yield
    finally:
        for block, was in zip(blocks, fused, strict=True):
            block.attn.fused_attn = was
            block._compiled_call_impl = None  # tests run as they are written, in 32 bits


class Beside(Stream):
    """Prompt tokens of K runs for a batch of K b images: run k's tokens, or its own stream, for its b images."""

    def __init__(self, models: Sequence[PromptedModel], static: Tensor | None, each: int) -> None:
        self.static, self.each, self.k = static, each, len(models)
        self.streams: list[Any] = [] if static is not None else [model.prompt.stream() for model in models]
        if self.streams and self.streams[0].temperatures is not None:
            heat = torch.stack([stream.temperatures for stream in self.streams], dim=1)
            self.temperatures = heat.repeat_interleave(each, dim=1)[:, :, None, None, None]

    def _block(self, i: int) -> Tensor:
        assert self.static is not None
        return self.static[i].repeat_interleave(self.each, dim=0)

    def enter(self, patches: Tensor) -> Tensor:
        if self.static is not None:
            return self._block(0)
        return torch.cat([s.enter(p) for s, p in zip(self.streams, patches.chunk(self.k), strict=True)])

    def after(self, block: int, prompts: Tensor, patches: Tensor) -> Tensor:
        if self.static is not None:
            return self._block(block + 1) if len(self.static) > 1 else prompts
        parts = zip(self.streams, prompts.chunk(self.k), patches.chunk(self.k), strict=True)
        return torch.cat([stream.after(block, p, x) for stream, p, x in parts])


class Team:
    """K untrained models of one study that differ in seed and rates, on one backbone.

    `apart`: the methods whose runs cannot share a batch, because each has weights, or keys of attention, of its own.
    """

    def __init__(self, study: Study, backbone: Any, classes: int, runs: Sequence[tuple[int, float, float]]) -> None:
        self.study, self.runs, self.models = study, runs, []
        self.device = next(backbone.parameters()).device
        for seed, _, _ in runs:
            torch.manual_seed(seed)  # as the product draws them: the prompt, then the head
            prompt = npt.Prompt.named(study.method, site=backbone.site, **study.settings)
            head = npt.Head.named("linear", features=backbone.features, classes=classes)
            own = copy.deepcopy(backbone) if prompt.tunes_backbone else backbone
            self.models.append(PromptedModel(own, prompt, head).to(self.device))
        self.backbone, prompt = self.models[0].backbone, self.models[0].prompt
        self.apart = prompt.tunes_backbone or prompt.enters in ("weights", "layers") or prompt.keyed > 0
        self.tokens: Tensor | None = None

    def train(self, mode: bool) -> None:
        self.tokens = None
        for model in self.models:
            model.train(mode)

    def logits(self, images: Tensor) -> Tensor:
        """Logits (K, b, classes) of images (K, b, 3, H, W) in [0, 1]."""
        models, (k, each) = self.models, images.shape[:2]
        if self.apart:
            return torch.stack([model(x) for model, x in zip(models, images, strict=True)])
        if models[0].prompt.enters == "pixels":
            inputs = torch.cat([m.normalise(m.prompt.pixels(x)) for m, x in zip(models, images, strict=True)])
        else:
            inputs = models[0].normalise(images.flatten(0, 1))
        features = self.backbone(inputs, self._entering(each)).view(k, each, -1)
        return torch.stack([model.head(x) for model, x in zip(models, features, strict=True)])

    def _entering(self, each: int) -> Beside | None:
        prompt = self.models[0].prompt
        if prompt.enters != "tokens":
            return None
        if prompt.per_image:
            return Beside(self.models, None, each)
        tokens = self.tokens
        if tokens is None:
            tokens = torch.stack([m.prompt.tokens() for m in self.models], dim=1)  # type: ignore[misc]
            self.tokens = tokens if not prompt.training else None
        return Beside(self.models, tokens, each)

    def optimiser(self) -> Any:
        """The product's AdamW, with a peak for every run's prompt (and backbone, where it learns) and head."""
        groups = []
        for model, (_, prompt, head) in zip(self.models, self.runs, strict=True):
            learned = model.learned()
            for rate, mine in ((prompt, False), (head, True)):
                parameters = [p for name, p in learned.items() if name.startswith("head.") == mine]
                groups += [{"params": parameters, "peak": rate}] if parameters else []
        return torch.optim.AdamW(groups, lr=1.0, weight_decay=WEIGHT_DECAY, fused=self.device.type == "cuda")

    def fit(self, images: Tensor, labels: Tensor, *, steps: int | None = None) -> None:
        """Train all models on uint8 images; `steps` ends early, to measure time."""
        study, n = self.study, len(images)
        each, batch = max(1, n // BATCH), min(BATCH, n)
        config = npt.RunConfig(epochs=study.epochs, warmup=1.0)
        for model, (seed, _, _) in zip(self.models, self.runs, strict=True):
            if model.prompt.sample:  # as the product begins it
                begun = npt.RunConfig(seed=seed, batch=batch)
                pairs: Any = list(zip(images.cpu(), labels.tolist(), strict=True))
                fabric = launch(self.device.type, 1, "auto", "32-true")
                begin_prompt(fabric, begun, model, pairs, SILENT)
        optimiser = self.optimiser()
        order = torch.stack([_orders(seed, study.epochs, n, each * batch) for seed, _, _ in self.runs])
        order = order.view(len(self.runs), study.epochs * each, batch).to(self.device)
        torch.manual_seed(self.runs[0][0])
        self.train(True)
        with quick_on_cpu(self.backbone) if self.device.type == "cpu" else nullcontext():
            for step in range(min(steps or study.epochs * each, study.epochs * each)):
                set_rate(optimiser, config, step, each)
                rows = order[:, step]
                with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed(self.device.type)):
                    logits = self.logits(images[rows].float() / 255)
                losses = cross_entropy(logits.float().flatten(0, 1), labels[rows].flatten(), reduction="sum") / batch
                losses = losses + sum(m.prompt.penalty() for m in self.models)
                optimiser.zero_grad()
                losses.backward()
                optimiser.step()
        self.train(False)

    @torch.no_grad()
    def correct(self, images: Tensor, labels: Tensor, among: Tensor | None = None) -> list[float]:
        """The share of images that each model gets right, in float32; `among`: the classes that may be chosen."""
        right = torch.zeros(len(self.models), device=self.device)
        each = 250 if self.device.type == "cuda" else 20  # a processor's caches hold the activations of no more
        for x, y in zip(images.split(each), labels.split(each), strict=True):
            floats = x.float() / 255 if x.dtype == torch.uint8 else x
            logits = self.logits(floats.expand(len(self.models), *x.shape))
            if among is not None:
                logits = logits.masked_fill(~among, -math.inf)
            right += (logits.argmax(2) == y).sum(1)
        return [float(share) for share in (right / len(labels)).tolist()]

    def tested(self, tensors: dict[str, Any]) -> list[dict[str, Any]]:
        """Of every model its accuracies on the test split, and from elsewhere where there is such a set."""
        images, labels = tensors["test"]
        tests: list[dict[str, Any]] = [{"clean": a, "noise": {}} for a in self.correct(images, labels)]
        for name, noisy in tensors["noises"].items():
            for test, share in zip(tests, self.correct(noisy, labels), strict=True):
                test["noise"][name] = share
        if "ood" in tensors:
            images, labels = tensors["ood"]
            among = torch.zeros(len(tensors["classes"]), dtype=torch.bool, device=self.device)
            among[labels] = True
            for test, share in zip(tests, self.correct(images, labels, among), strict=True):
                test["ood"] = share
        for test, model in zip(tests, self.models, strict=True):
            density = getattr(model.prompt, "density", None)
            if density:
                test["density"] = density()
            test["finite"] = all(bool(p.isfinite().all()) for p in model.learned().values())
            sizes = [p.numel() for name, p in model.learned().items() if not name.startswith("head.")]
            test["prompt_parameters"] = sum(sizes)
        return tests

    def warm_start(self, split: Split, classes: int) -> None:
        """Begin from trained VPT-deep prompts: P = Vth (1/2 + p / (4 std p)), and its head."""
        assert self.study.warm is not None
        tokens = {"tokens": self.study.settings.get("tokens", 10)}
        teacher = dataclasses.replace(self.study, method="vpt-deep", settings=tokens, warm=None)
        seeds = [(seed, *self.study.warm) for seed, _, _ in self.runs]
        team = Team(teacher, self.backbone, classes, seeds)
        team.fit(*split)
        with torch.no_grad():
            for model, other in zip(self.models, team.models, strict=True):
                p = other.prompt.get_parameter("p")
                threshold = self.study.settings.get("threshold", 1.0)
                model.prompt.get_parameter("p").copy_(threshold * (0.5 + 0.25 * p / p.std()))
                model.head.load_state_dict(other.head.state_dict())


def _orders(seed: int, epochs: int, n: int, kept: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.cat([torch.randperm(n, generator=draw)[:kept] for _ in range(epochs)])
