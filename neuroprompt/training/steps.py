"""The epochs and steps of a training run, in one process."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from neuroprompt.contracts.learning import Images
from neuroprompt.errors import BadSetting
from neuroprompt.interrupts import uninterrupted
from neuroprompt.progress import Progress
from neuroprompt.training.cast import KINDS
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import as_floats, size_of
from neuroprompt.training.evaluation import counts
from neuroprompt.training.features import features_of, larger, refit
from neuroprompt.training.feed import Feed
from neuroprompt.training.logs import Logs
from neuroprompt.training.metrics import Epoch
from neuroprompt.training.model import PromptedModel
from neuroprompt.training.optimiser import set_rate
from neuroprompt.training.saver import Saver
from neuroprompt.training.stopping import best_epoch


class Steps:
    """One process of a training run, from where `saver` stands to the last epoch."""

    def __init__(
        self,
        fabric: Fabric,
        config: RunConfig,
        model: PromptedModel,
        saver: Saver,
        progress: Progress,
        *,
        workers: int = 0,
        log: str | None = None,
    ) -> None:
        self.fabric, self.config, self.model, self.saver = fabric, config, model, saver
        self.progress, self.workers, self.log = progress, workers, log
        # Where nothing in front of the head learns, its inputs are computed once, and take the images' place.
        self.head_only = (
            model.prompt.enters == "nowhere" and not model.prompt.tunes_backbone and config.augment == "none"
        )
        self.part: nn.Module = model.head if self.head_only else model

    def run(self, train: Images, val: Images) -> None:
        """Train to the end, saving every epoch, every so many seconds and on Ctrl-C."""
        position, saver = self.saver.position, self.saver
        if position.epoch or position.step:
            self.progress.say(f"going on from epoch {position.epoch + 1}, step {position.step + 1}")
        if self.head_only:
            train, val = (
                features_of(self.fabric, self.model, images, self.config.batch, self.progress, what=what)
                for images, what in ((train, "training features"), (val, "validation features"))
            )
        self.learner, self.optimiser = self.fabric.setup(self.part, saver.optimiser)
        self.model.quicken()  # for what `refit` computes in 32 bits
        self.feed = Feed(train, self.config, 0 if self.head_only else self.workers)
        self.logs = Logs(self.log if self.fabric.is_global_zero else None, saver.out, position.history)
        try:
            while not saver.is_over:
                epoch = position.epoch
                self._epoch(epoch, train)
                self._end_epoch(epoch, val, size_of(train))
        except KeyboardInterrupt:
            saver.save_state()
            saver.save_prompt()
            raise
        finally:
            self.feed.close()
            self.logs.close()
        saver.finish()

    def _epoch(self, epoch: int, train: Images) -> None:
        """The steps of an epoch that are not done yet; its images are permuted by seed and epoch."""
        config, position = self.config, self.saver.position
        order = np.random.default_rng((config.seed, epoch)).permutation(size_of(train)).tolist()
        rows = [order[i : i + config.batch] for i in range(0, len(order), config.batch)]
        steps_each, rows = len(rows), rows[position.step :]
        rank, world = self.fabric.global_rank, self.fabric.world_size
        # A process that a short last row leaves without an image takes one that counts nothing.
        ours = self.feed.batches(epoch, [row[rank::world] or row[:1] for row in rows])
        if position.step == 0 and (self.model.head.refit == "epoch" or (self.model.head.refit == "once" and not epoch)):
            refit(self.fabric, config, self.model, train, self.progress, head_only=self.head_only)
        self.model.train().quicken(KINDS.get(config.precision))  # the validation before left the form in 32 bits
        what = f"epoch {epoch + 1} of {config.epochs}"
        for row, (inputs, labels) in zip(rows, self.progress.track(ours, what, len(rows)), strict=True):
            began = time.monotonic()
            step = epoch * steps_each + position.step
            set_rate(self.saver.optimiser, config, step, steps_each)
            torch.manual_seed((config.seed * 1_000_003 + step) * 1_009 + rank)
            self.optimiser.zero_grad()
            loss = self._backward(inputs, labels, weight=world / len(row) if len(row) > rank else 0.0)
            mean = self._total(loss) / world
            if not math.isfinite(mean):
                got = f"the loss became {mean} in epoch {epoch + 1}"
                raise BadSetting(got, "a finite loss", f"train with a lower lr than {config.lr}")
            with uninterrupted():
                self.optimiser.step()
                position.step += 1
                position.images += len(row)
                position.loss += mean * len(row)
                position.seconds += time.monotonic() - began
            if self.saver.is_due:
                self.saver.save_state()

    def _backward(self, inputs: Tensor, labels: Tensor, weight: float) -> Tensor:
        """Add the gradients of a batch, taken in `accumulate` parts; their loss, the penalty once among it."""
        parts = list(zip(inputs.chunk(self.config.accumulate), labels.chunk(self.config.accumulate), strict=True))
        total = torch.zeros((), device=self.fabric.device)
        for i, (images, classes) in enumerate(parts, 1):
            last = i == len(parts)
            with self.fabric.no_backward_sync(self.learner, enabled=not last):
                logits = self.learner(self.fabric.to_device(as_floats(images)))
                loss = cross_entropy(logits.float(), self.fabric.to_device(classes), reduction="sum") * weight
                if last:
                    loss = loss + self.model.prompt.penalty()
                self.fabric.backward(loss)
            total += loss.detach()
        return total

    def _end_epoch(self, epoch: int, val: Images, images: int) -> None:
        position = self.saver.position
        ended = Epoch(epoch + 1, position.loss / images, self._accuracy(val), self._density())
        with uninterrupted():
            position.history.append(ended)
            position.epoch, position.step, position.loss = epoch + 1, 0, 0.0
        self.progress.say(", ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in ended.json().items()))
        self.logs.write(ended)
        if self.config.best and best_epoch(position.history) == ended:
            self.saver.save_best()  # before the state, so that a kill between the two only repeats this epoch
        self.saver.save_state()
        self.saver.save_prompt()

    def _accuracy(self, val: Images) -> float | None:
        """The share of `val` that the model gets right, settled and in float32: as it will be deployed."""
        net = self.model.head.eval() if self.head_only else self.model.settled()
        self.model.eval()
        if not size_of(val):
            return None
        share = (self.fabric.global_rank, self.fabric.world_size)
        device, batch = self.fabric.device, larger(self.config.batch)
        right = counts(net, device, val, batch, progress=self.progress, what="validation", part=share)
        return self._total(torch.tensor(float(right.masked), device=device)) / size_of(val)

    def _density(self) -> float | None:
        """The share of prompt bits that are 1, where neurons make the tokens."""
        prompt = self.model.eval().prompt
        tokens = prompt.tokens() if prompt.spiking else None
        if tokens is None:
            return None
        widths = self.model.backbone.site.widths[: len(tokens)]
        return float((tokens != 0).sum()) / (tokens.shape[1] * sum(widths))

    def _total(self, value: Tensor) -> float:
        """The sum of a number over all processes."""
        total = self.fabric.all_reduce(value, reduce_op="sum")
        assert isinstance(total, Tensor)
        return float(total)
