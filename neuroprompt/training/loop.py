"""Trains prompt and head of a frozen backbone into a run folder; goes on after a kill with the same result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from neuroprompt.contracts.learning import Labelled
from neuroprompt.errors import BadCheckpoint, BadSetting, CannotWrite
from neuroprompt.files import sha256
from neuroprompt.locks import one_writer
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.assemble import digest_of, load_backbone_of, make_head, make_prompt, seeded
from neuroprompt.training.begin import begin_prompt
from neuroprompt.training.checkpoint import drop_state, load_state
from neuroprompt.training.classifier import read_classifier
from neuroprompt.training.config import RunConfig
from neuroprompt.training.dataset import absolute, load_data
from neuroprompt.training.devices import launch, warn_of_bf16, warn_of_workers
from neuroprompt.training.logs import check_log
from neuroprompt.training.model import PromptedModel, preprocess_for
from neuroprompt.training.run_files import is_finished, load_config
from neuroprompt.training.run_folder import Run
from neuroprompt.training.saver import Saver
from neuroprompt.training.steps import Steps


def train(
    config: RunConfig,
    out: Path | str,
    progress: Progress = SILENT,
    *,
    accelerator: str = "auto",
    devices: int | str = 1,
    nodes: int = 1,
    strategy: str = "auto",
    precision: str | None = None,
    workers: int = 0,
    log: str | None = None,
    checkpointing: bool = False,
    resume: bool = True,
    checkpoint_seconds: float = 30.0,
) -> Run:
    """Train into the folder `out`, or go on where an earlier call with the same configuration stopped.

    Minimises cross-entropy (+ the prompt's penalty) over prompt and head by AdamW, Adam or SGD, with a linear warm-up
    and a schedule. The weights after the last step are the result, and with `config.best` those of the best epoch by
    validation stand beside them (`Run.load(best=True)`).
    `accelerator`, `devices` (of each of `nodes` machines), `strategy` ("auto" or "ddp") and `precision` are Lightning
    Fabric's; precision "auto" is bf16-mixed on a GPU. However often training was killed, a CPU ends with the same bits,
    since everything random is drawn from the seed and the step; a GPU as far as its kernels repeat themselves. A
    finished run is returned as it is; `resume=False` begins again. `workers` processes decode the training images (0:
    threads of this one), and change nothing else. `log` ("csv" or "tensorboard") writes every epoch into `out`/logs.
    `checkpointing` keeps only what enters each block
    for the gradient, and computes the rest twice: with the same result, in less memory.

    Raises BadSetting (also where the loss diverges), BadData, BadWeights, BadCheckpoint, CannotWrite. On
    KeyboardInterrupt a checkpoint is written first.
    """
    out = Path(out)
    if workers < 0:
        raise BadSetting(f"workers {workers}", "at least 0")
    check_log(log)
    fabric = launch(accelerator, devices, strategy, precision or config.precision, nodes)
    config = _settled(config, str(fabric.strategy.precision.precision))
    with _only_writer(fabric, out):
        return _train(
            fabric,
            config,
            out,
            progress,
            resume=resume,
            every=checkpoint_seconds,
            workers=workers,
            log=log,
            checkpointing=checkpointing,
        )


def _train(
    fabric: Fabric,
    config: RunConfig,
    out: Path,
    progress: Progress,
    *,
    resume: bool,
    every: float,
    workers: int,
    log: str | None,
    checkpointing: bool,
) -> Run:
    progress = progress if fabric.is_global_zero else SILENT
    earlier = load_config(out) if resume else None
    if earlier is not None:
        # Classes and weights are known once data and backbone are loaded.
        known = dataclasses.replace(
            config,
            classes=earlier.classes,
            weights_sha256=earlier.weights_sha256,
            classifier_sha256=earlier.classifier_sha256,
        )
        _check_same(out, earlier, known)
        if is_finished(out):
            if fabric.is_global_zero:
                drop_state(out)  # of a process that was killed between its last two files
            return Run.load(out)
    config, model, data = _prepare(config, progress)
    if earlier is not None:
        _check_same(out, earlier, config)
    state = load_state(out, config) if earlier is not None else None
    if checkpointing:
        model.backbone.checkpoint()
    warn_of_bf16(fabric, progress)
    warn_of_workers(workers, progress)
    with torch.random.fork_rng(devices=[]):
        saver = Saver(fabric, config, model, out, every)
        if state is None:
            begin_prompt(fabric, config, model, data.train, progress)
        fabric.barrier()  # every process has read the folder before one writes into it
        saver.start(state)
        Steps(fabric, config, model, saver, progress, workers=workers, log=log).run(data.train, data.val)
    fabric.barrier()
    return dataclasses.replace(Run.load(out), metrics=saver.metrics())


@contextmanager
def _only_writer(fabric: Fabric, out: Path) -> Iterator[None]:
    """Raises CannotWrite, in every process of this run, where another run writes to `out`."""
    with ExitStack() as stack:
        refusal: CannotWrite | None = None
        if fabric.is_global_zero:
            try:
                stack.enter_context(one_writer(out))
            except CannotWrite as error:
                refusal = error
        refusal = fabric.broadcast(refusal)
        if refusal is not None:
            raise refusal
        yield


def _settled(config: RunConfig, precision: str) -> RunConfig:
    """The configuration as a run folder has it: absolute paths, the precision in use, and nothing that data decide."""
    backbone = config.backbone
    if backbone.weights is not None:
        backbone = dataclasses.replace(backbone, weights=str(Path(backbone.weights).resolve()))
    if backbone.classifier is not None:
        backbone = dataclasses.replace(backbone, classifier=str(Path(backbone.classifier).resolve()))
    filled_in: dict[str, Any] = {"classes": (), "weights_sha256": "", "classifier_sha256": ""}
    return dataclasses.replace(config, backbone=backbone, data=absolute(config.data), precision=precision, **filled_in)


def _prepare(config: RunConfig, progress: Progress) -> tuple[RunConfig, PromptedModel, Labelled]:
    """All that training needs, each made once: backbone, prompt, data of the prompt's image size, head.

    The configuration comes back with the classes and the weights' SHA-256. Raises BadSetting where nothing learns.
    """
    backbone = load_backbone_of(config, progress=progress)
    with seeded(config.seed):  # data draw nothing from torch's generator
        prompt = make_prompt(config, backbone)
        data = load_data(
            config.data, preprocess_for(backbone, prompt), config.seed, config.limit, progress, val=config.val
        )
        digest = digest_of(config.backbone, backbone)
        config = dataclasses.replace(config, classes=data.classes, weights_sha256=digest)
        model = PromptedModel(backbone, prompt, make_head(config, backbone))
        model.head.begin()
        if config.backbone.classifier is not None:
            file = Path(config.backbone.classifier)
            read_classifier(file)  # a head may not
            config = dataclasses.replace(config, classifier_sha256=sha256(file))
    if not model.learned():
        got = f"method {config.method!r} with head {config.head!r}, of which nothing learns"
        raise BadSetting(got, "a prompt or a head with parameters", "choose another --method or --head")
    return config, model, data


def _check_same(out: Path, earlier: RunConfig, config: RunConfig) -> None:
    """Raises BadCheckpoint where `out` holds a run of another configuration."""
    ours = config.json()
    for key, theirs in earlier.json().items():
        if ours[key] != theirs and key != "recipe":
            got = f"{out} holds a run with another {key}: {theirs} there, {ours[key]} here"
            raise BadCheckpoint(got, "the configuration that it was begun with", "choose another --out, or delete it")
