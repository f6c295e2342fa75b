"""Times the baked graph beside the naive one, the bare backbone and PyTorch, in one run and in turn."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neuroprompt.benchmarks.browser import in_browser
from neuroprompt.benchmarks.latency_result import LatencyBenchmark
from neuroprompt.benchmarks.rounds import Took, in_turn, middle, ratio
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.choice import Timed, remember
from neuroprompt.bundles.forms import DYNAMIC, FUSED, HALF, INT8, PORTABLE, forms_of
from neuroprompt.bundles.trained import trained_model
from neuroprompt.contracts.deployment import Floats, ImageTarget
from neuroprompt.contracts.learning import BackboneSpec, Head, Prompt
from neuroprompt.energy.rapl import measure
from neuroprompt.errors import BadSetting, RuntimeMissing, Unsupported
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.deployable import Unbaked, bare, deployed
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.fuse import fuse
from neuroprompt.onnxgraph.parity import compare
from neuroprompt.onnxgraph.quantise import quantise_dynamic
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.model import PromptedModel

RATIOS = (
    *((form, "bare") for form in ("baked", "naive", "lean", "pytorch", "baked_fused", "lean_fused")),
    *((form, "bare") for form in ("int8", "int8_dynamic", "fp16", "openvino", "openvino_bf16")),
    *((form, "bare") for form in ("openvino_int8", "openvino_int8_bf16", "web", "web_int8")),
    ("baked", "lean"),
    ("baked_fused", "baked"),
    ("baked_fused", "lean_fused"),
)

BESIDE, WEB = "openvino", "web"
"""The runtimes that are timed beside ONNX Runtime, where they are at hand."""

TURN = 0.02
"""Seconds of a turn: what short runs need for steady times."""


def bench(
    what: Bundle | BackboneSpec | Path | str,
    *,
    weights: Path | None = None,
    tokens: int = 10,
    batch: int = 1,
    rounds: int = 20,
    threads: int | None = None,
    cpu_time: bool = False,
    progress: Progress = SILENT,
) -> LatencyBenchmark:
    """`bench_model` of an ONNX bundle, or of a backbone with a random head and `tokens` tokens of random bits a block.

    `weights` where the file of a bundle's backbone has moved. Which of a bundle's two 32-bit files was faster is kept
    for `run` (`neuroprompt.bundles.choice`). Raises BadBundle, BadCheckpoint, BadSetting, BadWeights.
    """
    timing = partial(bench_model, batch=batch, rounds=rounds, threads=threads, cpu_time=cpu_time, progress=progress)
    if isinstance(what, BackboneSpec):
        return timing(*_random(what, tokens))
    bundle = what if isinstance(what, Bundle) else Bundle.open(what, "onnx")
    trained = trained_model(bundle, weights)
    result = timing(trained.model, trained.tokens, baked_files=forms_of(bundle))
    fused = result.ratio.get("baked_fused_over_baked")
    if fused is not None:
        remember(bundle, Timed(result.threads, result.batch, fused.median, fused.low, fused.high))
    return replace(result, accuracy=_accuracies(bundle.about.get("forms", {})))


def bench_model(
    model: PromptedModel,
    tokens: Tensor | None,
    *,
    batch: int = 1,
    rounds: int = 20,
    threads: int | None = None,
    cpu_time: bool = False,
    progress: Progress = SILENT,
    baked_files: Mapping[str, Path] | None = None,
) -> LatencyBenchmark:
    """Milliseconds a run of several forms of one model, on the same images, with the same number of threads.

    bare: the backbone and head as timm's own modules export them, without a prompt. naive: the same with the prompt as
    ordinary tokens. baked: the deployed graph (of `baked_files`, by form, where there are such), its prompt constant,
    its attention in fewer operators, and no work on tokens that nobody reads. lean: the bare backbone in the baked
    one's form, so that baked_over_lean is what the prompt alone costs, and lean_over_bare what the form saves.
    baked_fused and lean_fused: both with ONNX Runtime's fused attention, where the backbone has attention that fits;
    lean_fused is the fairest rival, the fastest graph without a prompt. int8, fp16: the bundle's files in fewer bits,
    where it has them; int8_dynamic: the baked graph with 8-bit weights, where it has tokens. openvino, openvino_int8:
    the files baked and int8 in OpenVINO, where it is installed; openvino_bf16, openvino_int8_bf16: with what is not in
    8 bits in bfloat16, where the processor has instructions for it. web, web_int8: the same in onnxruntime-web, in a
    headless Chromium, one thread as on the exported page, by the browser's clock; `missing` says why where it is not
    at hand. pytorch: the unbaked model in PyTorch. Every round runs all, in an order drawn anew, and a ratio is of two
    times of one round: what else the machine does meets all alike. Each is called once untimed before it is timed, for
    20 ms at least, so its weights are in the caches.
    `threads` are torch's own by default; 1 is steadier on a busy machine, where two threads wait for each other.
    `cpu_time`: by the processor time of one thread, which hardly depends on what else the machine does. A browser is
    another process, and is left out.

    Raises BadSetting, ParityError where a baked form and PyTorch differ, Unsupported where a graph is not countable.
    """
    threads = (1 if cpu_time else torch.get_num_threads()) if threads is None else threads
    if cpu_time and threads != 1:
        raise BadSetting(f"processor time of {threads} threads", "that of one", "--cpu-time without --threads")
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
    runs: dict[str, Callable[[], Floats]] = {"pytorch": partial(_pytorch, unbaked, images, threads)}
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for name, module in progress.track(list(modules.items()), "exporting graphs"):
            files[name] = Path(folder) / f"{name}.onnx"
            if name == "baked" and baked_files:
                files[name] = baked_files[PORTABLE]
            else:
                to_onnx(module(), shape, files[name])
        files |= _fused(files, baked_files or {}) | _reduced(files["baked"], Path(folder), baked_files or {})
        runs |= {name: _runner(file, images, threads) for name, file in files.items()}
        for precision, end in (("float", ""), ("bf16", "_bf16")):
            if ImageTarget.part(BESIDE).computes_in(precision):
                for name, of in ((BESIDE, "baked"), (f"{BESIDE}_int8", "int8")):
                    if of in files:
                        runs[name + end] = _runner(files[of], images, threads, BESIDE, precision=precision)
        expected = runs["pytorch"]()
        parity = compare(runs["baked"](), expected)
        for name in {"baked_fused", BESIDE} & runs.keys():
            compare(runs[name](), expected)
        nodes = {name: sum(operators(file).values()) for name, file in files.items()}
        counted = {name: count_graph(file).total for name, file in files.items()}
        sizes = {name: file.stat().st_size for name, file in files.items()}
        with ExitStack() as stack:
            web, missing = dict[str, Callable[[], Took]](), {WEB: "a browser's processor time is not ours to read"}
            if not cpu_time:
                web, missing = _web(stack, files, images, expected, progress)
            clock = time.process_time if cpu_time else time.perf_counter
            seconds = in_turn({**runs, **web}, rounds, progress, clock, at_least=TURN)
        joules = _measured({name: runs[name] for name in ("bare", "baked")}, batch)
    return LatencyBenchmark(
        ms={name: middle([1e3 * s for s in times]) for name, times in seconds.items()},
        ratio={f"{a}_over_{b}": ratio(seconds[a], seconds[b]) for a, b in RATIOS if {a, b} <= seconds.keys()},
        nodes=nodes,
        macs={name: count.macs for name, count in counted.items()},
        macs_int8={name: count.macs_int8 for name, count in counted.items() if count.macs_int8},
        bytes=sizes,
        measured=joules,
        missing=missing,
        max_abs_diff=parity.max_abs_diff,
        max_rel_diff=parity.max_rel_diff,
        top1_agreement=parity.top1_agreement,
        batch=batch,
        rounds=rounds,
        threads=threads,
        cpu_time=cpu_time,
    )


def _web(
    stack: ExitStack, files: Mapping[str, Path], images: Tensor, expected: Floats, progress: Progress
) -> tuple[dict[str, Callable[[], Took]], dict[str, str]]:
    """Runs of the files baked and int8 in a browser, as long as `stack` is open; or why there are none."""
    chosen = {name: files[of] for name, of in ((WEB, "baked"), (f"{WEB}_int8", "int8")) if of in files}
    try:
        progress.say("a browser")
        browser = stack.enter_context(in_browser(chosen, images.numpy()))
        answers = {name: browser.run(name)[1] for name in chosen}
    except RuntimeMissing as error:
        return {}, {WEB: str(error)}
    compare(answers[WEB], expected)

    def run(name: str) -> Took:
        return browser.run(name)[0]

    return {name: partial(run, name) for name in chosen}, {}


def _measured(runs: Mapping[str, Callable[[], Floats]], batch: int) -> dict[str, float]:
    """Joules an image by the machine's counters, a second each; none where it has no counters that can be read."""
    try:
        return {name: measure(run, 1.0).joules / batch for name, run in runs.items()}
    except Unsupported:
        return {}


def _fused(files: Mapping[str, Path], baked_files: Mapping[str, Path]) -> dict[str, Path]:
    """The fused files beside those of `files`, or the bundle's own; none where no attention fits."""
    fused = {}
    for name in ("lean", "baked"):
        file = files[name].with_name(f"{name}_fused.onnx")
        if name == "baked" and baked_files:
            if FUSED in baked_files:
                fused["baked_fused"] = baked_files[FUSED]
        elif fuse(files[name], file):
            fused[f"{name}_fused"] = file
    return fused


def _reduced(baked: Path, folder: Path, baked_files: Mapping[str, Path]) -> dict[str, Path]:
    """The bundle's files in fewer bits, and one with dynamic ranges; its answers differ, and are not compared."""
    reduced = {form.replace("-", "_"): baked_files[form] for form in (INT8, DYNAMIC, HALF) if form in baked_files}
    if "int8_dynamic" not in reduced:
        plain, dynamic = folder / "plain.onnx", folder / "int8_dynamic.onnx"
        try:
            quantise_dynamic(baked, plain)
        except Unsupported:  # no tokens
            return reduced
        reduced["int8_dynamic"] = dynamic if fuse(plain, dynamic, share=False) else plain
    return reduced


def _accuracies(forms: Mapping[str, Any]) -> dict[str, float]:
    """What the export measured of a file in fewer bits, and of the 32-bit one on the same images."""
    known: dict[str, float] = {}
    for form in (INT8, DYNAMIC, HALF):
        if measured := forms.get(form):
            known |= {"baked": measured["accuracy_fp32"], form.replace("-", "_"): measured["accuracy"]}
    return known


def _random(spec: BackboneSpec, tokens: int) -> tuple[PromptedModel, Tensor]:
    """A model whose prompt is random bits; raises BadSetting."""
    if tokens < 1:
        raise BadSetting(f"{tokens} tokens", "at least 1")
    backbone = load_backbone(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bits = (torch.rand(backbone.site.depth, tokens, backbone.site.width) < 0.5).float()
        head = Head.named("linear", features=backbone.features, classes=1000)
        return PromptedModel(backbone, Prompt.named("vpt-deep", site=backbone.site, tokens=tokens), head), bits


@torch.inference_mode()
def _pytorch(module: nn.Module, images: Tensor, threads: int) -> Floats:
    usual = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        logits: Floats = module(images).numpy()
    finally:
        torch.set_num_threads(usual)
    return logits


def _runner(file: Path, images: Tensor, threads: int, target: str = "onnxruntime", **more: Any) -> Callable[[], Floats]:
    runtime = ImageTarget.named(target, threads=threads, **more)
    return partial(runtime.logits, file, images.numpy())
