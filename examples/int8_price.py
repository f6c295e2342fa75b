"""What 8 bits cost: accuracies of int8 files beside 32 bits, and whether a binary prompt loses less than a dense one.

    python examples/int8_price.py table  OUT --backbone NAME=WEIGHTS ... --data SET ... [--image-size 224]
    python examples/int8_price.py paired OUT --backbone NAME=WEIGHTS --data SET --image-size 96 [--seeds 5]

`table` trains `linear` (or --method) on every backbone and data set, and measures the graph with 8-bit products, ranges
calibrated or dynamic, on all test images, and on those training images that --limit left out; and OpenVINO's bfloat16,
where it and the processor's instructions are there. `paired` trains the
prompts of --methods from the same seeds, and quantises the baked graph and the naive one, where the prompt's tokens
pass through the 8-bit products as well. A row is written into OUT as soon as it is measured; the same line again goes
on from there. Points lost have the 95 % interval of their mean over images, each right or wrong in both files.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import neuroprompt as npt
from neuroprompt.contracts.deployment import ImageTarget
from neuroprompt.errors import Unsupported
from neuroprompt.onnxgraph.deployable import Unbaked, deployed
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.quantise import quantise, quantise_dynamic
from neuroprompt.training.dataset import as_floats, batches, load_data, size_of

CALIBRATION = 64
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t for 95 %, by the number of differences."""
Z_95 = 1.96
"""The same of thousands of images."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("table", "paired"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", nargs="+", required=True, metavar="NAME[=WEIGHTS]")
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--method", default="linear")
    parser.add_argument("--methods", nargs="+", default=["vpt-deep", "binary-vpt", "spike-nvpt"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--images", type=int, help="measure on so many images at most, spread evenly")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--prompt-lr", type=float)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    (table if asked.what == "table" else paired)(asked)


def configured(asked: argparse.Namespace, backbone: str, data: str, method: str, seed: int = 0) -> npt.RunConfig:
    name, _, weights = backbone.partition("=")
    return npt.configure(
        method=method,
        data=data,
        backbone=npt.BackboneSpec(name, weights or None, asked.image_size),
        limit=asked.limit,
        epochs=asked.epochs,
        batch=asked.batch,
        lr=asked.lr,
        prompt_lr=asked.prompt_lr,
        weight_decay=asked.weight_decay,
        seed=seed,
        val="none",  # so that all that is measured is measured on test images
    )


def kept(file: Path, key: list[Any], measure: Any) -> Any:
    """The row of that key in `file`, measured and added where it is not there."""
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    for row in rows:
        if row["key"] == key:
            return row["row"]
    row = measure()
    with file.open("a") as lines:
        lines.write(json.dumps({"key": key, "row": row}) + "\n")
    return row


# --- accuracies ------------------------------------------------------------------------------------------------------


def table(asked: argparse.Namespace) -> None:
    print("| backbone | data | file | images | fp32 % | in 8 bits % | points lost (95 %) | same class % | MB (fp32) |")
    print("|---|---|---|---|---|---|---|---|---|")
    for backbone, data in product(asked.backbone, asked.data):
        name, size = backbone.partition("=")[0], asked.image_size
        config = configured(asked, backbone, data, asked.method)
        key = [name, data, asked.method, size, asked.limit, asked.epochs, asked.batch, asked.images]
        key += [asked.lr, asked.prompt_lr, asked.weight_decay]
        files = kept(
            asked.out / "table.jsonl", key, lambda config=config: in_eight_bits(asked.out, config, asked.images)
        )
        for bits, row in files.items():
            lost = f"{row['drop']:.2f} ± {row['half']:.2f}"
            accuracies = f"{row['fp32']:.1f} | {row['fp32'] - row['drop']:.1f} | {lost}"
            sizes = f"{row['bytes'] / 1e6:.1f} ({row['bytes_fp32'] / 1e6:.1f})"
            print(f"| {name} | {Path(data).name} | {bits} | {row['images']} | {accuracies} ", end="")
            print(f"| {100 - row['changed']:.1f} | {sizes} |", flush=True)


def in_eight_bits(out: Path, config: npt.RunConfig, images: int | None) -> dict[str, Any]:
    """What fewer bits cost one run, on all images that it was not trained on: int8, int8-dynamic, OpenVINO's bf16."""
    run = npt.train(config, out / f"{config.backbone.name}-{Path(config.data).name}-{config.digest()[:8]}")
    model = run.model.eval()
    tokens = model.prompt.tokens()
    with tempfile.TemporaryDirectory() as folder:
        whole, eight, dynamic = (Path(folder) / f"{name}.onnx" for name in ("fp32", "int8", "int8-dynamic"))
        to_onnx(deployed(model, None if tokens is None else tokens.detach()), model.backbone.site.image, whole)
        test, calibration = images_of(run, images)
        quantise(whole, eight, calibration, model.preprocess)
        with contextlib.suppress(Unsupported):
            quantise_dynamic(whole, dynamic, calibration, model.preprocess)
        rows = {file.stem: beside(model, test, whole, file) for file in (eight, dynamic) if file.is_file()}
        if ImageTarget.part("openvino").computes_in("bf16"):
            for name, file in (("bf16", whole), ("int8 and bf16", eight)):
                rows[f"OpenVINO, {name}"] = beside(model, test, whole, file, "openvino", precision="bf16")
        return rows


# --- prompts against prompts -----------------------------------------------------------------------------------------


def paired(asked: argparse.Namespace) -> None:
    (backbone,), (data,) = asked.backbone, asked.data
    rows: dict[str, list[dict[str, Any]]] = {method: [] for method in asked.methods}
    for seed, method in product(range(asked.seeds), asked.methods):
        config = configured(asked, backbone, data, method, seed)
        key = [method, seed, backbone.partition("=")[0], data, asked.image_size, asked.limit, asked.epochs, asked.batch]
        key += [asked.images, asked.lr, asked.prompt_lr, asked.weight_decay]
        row = kept(asked.out / "paired.jsonl", key, lambda config=config: losses(asked.out, config, asked.images))
        rows[method].append(row)
        print(method, f"seed {seed}", json.dumps(rows[method][-1]), flush=True)
    dense, *others = asked.methods
    print(f"\n| graph | measured | {dense} | " + " | ".join(f"{m} | {m} less {dense}" for m in others) + " |")
    print("|---|---|---|" + "---|---|" * len(others))
    measured = [*product(("baked", "naive"), NAMES), *product((PROMPT,), ("drop", "error"))]
    for graph, what in measured:
        cells = [of(rows[dense], graph, what)]
        columns = [f"{mean(cells[0]):.2f}"]
        for method in others:
            cells.append(of(rows[method], graph, what))
            columns += [f"{mean(cells[-1]):.2f}", interval([b - a for a, b in zip(cells[0], cells[-1], strict=True)])]
        print(f"| {graph} | {NAMES[what]} | " + " | ".join(columns) + " |")


PROMPT = "naive less baked"
"""What rounding the prompt costs: only the naive graph rounds it."""
NAMES = {
    "fp32": "accuracy in 32 bits, %",
    "drop": "points lost in int8",
    "changed": "images whose class changes, %",
    "error": "root mean square error of logits, % of their standard deviation",
}


def of(rows: list[dict[str, Any]], graph: str, what: str) -> list[float]:
    first, _, less = graph.partition(" less ")
    return [row[first][what] - (row[less][what] if less else 0.0) for row in rows]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def interval(differences: list[float]) -> str:
    """The mean of paired differences, and its 95 % interval by Student's t."""
    n, middle = len(differences), mean(differences)
    if n < 2:
        return f"{middle:+.2f}"
    deviation = math.sqrt(sum((d - middle) ** 2 for d in differences) / (n - 1))
    half = T_95[n] * deviation / math.sqrt(n)
    return f"{middle:+.2f} ({middle - half:+.2f} to {middle + half:+.2f})"


def losses(out: Path, config: npt.RunConfig, images: int | None) -> dict[str, Any]:
    """What int8 costs the baked and the naive graph of one run, on all images that it was not trained on."""
    run = npt.train(config, out / f"{config.method}-{config.seed}-{config.digest()[:8]}")
    model = run.model.eval()
    tokens = model.prompt.tokens()
    assert tokens is not None, f"{config.method} without static tokens"
    test, calibration = images_of(run, images)
    graphs = {"baked": deployed(model, tokens.detach()), "naive": Unbaked(model, tokens)}
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        for graph, module in graphs.items():
            whole, eight = (Path(folder) / f"{graph}{end}.onnx" for end in ("", ".int8"))
            to_onnx(module, model.backbone.site.image, whole)
            quantise(whole, eight, calibration, model.preprocess)
            measured[graph] = beside(model, test, whole, eight)
    return measured


def images_of(run: npt.Run, most: int | None = None) -> tuple[list[tuple[Tensor, int]], Any]:
    """Images that the run was not trained on, all or `most`, with labels, and normalised ones to calibrate on."""
    config, model = run.config, run.model.eval()
    whole = load_data(config.data, model.preprocess, config.seed, val=config.val)
    train = load_data(config.data, model.preprocess, config.seed, config.limit, val=config.val).train
    seen = {image.numpy().tobytes() for image, _ in each(train)}
    fresh = [(image, label) for image, label in each(whole.train) if image.numpy().tobytes() not in seen]
    size = size_of(train)
    chosen = [i * size // CALIBRATION for i in range(CALIBRATION)]
    calibration = [images for images, _ in inputs(model, train, chosen)]
    untrained = [*each(whole.test), *fresh]
    most = min(most or len(untrained), len(untrained))
    return [untrained[i * len(untrained) // most] for i in range(most)], torch.cat(calibration).numpy()


def each(images: Any) -> Iterator[tuple[Tensor, int]]:
    return (images[i] for i in range(size_of(images)))


def inputs(model: Any, images: Any, places: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
    with torch.no_grad():
        for raw, labels in batches(images, [places[i : i + 8] for i in range(0, len(places), 8)]):
            yield model.inputs(as_floats(raw)), labels


def beside(
    model: Any, images: Any, whole: Path, eight: Path, target: str = "onnxruntime", **more: Any
) -> dict[str, float]:
    """Both files on the same images, one thread each: the first in ONNX Runtime, the second in `target`."""
    runtimes = ImageTarget.named("onnxruntime", threads=1), ImageTarget.named(target, threads=1, **more)
    parts: list[list[Tensor]] = [[], [], []]
    for batch, labels in inputs(model, images, list(range(size_of(images)))):
        for part, runtime, file in zip(parts, runtimes, (whole, eight), strict=False):
            part.append(torch.from_numpy(runtime.logits(file, batch.numpy())).double())
        parts[2].append(labels)
    full, reduced_, right = (torch.cat(part) for part in parts)
    is_right, stays_right = (100 * (logits.argmax(1) == right).double() for logits in (full, reduced_))
    lost = is_right - stays_right
    return {
        "fp32": float(is_right.mean()),
        "drop": float(lost.mean()),
        "half": Z_95 * float(lost.std()) / math.sqrt(len(lost)),
        "images": len(right),
        "bytes": eight.stat().st_size,
        "bytes_fp32": whole.stat().st_size,
        "changed": 100 * float((full.argmax(1) != reduced_.argmax(1)).double().mean()),
        "error": 100 * float((full - reduced_).square().mean().sqrt() / full.std()),
    }


if __name__ == "__main__":
    main()
