"""Trains and tests every method with the same budget, and writes what was found as a results file and a table.

For every backbone, data set and method: one run per learning rate of the grid, with the first seed; the rate with the
best validation accuracy (the smaller one where two are equal) is then run with all seeds, and those runs are tested,
clean and under noise. The grid, the epochs and the images are the same for all methods; the test split chooses
nothing. Stop it at any time: the same command goes on, and a results file can be extended by another command. The
figures of RESULTS.md come from evidence.py, which searches two rates and extends its grids.

    python examples/reproduce.py --weights deit_tiny_patch16_224=deit.safetensors --data eurosat=images/eurosat \
        --methods linear vpt-deep spike-nvpt lorsp --image-size 64 --limit 500 --epochs 5
    python examples/reproduce.py --table tables.md
"""

import argparse
import json
import os
import statistics
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import neuroprompt as npt

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "lspt-lif": ("lspt", {"memory": "lif"}),
    "lpf": ("lorsp", {"gate": "mean"}),
    "lorsp-small": ("lorsp", {"steps": 2, "rank": 2}),
    "lorsp-threshold": ("lorsp", {"threshold": 0.05}),
    "autovp-1.5": ("autovp", {"scale": 1.5}),
}
"""Rows of the table that are a method with settings of their own."""

NOISES = ("gaussian:0.05", "gaussian:0.1", "salt-pepper:0.01", "salt-pepper:0.05", "blur:1", "jpeg:50", "jpeg:25")


class Bars(npt.Progress):
    """Only what training says at the end of an epoch, on stderr."""

    def say(self, line: str) -> None:
        print(f"      {line}", file=sys.stderr, flush=True)


def config_of(args: argparse.Namespace, cell: dict[str, Any]) -> npt.RunConfig:
    """The training run of a cell."""
    method, settings = SETTINGS.get(cell["method"], (cell["method"], {}))
    spec = npt.BackboneSpec(cell["backbone"], args.weights[cell["backbone"]], args.image_size)
    budget = {"epochs": args.epochs, "batch": args.batch, "limit": args.limit}
    data = f"folder:{args.data[cell['data']]}"
    return npt.configure(
        method=method, settings=settings, backbone=spec, data=data, lr=cell["lr"], seed=cell["seed"], **budget
    )


def trained(args: argparse.Namespace, cell: dict[str, Any]) -> npt.Run:
    """The run of a cell: trained now, gone on with, or read back."""
    name = "-".join(str(cell[key]) for key in ("backbone", "data", "method", "lr", "seed"))
    size = f"{args.image_size}px-{args.limit}-{args.epochs}"
    print(f"   {name}", file=sys.stderr, flush=True)
    return npt.train(config_of(args, cell), args.out / size / name, Bars(), accelerator=args.device, precision="auto")


def row_of(args: argparse.Namespace, backbone: str, data: str, method: str) -> dict[str, Any]:
    """One row of the table: the chosen learning rate, and the figures of every seed."""
    cell = {"backbone": backbone, "data": data, "method": method}
    tried = {lr: trained(args, {**cell, "lr": lr, "seed": args.seeds[0]}).metrics for lr in args.lrs}
    lr = max(sorted(tried), key=lambda rate: tried[rate].val_accuracy or 0.0)
    runs = [trained(args, {**cell, "lr": lr, "seed": seed}) for seed in args.seeds]
    began = time.monotonic()
    tests = [npt.evaluate(run, args.noises, seed=run.config.seed) for run in runs]
    measured = runs[0].metrics
    return {
        **cell,
        "image_size": args.image_size,
        "limit": args.limit,
        "epochs": args.epochs,
        "lr": lr,
        "validation": {str(rate): metrics.val_accuracy for rate, metrics in tried.items()},
        "seeds": args.seeds,
        "images": tests[0].images,
        "clean": [test.clean for test in tests],
        "noise": {noise: [test.noise[noise] for test in tests] for noise in tests[0].noise},
        "prompt_parameters": measured.prompt_parameters,
        "head_parameters": measured.head_parameters,
        "images_per_second": measured.images_per_second,
        "device": measured.device,
        "test_seconds": round(time.monotonic() - began, 1),
    }


def key_of(row: dict[str, Any]) -> list[Any]:
    """What makes two rows the same experiment."""
    return [row[key] for key in ("backbone", "data", "method", "image_size", "limit", "epochs", "seeds")]


def save(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write all rows, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part")
    beside.write_text(json.dumps(rows, indent=1) + "\n")
    os.replace(beside, file)


def share(values: list[float]) -> str:
    """Mean and sample standard deviation in per cent."""
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, a table for every setting."""
    lines: list[str] = []
    settings = sorted({(r["backbone"], r["data"], r["image_size"], r["limit"], r["epochs"]) for r in rows})
    for backbone, data, size, limit, epochs in settings:
        mine = [
            r
            for r in rows
            if (r["backbone"], r["data"], r["image_size"], r["limit"], r["epochs"])
            == (backbone, data, size, limit, epochs)
        ]
        lines += [
            f"### {backbone} on {data}, {size} px, at most {limit} training images, {epochs} epochs",
            "",
            "| method | learned (prompt) | learning rate | seeds | clean | mean, noise | worst noise |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in sorted(mine, key=lambda r: -statistics.mean(r["clean"])):
            per_seed = [statistics.mean(values) for values in zip(*row["noise"].values(), strict=True)]
            worst = min(row["noise"], key=lambda noise: statistics.mean(row["noise"][noise]))
            lines.append(
                f"| {row['method']} | {row['prompt_parameters']:,} | {row['lr']:g} | {len(row['seeds'])} "
                f"| {share(row['clean'])} | {share(per_seed)} | {worst}: {share(row['noise'][worst])} |"
            )
        lines.append("")
    return "\n".join(lines)


def pairs(words: list[str]) -> dict[str, str]:
    """NAME=FILE as a mapping."""
    return dict(word.split("=", 1) for word in words)


def main() -> None:
    """Read the command line, run what is not in the results file yet, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", default=[], metavar="BACKBONE=FILE")
    parser.add_argument("--data", nargs="+", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--methods", nargs="+", default=["linear", "vpt-deep", "spike-nvpt", "lor-vp"])
    parser.add_argument("--lrs", nargs="+", type=float, default=[1e-3, 1e-2, 3e-2])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--noises", nargs="+", default=list(NOISES))
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--limit", type=int, default=1000, help="at most so many images a split")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce"))
    parser.add_argument("--results", type=Path, default=Path("runs/reproduce/results.json"))
    parser.add_argument("--table", type=Path, help="write the results file as Markdown")
    args = parser.parse_args()
    args.weights, args.data = pairs(args.weights), pairs(args.data)
    rows = json.loads(args.results.read_text()) if args.results.is_file() else []
    for backbone, data, method in product(args.weights, args.data, args.methods):
        wanted = [backbone, data, method, args.image_size, args.limit, args.epochs, args.seeds]
        if any(key_of(row) == wanted for row in rows):
            continue
        print(f"{backbone}, {data}, {method}", file=sys.stderr, flush=True)
        rows.append(row_of(args, backbone, data, method))
        save(args.results, rows)
    if args.table:
        args.table.write_text(table(rows))
    else:
        print(table(rows))


if __name__ == "__main__":
    main()
