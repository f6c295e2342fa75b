"""Measures what each method costs, for the overview table of RESULTS.md: training steps, deployed latency, energy.

    python examples/evidence_costs.py --out costs.jsonl             # all methods; goes on where it stopped
    python examples/evidence_costs.py --out costs.jsonl --only lorsp,vpt-deep

Every method is built as its study has it, on the study's backbone and image size, with random weights: time and
multiplications do not depend on them. Times are ratios within one run, in rounds that run both sides in turn:

- training: a step of linear probing over a step of the method, with the backbone in the loop of both
- latency: the exported file over the bare backbone's, once as timm's modules are and once in the exported form

Joules are estimated from counts, not measured: the exported file's multiply-accumulates, and the spikes of the neurons
in the emulator of Loihi, which depend on the weights and are those of the initial values. Each row goes to `--out`, and
into the results file beside the accuracies.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from evidence_data import Study, studies
from evidence_overview import COSTED
from evidence_results import RESULTS, Cost, loaded, read, write
from torch.nn.functional import cross_entropy

import neuroprompt as npt
from neuroprompt.benchmarks.rounds import Middle, in_turn, middle, ratio
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import ImageTarget, Prices
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.energy.count_bundle import counts_of_model
from neuroprompt.energy.estimate import estimate
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.deployable import bare, deployed
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.progress import SILENT
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.deploy import deployed_tokens, spiking_model
from neuroprompt.training.model import PromptedModel

CLASSES, BATCH, STEPS, RUNS = 10, 16, 7, 30
"""Classes of EuroSAT; images of a training step; rounds of training steps, and of single images."""
FILE_PRICES, NEURON_PRICES = "horowitz-45nm-fp32", "loihi"


def built(study: Study, method: str | None = None) -> PromptedModel:
    """The untrained model of a study on random weights; `method`: another one on the same backbone."""
    backbone = load_backbone(BackboneSpec(study.backbone, image_size=study.px, random=True))
    name = method or ("linear" if study.method == "logistic" else study.method)
    torch.manual_seed(0)
    prompt = npt.Prompt.named(name, site=backbone.site, **({} if method else study.settings))
    return PromptedModel(backbone, prompt, npt.Head.named("linear", features=backbone.features, classes=CLASSES))


def step_of(model: PromptedModel) -> Callable[[], None]:
    """A training step on random images, as `train` takes it."""
    images = torch.rand(BATCH, 3, *model.preprocess.size, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(BATCH) % CLASSES
    optimiser = torch.optim.AdamW(model.learned().values(), lr=1e-4, fused=True)
    model.train().quicken()

    def step() -> None:
        optimiser.zero_grad()
        (cross_entropy(model(images), labels) + model.prompt.penalty()).backward()
        optimiser.step()

    return step


def exported(study: Study, model: PromptedModel, folder: Path) -> Path:
    """The model's file as it is deployed."""
    file = folder / f"{study.name.replace('/', '-')}.onnx"
    to_onnx(deployed(model, deployed_tokens(model.prompt)), model.backbone.site.image, file)
    return file


def bare_files(study: Study, model: PromptedModel, folder: Path) -> dict[str, Path]:
    """The backbone without a prompt, in timm's form and in the exported one; written once for all studies on it."""
    files = {name: folder / f"{name}-{study.backbone}-{study.px}.onnx" for name in ("bare", "lean")}
    for name, file in files.items():
        if not file.is_file():
            to_onnx(bare(model, lean=name == "lean"), model.backbone.site.image, file)
    return files


def latencies(model: PromptedModel, files: dict[str, Path]) -> dict[str, list[float]]:
    """Seconds of each file, one image at a time."""
    images = model.inputs(torch.rand(1, 3, *model.preprocess.size)).numpy()
    runtime = ImageTarget.named("onnxruntime", threads=1)
    return in_turn({name: partial(runtime.logits, file, images) for name, file in files.items()}, RUNS, SILENT)


@torch.no_grad()
def neurons(model: PromptedModel) -> tuple[float, str] | None:
    """Estimated joules of the prompt's neurons, and how often they are spent; None where no target can run them."""
    prompt, image = model.prompt, torch.rand(1, 3, *model.preprocess.size)
    if prompt.per_image:
        gated = prompt.gated()
        if gated is not None:  # neurons alone, one for each value of the image
            generator, drive = gated.generator, gated.factors(image)[0].flatten(1)
        elif prompt.enters == "layers" and prompt.spiking and (beside := model.generator()) is not None:
            generator, drive = beside, model.generator_inputs(image)[0]
        else:
            return None
        inputs = drive.double().numpy()
        spiking = spiking_model(generator, inputs)
    else:
        own = prompt.generator()
        if own is None:
            return None
        spiking = spiking_model(own)
        inputs = stimulus(spiking.fixed_program)
    spent = counts_of_model(spiking, inputs, "loihi", "fixed").generator
    return estimate(spent, Prices.named(NEURON_PRICES)).joules, "each image" if prompt.per_image else "once"


def cost(study: Study, folder: Path, *, timed: bool) -> Cost:
    """All figures of one study; files that others need too stay in `folder`."""
    model = built(study).eval()
    file = exported(study, model, folder)
    counted, spent = count_graph(file).total, neurons(model)
    row = Cost(
        study.name,
        parameters=sum(p.numel() for name, p in model.learned().items() if not name.startswith("head.")),
        macs=counted.macs,
        file_joules=_short(estimate(counted, Prices.named(FILE_PRICES)).joules),
        neuron_joules=_short(spent[0]) if spent else None,
        neurons_run=spent[1] if spent else None,
        machine=machine(),
        date=datetime.date.today().isoformat(),
    )
    if not timed:
        return row
    runs = latencies(model, {"exported": file, **bare_files(study, model, folder)})
    steps = in_turn({"method": step_of(model), "linear": step_of(built(study, "linear"))}, STEPS, SILENT)
    return dataclasses.replace(
        row,
        training=_three(ratio(steps["linear"], steps["method"])),
        over_bare=_three(ratio(runs["exported"], runs["bare"])),
        over_lean=_three(ratio(runs["exported"], runs["lean"])),
        bare_ms=round(1e3 * middle(runs["bare"]).median, 2),
        threads=torch.get_num_threads(),
    )


def _three(of: Middle) -> tuple[float, float, float]:
    return round(of.median, 4), round(of.low, 4), round(of.high, 4)


def _short(joules: float) -> float:
    return float(f"{joules:.4g}")


def machine() -> str:
    """The processor's name."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {platform.machine()}"


def main() -> None:
    """Measure what is not in the row file yet, and put each row into the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("costs.jsonl"), help="a row for each method; goes on from it")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--studies", type=Path, default=Path(__file__).with_name("evidence.toml"))
    parser.add_argument("--only", default="", help="studies whose name holds one of these words, with commas between")
    parser.add_argument("--no-times", action="store_true", help="counts and estimates alone, on a busy machine")
    parser.add_argument("--threads", type=int, default=1, help="of training steps; single images get one")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    words = [word for word in args.only.split(",") if word]
    done = {row["study"] for row in read(args.out)}
    planned = {study.name: study for study in studies(args.studies, False)}
    with tempfile.TemporaryDirectory() as folder:
        for name in COSTED:
            if name in done or (words and not any(word in name for word in words)):
                continue
            began = time.monotonic()
            row = cost(planned[name], Path(folder), timed=not args.no_times)
            write(args.out, {"kind": "cost", **dataclasses.asdict(row)})
            results = loaded(args.results)
            results = dataclasses.replace(results, costs={**results.costs, name: row})
            args.results.write_text(results.json())
            print(f"{name}: {row.macs:,} MACs, training {row.training}, over bare {row.over_bare}, "
                  f"{time.monotonic() - began:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
