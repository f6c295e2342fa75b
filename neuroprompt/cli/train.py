"""`neuroprompt train`: train a prompt for a frozen backbone into a run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroprompt.cli._app import app
from neuroprompt.cli._output import (
    Json,
    TerminalProgress,
    emit,
    examples,
    facts,
    plain,
    settings,
    stdout_is_ours,
    table,
)
from neuroprompt.cli._panels import panels
from neuroprompt.cli._recipe import completed
from neuroprompt.plugin import Plugin, names_in

if TYPE_CHECKING:
    from neuroprompt.training.config import RunConfig

_BUDGET = (
    *("epochs", "batch", "lr", "prompt_lr", "weight_decay", "prompt_weight_decay", "optimiser", "momentum", "warmup"),
    *("val", "resize", "limit", "accumulate", "schedule", "lr_batch", "augment", "patience"),
)
"""Options that are fields of RunConfig under the same name, and keep its default where they are not typed."""


def _one_of(folder: str) -> str:
    return f"One of {', '.join(names_in(folder))}."


Words = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting of the method, e.g. steps=8 or theta=0.25; repeatable; see --help-settings.",
    ),
]
HelpSettings = Annotated[
    bool, typer.Option("--help-settings", help="List the settings of --method and --head, and train nothing.")
]
HeadWords = Annotated[
    list[str] | None,
    typer.Option(
        "--head-set", metavar="KEY=VALUE", help="A setting of the output mapping, e.g. sources=2; repeatable."
    ),
]


@app.command(
    cls=panels(
        model="backbone weights random-weights image-size pool features classifier tokens head head-set set",
        data="data val resize augment limit no-exif workers",
        optimisation="epochs batch accumulate lr prompt-lr lr-batch weight-decay prompt-weight-decay optimiser "
        "momentum warmup schedule patience best",
        machine="device devices nodes strategy precision checkpointing",
    ),
    epilog=examples(
        "train --out runs/digits",
        "train --method vpt-deep --tokens 10 --data folder:images --out runs/vpt",
        "train --backbone vit_base_patch16_224.augreg_in21k --data torchvision:CIFAR100 --device cuda --out runs/c100",
        "train --device cuda --devices 4 --nodes 2 --strategy ddp --out runs/big",
        "train --recipe lorsp-cifar100 --device cuda --out runs/lorsp",
        "train --method lorsp --help-settings",
        "train --method lor-vp --head iterative --head-set sources=2 --backbone deit_tiny_patch16_224 --out runs/ilm",
        "train --backbone deit_tiny_patch16_224 --weights deit.safetensors --image-size 112 --data folder:eurosat",
    ),
)
def train(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Run folder; the same command again goes on where it stopped.")] = Path(
        "runs/spike-nvpt"
    ),
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="Settings of a paper, or of a file, where this line has none; 'neuroprompt recipes' lists them.",
        ),
    ] = None,
    method: Annotated[str, typer.Option(help=_one_of("neuroprompt.prompts"))] = "spike-nvpt",
    data: Annotated[
        str,
        typer.Option(
            help="digits, folder:PATH, csv:FILE, list:FILE, torchvision:NAME (EMNIST/letters), hf:NAME or hf-disk:PATH."
        ),
    ] = "digits",
    backbone: Annotated[
        str, typer.Option(help="embedded, or any classifier of timm, with its tag or without.")
    ] = "embedded",
    weights: Annotated[Path | None, typer.Option(help="Its weights as safetensors, instead of timm's hub.")] = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Leave the backbone random.")] = False,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the input in pixels (default: the backbone's).")
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(help="How tokens become features: token, avg, max, avgmax or map (default: the backbone's own)."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="projection: the space that image and text share, of CLIP and its likes (default: before it)."
        ),
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors",
            help="Classes that label mappings read from, instead of the backbone's own: weight (classes, features), "
            "and scale for text embeddings.",
        ),
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="Prompt tokens a block (default: 10).")] = None,
    head: Annotated[str, typer.Option(help=f"The output mapping. {_one_of('neuroprompt.heads')}")] = "linear",
    head_words: HeadWords = None,
    words: Words = None,
    help_settings: HelpSettings = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images (default: 10).")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step (default: 64).")] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Take each step's images in so many parts, for less memory (default: 1).")
    ] = None,
    checkpointing: Annotated[
        bool,
        typer.Option("--checkpointing", help="Compute blocks anew in the backward pass: less memory, the same result."),
    ] = False,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate (default: 0.01).")] = None,
    prompt_lr: Annotated[float | None, typer.Option(help="The prompt's own peak rate (default: --lr).")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay (default: 0.0001).")] = None,
    prompt_weight_decay: Annotated[
        float | None, typer.Option(help="The prompt's own weight decay (default: --weight-decay).")
    ] = None,
    optimiser: Annotated[str | None, typer.Option(help="adamw (default), adam or sgd.")] = None,
    momentum: Annotated[float | None, typer.Option(help="Momentum of sgd (default: 0.9).")] = None,
    warmup: Annotated[float | None, typer.Option(help="Epochs of linear warm-up (default: 1).")] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="The rate after warm-up: cosine (default), cosine-epochs, steps (ILM-VP's) or constant."),
    ] = None,
    lr_batch: Annotated[
        int | None, typer.Option(help="The rates are for so many images a step: they are times batch over this.")
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(help="Training images: none (default), flip, crop, resized-crop, crop+flip or resized-crop+flip."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="End after so many epochs without a better validation accuracy.")
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Keep the best epoch by validation, too: 'eval --best', 'export --best'.")
    ] = False,
    val: Annotated[
        str | None,
        typer.Option(
            help="Which images validate: split (the set's own), none, a share such as 0.1, or auto (default)."
        ),
    ] = None,
    resize: Annotated[
        str | None, typer.Option(help="timm (default): as the backbone was evaluated; plain: straight to its size.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many images of each split.")] = None,
    no_exif: Annotated[
        bool, typer.Option("--no-exif", help="Leave images as they are stored, not turned as their EXIF says.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps (Lightning Fabric's accelerator).")] = "auto",
    devices: Annotated[str, typer.Option(help="How many devices of each node, or 'auto'.")] = "1",
    nodes: Annotated[
        int, typer.Option(help="How many machines; torchrun or srun starts the same command on each.")
    ] = 1,
    strategy: Annotated[str, typer.Option(help="auto or ddp.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="32-true, bf16-mixed, 16-mixed, or auto (on a GPU bf16-mixed).")
    ] = "32-true",
    workers: Annotated[int, typer.Option(help="Processes that decode training images (0: threads).")] = 0,
    log: Annotated[str | None, typer.Option(help="Log every epoch into --out/logs: csv or tensorboard.")] = None,
    json: Json = False,
) -> None:
    """Train a prompt and a head for a frozen backbone.

    Ctrl-C leaves a checkpoint; the same command goes on from it and ends with the same result.
    """
    from neuroprompt.contracts.learning import Head, Prompt

    if help_settings:
        _list_settings(Prompt.part(method), Head.part(head), json)
        return
    options = completed(ctx)
    config = config_of(options)
    # Settings and mistakes are answered before Fabric and Matplotlib are imported, which takes longer than torch.
    from neuroprompt.report.course import COURSE, draw_course
    from neuroprompt.training.devices import is_first
    from neuroprompt.training.loop import train as train_run

    with stdout_is_ours():
        run = train_run(
            config,
            out,
            TerminalProgress(),
            accelerator=options["device"],
            **{key: options[key] for key in ("devices", "nodes", "strategy", "precision", "workers", "log")},
            checkpointing=checkpointing,
        )
    if not is_first():
        return
    draw_course(run.metrics.history, out / COURSE)
    result: dict[str, Any] = {"run": str(run.folder), "method": config.method, **run.metrics.json()}
    if config.recipe:
        result["recipe"] = config.recipe
    title = f"{config.method} in {run.folder}"
    summary = run.summary()
    if not summary["images_per_second"]:
        del summary["images_per_second"]  # of a run that was finished before, nobody knows
    emit(result, json, table(title, ("", "value"), facts(summary)), f"next: neuroprompt eval {run.folder}")


def config_of(options: Mapping[str, Any]) -> RunConfig:
    """The configuration that the options of `train` (by parameter, a recipe's among them) stand for.

    Raises BadSetting, UnknownName.
    """
    from neuroprompt.contracts.learning import BackboneSpec, Head, Prompt
    from neuroprompt.training.config import configure

    method, head, weights = options["method"], options["head"], options["weights"]
    typed = settings(options["words"] or [])
    if options["tokens"] is not None:
        typed["tokens"] = str(options["tokens"])
    spec = BackboneSpec(
        options["backbone"],
        str(weights) if weights else None,
        options["image_size"],
        options["random_weights"],
        options["pool"],
        options["features"],
        str(options["classifier"]) if options["classifier"] else None,
    )
    config = configure(
        method=method,
        head=head,
        head_settings=Head.typed(head, settings(options["head_words"] or [], "--head-set", "sources=2")),
        settings=Prompt.typed(method, typed),
        backbone=spec,
        data=options["data"],
        seed=options["seed"],
        exif=not options["no_exif"],
        best=options["best"],
        **{key: options[key] for key in _BUDGET if options[key] is not None},
    )
    return dataclasses.replace(config, recipe=options["recipe"] or "")


def _list_settings(method: type[Plugin], head: type[Plugin], json: bool) -> None:
    """Every setting of both parts with its type, default and meaning."""
    tables = []
    for part, option in ((method, "--set"), (head, "--head-set")):
        rows = [
            (f"{option} {s.name}=", s.type.__name__, "required" if s.required else plain(s.default), s.meaning)
            for s in part.settings().values()
        ]
        columns = ("setting", "type", "default", "meaning")
        title = f"settings of {part.kind} {part.name}"
        tables.append(table(title, columns, rows) if rows else f"{part.kind} {part.name} has no settings")
    result = {
        "method": method.name,
        "settings": [s.json() for s in method.settings().values()],
        "head": head.name,
        "head_settings": [s.json() for s in head.settings().values()],
    }
    emit(result, json, *tables)
