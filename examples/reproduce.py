"""Trains and tests every method with the same budget on several backbones and data sets: a sweep from Python.

For every backbone, data set and method: one run per learning rate of the grid, with the first seed; the rate with the
best validation accuracy (the first where two are equal) is then run with all seeds, and those runs are tested, clean
and under noise. The grid, the epochs and the images are the same for all methods; the test split chooses nothing. Stop
it at any time: the same command goes on, and more methods or rates are added to what is there. The figures of
RESULTS.md come from evidence.py, which searches two rates and extends its grids.

    python examples/reproduce.py --weights deit_tiny_patch16_224=deit.safetensors --data eurosat=images/eurosat \
        --methods linear vpt-deep spike-nvpt lorsp --image-size 64 --limit 500 --epochs 5
"""

import argparse
import sys
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


class Lines(npt.Progress):
    """What a sweep says as it goes on, on stderr."""

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def points(args: argparse.Namespace) -> list[npt.Point]:
    """Every backbone, data set, method and learning rate."""
    grid = []
    for (backbone, weights), (data, folder), row, lr in product(args.weights, args.data, args.methods, args.lrs):
        method, settings = SETTINGS.get(row, (row, {}))
        config = npt.configure(
            method=method,
            settings=settings,
            backbone=npt.BackboneSpec(backbone, weights, args.image_size),
            data=f"folder:{folder}",
            lr=lr,
            **{"epochs": args.epochs, "batch": args.batch, "limit": args.limit},
        )
        grid.append(npt.Point({"backbone": backbone, "data": data, "method": row, "lr": f"{lr:g}"}, config))
    return grid


def pair(word: str) -> tuple[str, str]:
    """NAME=FILE."""
    name, _, file = word.partition("=")
    return name, file


def main() -> None:
    """Read the command line, run what is not there yet, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="+", type=pair, default=[], metavar="BACKBONE=FILE")
    parser.add_argument("--data", nargs="+", type=pair, default=[], metavar="NAME=FOLDER")
    parser.add_argument("--methods", nargs="+", default=["linear", "vpt-deep", "spike-nvpt", "lor-vp"])
    parser.add_argument("--lrs", nargs="+", type=float, default=[1e-3, 1e-2, 3e-2])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--noises", nargs="+", default=list(NOISES))
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--limit", type=int, default=1000, help="at most so many images a split")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--engine", default="local")
    parser.add_argument("--at-once", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("sweeps/reproduce"))
    args = parser.parse_args()
    npt.sweep(
        points(args),
        args.out,
        seeds=args.seeds,
        search_seeds=1,
        noises=args.noises,
        launch=("--device", args.device, "--precision", "auto"),
        engine=args.engine,
        resources=npt.Resources(threads=args.threads, at_once=args.at_once),
        progress=Lines(),
    )
    print((args.out / "table.md").read_text())


if __name__ == "__main__":
    main()
