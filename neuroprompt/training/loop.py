"""Trains prompt and head of a frozen backbone into a run folder; goes on after a kill with the same result."""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from neuroprompt.contracts.learning import Images
from neuroprompt.errors import BadCheckpoint, BadSetting
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training import run_folder as checkpoint
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import absolute, batches, load_data
from neuroprompt.training.devices import launch
from neuroprompt.training.evaluation import as_floats, correct, size_of
from neuroprompt.training.model import PromptedModel
from neuroprompt.training.optimiser import PREFIX, flat_state, make_optimiser, restore, set_rate, uninterrupted
from neuroprompt.training.run_folder import Run


def train(
    config: RunConfig,
    out: Path | str,
    progress: Progress = SILENT,
    *,
    accelerator: str = "auto",
    devices: int | str = 1,
    strategy: str = "auto",
    precision: str | None = None,
    resume: bool = True,
    checkpoint_seconds: float = 30.0,
) -> Run:
    """Train into the folder `out`, or go on where an earlier call with the same configuration stopped.

    Minimises cross-entropy (+ the prompt's penalty) over prompt and head by AdamW or SGD (momentum 0.9), with a linear
    warm-up and a cosine to 0. The weights after the last step are the result: none is picked by its accuracy.
    `accelerator`, `devices`, `strategy` ("auto" or "ddp") and `precision` are Lightning Fabric's; precision "auto" is
    bf16-mixed on a GPU. However often training was killed, a CPU ends with the same bits, since everything random is
    drawn from the seed and the step; a GPU as far as its kernels repeat themselves. A finished run is returned as it
    is; `resume=False` begins again.

    Raises BadSetting (also where the loss diverges), BadData, BadWeights, BadCheckpoint, CannotWrite. On
    KeyboardInterrupt a checkpoint is written first.
    """
    out = Path(out)
    fabric = launch(accelerator, devices, strategy, precision or config.precision)
    config = dataclasses.replace(
        config, data=absolute(config.data), precision=str(fabric.strategy.precision.precision), classes=()
    )
    if config.backbone.weights is not None:
        here = dataclasses.replace(config.backbone, weights=str(Path(config.backbone.weights).resolve()))
        config = dataclasses.replace(config, backbone=here)
    if resume and _same_run(out, config) and checkpoint.is_finished(out):
        return Run.load(out)
    backbone = checkpoint.load_backbone_of(dataclasses.replace(config, weights_sha256=""))
    size = checkpoint.image_size_of(config, backbone)
    data = load_data(config.data, size, backbone.preprocess.interpolation, config.seed, config.limit)
    digest = checkpoint.digest_of(config.backbone, backbone)
    config = dataclasses.replace(config, classes=data.classes, weights_sha256=digest)
    model = checkpoint.assemble(config, backbone)
    with torch.random.fork_rng(devices=[]):
        loop = _Loop(fabric, config, model, out=out, progress=progress, every=checkpoint_seconds)
        saved = checkpoint.load_state(out, config) if resume and _same_run(out, config) else None
        fabric.barrier()
        loop.start(saved)
        loop.run(data.train, data.val)
    fabric.barrier()
    return Run.load(out)


@dataclass
class _Done:
    """How far training is: `step` steps of `epoch` are done; sums are over them, `history` over whole epochs."""

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    images: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


class _Loop:
    """One process of a training run."""

    def __init__(
        self, fabric: Fabric, config: RunConfig, model: PromptedModel, *, out: Path, progress: Progress, every: float
    ) -> None:
        self.fabric, self.config, self.out, self.every = fabric, config, out, every
        self.progress = progress if fabric.is_global_zero else SILENT
        fabric.to_device(model)
        self.model = model
        # Where nothing in front of the head learns, its input is computed once.
        self.head_only = model.prompt.enters == "nowhere" and not model.prompt.tunes_backbone
        self.learned = model.learned()
        if not self.learned:
            got = f"method {config.method!r} with head {config.head!r}, of which nothing learns"
            raise BadSetting(got, "a prompt or a head with parameters", "choose another --method or --head")
        self.optimiser = make_optimiser(config, self.learned)
        self.done = _Done()

    def start(self, saved: tuple[dict[str, Tensor], dict[str, Any]] | None) -> None:
        """Take up a saved state, or begin a new run folder."""
        if saved is not None:
            tensors, info = saved
            restore(self.optimiser, {k: v for k, v in tensors.items() if k.startswith(PREFIX)})
            own = {k: v for k, v in tensors.items() if not k.startswith(PREFIX)}
            checkpoint.load_tensors(self.model, own, self.out / checkpoint.STATE)
            self.fabric.strategy.precision.load_state_dict(info["precision"])
            self.done = _Done(**info["done"])
            self.progress.say(f"going on from epoch {self.done.epoch + 1}, step {self.done.step + 1}")
        elif self.fabric.is_global_zero:
            checkpoint.begin(self.out, self.config)

    def run(self, train: Images, val: Images) -> None:
        """Train to the end, saving every epoch, every so many seconds and on Ctrl-C."""
        config, done = self.config, self.done
        if self.head_only:
            train = self._features(train, "training features")
            val = self._features(val, "validation features")
        part: nn.Module = self.model.head if self.head_only else self.model
        learner, optimiser = self.fabric.setup(part, self.optimiser)
        rows_each = math.ceil(size_of(train) / config.batch)
        self.saved_at = time.monotonic()
        try:
            for epoch in range(done.epoch, config.epochs):
                order = np.random.default_rng((config.seed, epoch)).permutation(size_of(train)).tolist()
                rows = [order[i : i + config.batch] for i in range(0, len(order), config.batch)][done.step :]
                rank, world = self.fabric.global_rank, self.fabric.world_size
                # A process that a short last row leaves without an image takes one that counts nothing.
                mine = batches(train, [row[rank::world] or row[:1] for row in rows])
                if done.step == 0:
                    self._refit(epoch, train)
                self.model.train()
                what = f"epoch {epoch + 1} of {config.epochs}"
                for row, (images, labels) in zip(rows, self.progress.track(mine, what, len(rows)), strict=True):
                    began = time.monotonic()
                    weight = world / len(row) if len(row) > rank else 0.0
                    step = epoch * rows_each + done.step
                    set_rate(self.optimiser, config, step, rows_each)
                    torch.manual_seed((config.seed * 1_000_003 + step) * 1_009 + rank)
                    loss = self._loss(learner, images, labels, weight)
                    mean = self._total(loss.detach()) / world
                    if not math.isfinite(mean):
                        got = f"the loss became {mean} in epoch {epoch + 1}"
                        raise BadSetting(got, "a finite loss", f"train with a lower lr than {config.lr}")
                    optimiser.zero_grad()
                    self.fabric.backward(loss)
                    with uninterrupted():
                        optimiser.step()
                        done.step += 1
                        done.images += len(row)
                        done.loss += mean * len(row)
                        done.seconds += time.monotonic() - began
                    if time.monotonic() - self.saved_at > self.every:
                        self._save_state()
                self._end_epoch(epoch, val, size_of(train))
        except KeyboardInterrupt:
            self._save_state()
            self._save_prompt()
            raise
        self._save_prompt()
        if self.fabric.is_global_zero:
            checkpoint.drop_state(self.out)

    @torch.no_grad()
    def _refit(self, epoch: int, train: Images) -> None:
        """Where the head maps the backbone's own classes: count what it calls each class now, and map anew."""
        head = self.model.head
        if head.refit == "never" or (head.refit == "once" and epoch):
            return
        self.model.eval()
        mine = range(self.fabric.global_rank, size_of(train), self.fabric.world_size)
        rows = [mine[i : i + self.config.batch] for i in range(0, len(mine), self.config.batch)]
        counts: Tensor | None = None
        for inputs, labels in self.progress.track(batches(train, rows), "output mapping", len(rows)):
            features = self.fabric.to_device(inputs)
            if not self.head_only:
                features = self.model.features(as_floats(features))
            called = head.source(features).float()
            if counts is None:
                counts = torch.zeros(called.shape[1], len(self.config.classes), device=called.device)
            where = (called.argmax(1), self.fabric.to_device(labels))
            counts.index_put_(where, torch.ones(len(labels), device=called.device), accumulate=True)
        assert counts is not None
        total = self.fabric.all_reduce(counts, reduce_op="sum")
        assert isinstance(total, Tensor)
        head.fit(total.cpu())

    def _loss(self, learner: nn.Module, images: Tensor, labels: Tensor, weight: float) -> Tensor:
        inputs = images if self.head_only else as_floats(images)
        logits = learner(self.fabric.to_device(inputs))
        loss = cross_entropy(logits.float(), self.fabric.to_device(labels), reduction="sum") * weight
        total: Tensor = loss + self.model.prompt.penalty()
        return total

    def _end_epoch(self, epoch: int, val: Images, images: int) -> None:
        done = self.done
        right = self._correct(val)
        entry: dict[str, float] = {
            "epoch": epoch + 1,
            "train_loss": done.loss / images,
            "val_accuracy": right / size_of(val),
        }
        tokens = self.model.eval().prompt.tokens()
        if self.model.prompt.spiking and tokens is not None:
            widths = self.model.backbone.site.widths[: len(tokens)]
            entry["density"] = float((tokens != 0).sum()) / (tokens.shape[1] * sum(widths))
        with uninterrupted():
            done.history.append(entry)
            done.epoch, done.step, done.loss = epoch + 1, 0, 0.0
        self.progress.say(", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in entry.items()))
        self._save_state()
        self._save_prompt()

    def _correct(self, val: Images) -> float:
        """Images of `val` that the model gets right, in eval mode and float32: as it will be deployed."""
        self.model.eval()
        if isinstance(val, TensorDataset):
            features, labels = val.tensors
            with torch.no_grad():
                found = (self.model.head(self.fabric.to_device(features)).argmax(1).cpu() == labels).sum()
            return float(found)
        part = (self.fabric.global_rank, self.fabric.world_size)
        mine = correct(self.model, val, self.config.batch, progress=self.progress, what="validation", part=part)
        return self._total(torch.tensor(float(mine), device=self.fabric.device))

    def _total(self, value: Tensor) -> float:
        """The sum of a number over all processes."""
        total = self.fabric.all_reduce(value, reduce_op="sum")
        assert isinstance(total, Tensor)
        return float(total)

    @torch.no_grad()
    def _features(self, images: Images, what: str) -> Any:
        self.model.eval()
        indices, batch = range(size_of(images)), self.config.batch
        rows = [indices[i : i + batch] for i in range(0, len(indices), batch)]
        features, labels = [], []
        for pixels, of_them in self.progress.track(batches(images, rows), what, len(rows)):
            inputs = self.model.normalise(self.fabric.to_device(as_floats(pixels)))
            features.append(self.model.backbone(inputs, None).cpu())
            labels.append(of_them)
        return TensorDataset(torch.cat(features), torch.cat(labels))

    def _save_state(self) -> None:
        if self.fabric.is_global_zero:
            info = {"done": dataclasses.asdict(self.done), "precision": self.fabric.strategy.precision.state_dict()}
            checkpoint.save_state(self.out, self.config, {**self.model.kept(), **flat_state(self.optimiser)}, info)
        self.saved_at = time.monotonic()

    def _save_prompt(self) -> None:
        if not self.fabric.is_global_zero:
            return
        done = self.done
        last = done.history[-1] if done.history else {}
        sizes = {"prompt": 0, "head": 0, "backbone": 0}
        for name, parameter in self.learned.items():
            sizes[name.partition(".")[0]] += parameter.numel()
        metrics = {
            "finished": done.epoch == self.config.epochs,
            "epochs": done.epoch,
            **{key: value for key, value in last.items() if key != "epoch"},
            "images_per_second": round(done.images / done.seconds, 1) if done.seconds else 0.0,
            "prompt_parameters": sizes["prompt"],
            "head_parameters": sizes["head"],
            **({"backbone_parameters": sizes["backbone"]} if sizes["backbone"] else {}),
            "device": str(self.fabric.device),
            "history": done.history,
        }
        checkpoint.save_prompt(self.out, self.config, self.model.kept(), metrics)


def _same_run(out: Path, config: RunConfig) -> bool:
    """Whether `out` holds a run of this configuration, False where it holds none; raises BadCheckpoint."""
    old = checkpoint.load_config(out)
    if old is None:
        return False
    # What is not known before data and weights are loaded is not compared.
    mine = dataclasses.replace(
        config, classes=config.classes or old.classes, weights_sha256=config.weights_sha256 or old.weights_sha256
    ).json()
    for key, value in old.json().items():
        if mine[key] != value:
            got = f"{out} holds a run with another {key}: {value} there, {mine[key]} here"
            raise BadCheckpoint(got, "the configuration that it was begun with", "choose another --out, or delete it")
    return True
