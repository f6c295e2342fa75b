"""Accuracy of the integers against float on thousands of fresh items: the paired difference and its interval.

python examples/fidelity_accuracy.py [NET ...] [--blocks 10]

The nets of fidelity_table.py that have more items than it shows: events and touches are drawn anew, and the spikes of
the held-out digits too (the images stay the same 450). A difference is right minus right, item by item, in points; its
interval is the 95 % t-interval over the items.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from fidelity_nets import NETS, digits, events, touches
from fidelity_table import fitted
from numpy.typing import NDArray
from torch import Tensor

from neuroprompt.compiler.lower import lower
from neuroprompt.contracts.wide import Wide
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.spiking.program import Program
from neuroprompt.training.statistics import interval

ITEMS, FIRST = 600, 1000
"""Items of a block, and a number that is no seed of those that a net was trained or tested on."""


def _spikes(block: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(FIRST + block)
    return digits(16, as_spikes=True)[2:]


FRESH: dict[str, Callable[[int], tuple[Tensor, Tensor]]] = {
    "dense": _spikes,
    "convolution": lambda block: events(FIRST + block),
    "sinabs": lambda block: events(FIRST + block),
    "recurrent": lambda block: touches(ITEMS, FIRST + block),
}


def right(program: Program, items: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Of items (B, T, n) those whose label is the output that fires most."""
    last = list(simulate(program, items).values())[-1].spikes
    return np.asarray(last.sum(axis=1).argmax(axis=1) == labels)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", nargs="*", metavar="NET", help=f"of {', '.join(FRESH)}; default: all")
    parser.add_argument("--blocks", type=int, default=10)
    words = parser.parse_args()
    torch.set_num_threads(1)
    print("| net | items | float | auto | difference, points |\n|---|---|---|---|---|", flush=True)
    for name in words.nets or FRESH:
        torch.manual_seed(0)
        net = NETS[name]()
        integers = fitted(net, Wide())[0].fixed_program
        floats = lower(net.graph, integers.steps)
        parts = []
        for block in range(words.blocks):
            inputs, labels = FRESH[name](block)
            items = inputs.transpose(0, 1).flatten(2).double().numpy()
            parts.append(np.stack([right(program, items, labels.numpy()) for program in (floats, integers)]))
        shares = np.concatenate(parts, axis=1)
        apart = interval((100.0 * (shares[1].astype(float) - shares[0])).tolist())
        of = " | ".join(f"{100 * share:.2f} %" for share in shares.mean(axis=1))
        print(f"| {net.what} | {shares.shape[1]:,} | {of} | {apart.mean:+.2f} [{apart.low:+.2f}, {apart.high:+.2f}] |")


if __name__ == "__main__":
    main()
