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
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from neuroprompt.backbone import load_backbone
from neuroprompt.bundle import Bundle
from neuroprompt.checkpoint import RunConfig, load_backbone_of
from neuroprompt.contracts import Backbone, BackboneSpec, Floats, ImageTarget, Target
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.onnxfile import operators, to_onnx
from neuroprompt.parity import Unbaked, compare
from neuroprompt.progress import SILENT, Progress

RATIOS = (("baked", "bare"), ("naive", "bare"), ("pytorch", "bare"), ("baked", "naive"))
WARM_UP = 3


def bench_bundle(bundle: Bundle, weights: Path | None = None, **timing: Any) -> dict[str, Any]:
    """`bench_models` (with its batch, rounds, threads and progress) for the file of an ONNX bundle.

    `weights` where the backbone's file has moved. Raises BadBundle, BadCheckpoint, BadWeights.
    """
    try:
        config = RunConfig.from_json(bundle.about["run"])
        kept = load_file(bundle.folder / "prompt.safetensors")
        classes, width = kept["head.weight"].shape
        head = nn.Linear(width, classes)
        head.load_state_dict({"weight": kept["head.weight"], "bias": kept["head.bias"]})
    except (OSError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        got = f"{bundle.folder} does not say what it was made of ({error})"
        raise BadBundle(got, "a bundle of 'neuroprompt export --target onnx'", "export it again") from error
    backbone, tokens = load_backbone_of(config, weights), kept.get("tokens")
    baked = bundle.folder / "model.onnx"
    return bench_models(backbone, tokens, head, baked_file=baked, **timing)


def bench_backbone(spec: BackboneSpec, tokens: int, **timing: Any) -> dict[str, Any]:
    """`bench_models` (with its settings) on `tokens` tokens of random bits a block, and a random head."""
    if tokens < 1:
        raise BadSetting(f"{tokens} tokens", "at least 1")
    backbone = load_backbone(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bits = (torch.rand(backbone.site.depth, tokens, backbone.site.width) < 0.5).float()
        head = nn.Linear(backbone.features, 1000)
    return bench_models(backbone, bits, head, **timing)


def bench_models(
    backbone: Backbone,
    tokens: Tensor | None,
    head: nn.Module,
    *,
    batch: int = 1,
    rounds: int = 20,
    threads: int | None = None,
    progress: Progress = SILENT,
    baked_file: Path | None = None,
) -> dict[str, Any]:
    """Milliseconds a run (median) of four forms of one model, on the same images, with the same number of threads.

    baked: the deployed graph. naive: the prompt exported as ordinary tokens. bare: exported without a prompt. All three
    have the attention of `Backbone.lean`, so that a ratio tells what the prompt costs and nothing else. pytorch: the
    unbaked model in PyTorch. Every round runs all four, in an order drawn anew, and a ratio is the median over rounds
    of the two times of one round: what else the machine does meets all alike. `threads` are torch's own by default; 1
    is steadier on a busy machine, where two threads wait for each other.

    {"ratio": {"baked_over_bare", "naive_over_bare", "pytorch_over_bare", "baked_over_naive"}, "ratio_quartiles",
    "ms", "ms_quartiles", "nodes" of each graph, "max_abs_diff" and "max_rel_diff" (of the logits' range; baked against
    PyTorch), "top1_agreement", "batch", "rounds", "threads"}. Raises ParityError where baked and PyTorch differ.
    """
    threads = torch.get_num_threads() if threads is None else threads
    if batch < 1 or rounds < 1 or threads < 1:
        raise BadSetting(f"batch {batch}, rounds {rounds}, threads {threads}", "each at least 1")
    images = torch.randn(batch, *backbone.site.image, generator=torch.Generator().manual_seed(0))
    unbaked = Unbaked(backbone, tokens, head).eval()
    modules: dict[str, Callable[[], nn.Module]] = {
        "baked": lambda: nn.Sequential(backbone.baked(tokens), head),
        "naive": lambda: Unbaked(backbone.lean(), tokens, head),
        "bare": lambda: nn.Sequential(backbone.baked(None), head),
    }
    runs: dict[str, Callable[[], Any]] = {"pytorch": lambda: _pytorch(unbaked, images, threads)}
    nodes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, module in progress.track(list(modules.items()), "exporting graphs"):
            file = Path(folder) / f"{name}.onnx"
            if name == "baked" and baked_file is not None:
                file = baked_file
            else:
                to_onnx(module(), backbone.site.image, file)
            nodes[name] = sum(operators(file).values())
            runs[name] = _runner(file, images, threads)
            if name == "baked":
                checked = compare(runs["baked"](), runs["pytorch"]())
        seconds = _in_turn(runs, rounds, progress)
    ratios = {f"{a}_over_{b}": [x / y for x, y in zip(seconds[a], seconds[b], strict=True)] for a, b in RATIOS}
    milliseconds = {name: [1e3 * s for s in times] for name, times in seconds.items()}
    return {
        "ratio": {name: statistics.median(values) for name, values in ratios.items()},
        "ratio_quartiles": {name: _quartiles(values) for name, values in ratios.items()},
        "ms": {name: statistics.median(times) for name, times in milliseconds.items()},
        "ms_quartiles": {name: _quartiles(times) for name, times in milliseconds.items()},
        "nodes": nodes,
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
    runtime = Target.named("onnxruntime", threads=threads)
    assert isinstance(runtime, ImageTarget)
    array = images.numpy()
    return lambda: runtime.logits(file, array)


def _in_turn(runs: Mapping[str, Callable[[], Any]], rounds: int, progress: Progress) -> dict[str, list[float]]:
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


def _quartiles(values: list[float]) -> list[float]:
    if len(values) < 2:
        return values * 2
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]
