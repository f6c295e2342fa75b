"""Times the baked graph beside the naive one, the bare backbone and PyTorch, in one run and in turn."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.trained import trained_model
from neuroprompt.contracts.deployment import Floats, ImageTarget
from neuroprompt.contracts.learning import BackboneSpec, Head, Prompt
from neuroprompt.errors import BadSetting
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.deployable import Unbaked, bare, deployed
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.parity import compare
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.model import PromptedModel

RATIOS = (("baked", "bare"), ("naive", "bare"), ("lean", "bare"), ("pytorch", "bare"), ("baked", "lean"))
WARM_UP = 3


def bench_bundle(bundle: Bundle, weights: Path | None = None, **timing: Any) -> dict[str, Any]:
    """`bench_model` (with its batch, rounds, threads and progress) for the file of an ONNX bundle.

    `weights` where the backbone's file has moved. Raises BadBundle, BadCheckpoint, BadWeights.
    """
    trained = trained_model(bundle, weights)
    return bench_model(trained.model, trained.tokens, baked_file=bundle.folder / "model.onnx", **timing)


def bench_backbone(spec: BackboneSpec, tokens: int, **timing: Any) -> dict[str, Any]:
    """`bench_model` (with its settings) on `tokens` tokens of random bits a block, and a random head."""
    if tokens < 1:
        raise BadSetting(f"{tokens} tokens", "at least 1")
    backbone = load_backbone(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bits = (torch.rand(backbone.site.depth, tokens, backbone.site.width) < 0.5).float()
        head = Head.named("linear", features=backbone.features, classes=1000)
        model = PromptedModel(backbone, Prompt.named("vpt-deep", site=backbone.site, tokens=tokens), head)
    return bench_model(model, bits, **timing)


def bench_model(
    model: PromptedModel,
    tokens: Tensor | None,
    *,
    batch: int = 1,
    rounds: int = 20,
    threads: int | None = None,
    progress: Progress = SILENT,
    baked_file: Path | None = None,
) -> dict[str, Any]:
    """Milliseconds a run (median) of five forms of one model, on the same images, with the same number of threads.

    bare: the backbone and head as timm's own modules export them, without a prompt. naive: the same with the prompt as
    ordinary tokens. baked: the deployed graph, its prompt constant and its attention in fewer operators. lean: the bare
    backbone in the baked one's form, so that baked_over_lean is what the prompt alone costs, and lean_over_bare what
    the form saves. pytorch: the unbaked model in PyTorch. Every round runs all five, in an order drawn anew, and a
    ratio is the median over rounds of the two times of one round: what else the machine does meets all alike.
    `threads` are torch's own by default; 1 is steadier on a busy machine, where two threads wait for each other.

    {"ratio": {"baked_over_bare", "naive_over_bare", "lean_over_bare", "pytorch_over_bare", "baked_over_lean"},
    "ratio_quartiles", "ms", "ms_quartiles", "nodes" and "macs" of each graph (an image, counted from its file),
    "max_abs_diff" and "max_rel_diff" (of the logits' range; baked against PyTorch), "top1_agreement", "batch",
    "rounds", "threads"}. Raises ParityError where baked and PyTorch differ, Unsupported where a graph is not countable.
    """
    threads = torch.get_num_threads() if threads is None else threads
    if batch < 1 or rounds < 1 or threads < 1:
        raise BadSetting(f"batch {batch}, rounds {rounds}, threads {threads}", "each at least 1")
    shape = model.backbone.site.image
    images = torch.rand(batch, shape[0], *model.preprocess.size, generator=torch.Generator().manual_seed(0))
    images = model.inputs(images)  # zeros around a smaller image, as the deployed file takes it
    unbaked = Unbaked(model, tokens)
    modules: dict[str, Callable[[], nn.Module]] = {
        "baked": lambda: deployed(model, tokens),
        "lean": lambda: bare(model, lean=True),
        "bare": lambda: bare(model),
        "naive": lambda: unbaked,
    }
    runs: dict[str, Callable[[], Any]] = {"pytorch": lambda: _pytorch(unbaked, images, threads)}
    nodes, macs = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, module in progress.track(list(modules.items()), "exporting graphs"):
            file = Path(folder) / f"{name}.onnx"
            if name == "baked" and baked_file is not None:
                file = baked_file
            else:
                to_onnx(module(), shape, file)
            nodes[name] = sum(operators(file).values())
            macs[name] = count_graph(file).total.macs
            runs[name] = _runner(file, images, threads)
            if name == "baked":
                checked = compare(runs["baked"](), runs["pytorch"]())
        seconds = in_turn(runs, rounds, progress)
    ratios = {f"{a}_over_{b}": [x / y for x, y in zip(seconds[a], seconds[b], strict=True)] for a, b in RATIOS}
    milliseconds = {name: [1e3 * s for s in times] for name, times in seconds.items()}
    return {
        "ratio": {name: statistics.median(values) for name, values in ratios.items()},
        "ratio_quartiles": {name: quartiles(values) for name, values in ratios.items()},
        "ms": {name: statistics.median(times) for name, times in milliseconds.items()},
        "ms_quartiles": {name: quartiles(times) for name, times in milliseconds.items()},
        "nodes": nodes,
        "macs": macs,
        "max_abs_diff": checked["max_abs_diff"],
        "max_rel_diff": checked["max_rel_diff"],
        "top1_agreement": checked["top1_agreement"],
        "batch": batch,
        "rounds": rounds,
        "threads": threads,
    }


@torch.inference_mode()
def _pytorch(module: nn.Module, images: Tensor, threads: int) -> Floats:
    usual = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        logits: Floats = module(images).numpy()
    finally:
        torch.set_num_threads(usual)
    return logits


def _runner(file: Path, images: Tensor, threads: int) -> Callable[[], Any]:
    runtime = ImageTarget.named("onnxruntime", threads=threads)
    array = images.numpy()
    return lambda: runtime.logits(file, array)


def in_turn(runs: Mapping[str, Callable[[], Any]], rounds: int, progress: Progress) -> dict[str, list[float]]:
    """Seconds of every run in every round; the first rounds warm up and are not kept."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    order, draw = list(runs), random.Random(0)
    for i in progress.track(range(WARM_UP + rounds), "timing"):
        draw.shuffle(order)
        for name in order:
            start = time.perf_counter()
            runs[name]()
            if i >= WARM_UP:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def quartiles(values: list[float]) -> list[float]:
    """The first and the third."""
    if len(values) < 2:
        return values * 2
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]
