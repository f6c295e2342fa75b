"""How near nets of five kinds are to float as integers: 8 bits, wide weights, other converters, limits lifted.

python examples/fidelity_table.py [NET ...] [--out fidelity.json]     (all nets: 15 minutes at low priority)
python examples/fidelity_table.py --show examples/fidelity.json       (the two tables of rows that are there)

For each net, trained here, on held-out inputs: the Jaccard index of every layer's spikes with float's, the accuracy,
the synapses spent and the processor seconds of the compile. Each row is saved as it is made: the same command goes on
where it stopped. Nets are trained again, the same from the same seed; delete the file to begin anew.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fidelity_limits import LIMITS, Lifted
from fidelity_nets import NETS, Net
from fidelity_peers import PEERS, CannotTake
from fidelity_prompts import PROMPTS

from neuroprompt.compiler.compile import tuned_model
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.place import place
from neuroprompt.compiler.quantise import quantise
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import NeuropromptError
from neuroprompt.files import json_of, write_whole
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.spiking.program import SpikingModel

FEW, SOME = 40, 150
"""Held-out items for nengo-loihi's emulator, a spike at a time in Python, and for the chip with a limit lifted."""
ROUNDS, TUNED = 20, "auto, tuned"
LIFTED, NONE, BOTH = "auto without the limit of ", "none", "weights and decays"


@dataclass(frozen=True)
class Row:
    """A net in one way: Jaccard by layer, accuracy (0..1), synapses, seconds, cells clipped and wrapped; or why not."""

    net: str
    way: str
    jaccard: tuple[float, ...] = ()
    accuracy: float | None = None
    items: int = 0
    synapses: int | None = None
    seconds: float | None = None
    clipped: int | None = None
    wrapped: int | None = None
    why_not: str = ""


Spikes = dict[str, Any]


def jaccard(ours: Spikes, theirs: Spikes) -> tuple[float, ...]:
    """Of every layer, spikes in both of those in either; 1 where neither has any."""
    pairs = [(ours[name], theirs[name]) for name in ours]
    return tuple(float((a & b).sum() / either) if (either := (a | b).sum()) else 1.0 for a, b in pairs)


def accuracy(spikes: Spikes, labels: Any) -> float:
    """The share of items (B, T, n) whose label is the output that fires most."""
    last = list(spikes.values())[-1]
    return float((last.sum(axis=1).argmax(axis=1) == labels[: len(last)]).mean())


def fitted(net: Net, wide: Wide | None) -> tuple[SpikingModel, float]:
    """The integers of a net, and the processor seconds of the search: never those of an equal one before."""
    runs, steps, lines = net.fitted_on.shape
    begun = time.process_time()
    program = lower(net.graph, runs * steps)
    fixed, report = quantise(program, net.fitted_on.reshape(-1, lines), wide=wide, runs=runs)
    seconds = time.process_time() - begun
    floats, fixed = (replace(each, steps=steps) for each in (program, fixed))
    return SpikingModel(net.graph, floats, fixed, report), seconds


def tuned(net: Net) -> tuple[SpikingModel, float]:
    """The integers of auto, taught by the float net on three quarters of the same items; and the seconds of both."""
    begun = time.process_time()
    model = tuned_model(net.graph, net.fitted_on, Tuning(ROUNDS), wide=Wide())
    return model, time.process_time() - begun


def chip_row(net: Net, way: str, wanted: Spikes, model: SpikingModel, seconds: float) -> Row:
    """A row of integers, as the chip runs them."""
    traces = simulate(model.fixed_program, net.held_out)
    clipped, wrapped = (sum(int(np.sum(getattr(t, key))) for t in traces.values()) for key in ("clipped", "wrapped"))
    chip = row(net, way, wanted, {name: trace.spikes for name, trace in traces.items()})
    synapses = place(model.fixed_program)["synapses"]
    return replace(chip, synapses=synapses, seconds=seconds, clipped=clipped, wrapped=wrapped)


def cells_of(net: Net) -> dict[str, Callable[[], Row]]:
    """Every way of a net, and what makes its row; the float net first."""
    floats = lower(net.graph, net.held_out.shape[1])
    wanted = {name: trace.spikes for name, trace in simulate(floats, net.held_out).items()}
    auto = cache(lambda: fitted(net, Wide()))

    def chip(way: str, find: Callable[[], tuple[SpikingModel, float]]) -> Row:
        try:
            return chip_row(net, way, wanted, *find())
        except NeuropromptError as why:
            return Row(net.what, way, why_not=str(why))

    def peer(name: str) -> Row:
        items = FEW if name == "nengo-loihi" else len(net.held_out)
        try:
            return row(net, name, wanted, PEERS[name](floats, net.held_out[:items]))
        except CannotTake as why:
            return Row(net.what, name, why_not=f"does not take {why}")

    def lifted(limit: str) -> Row:
        lifts = set(limit.split(" and ")) - {NONE}
        return row(net, f"{LIFTED}{limit}", wanted, Lifted(auto()[0], lifts).run(net.held_out[:SOME]))

    return {
        "float": lambda: row(net, "float", wanted, wanted),
        "8 bits": lambda: chip("8 bits", lambda: fitted(net, None)),
        "auto": lambda: chip("auto", auto),
        TUNED: lambda: chip(TUNED, lambda: tuned(net)),
        **{name: partial(peer, name) for name in PEERS},
        **{f"{LIFTED}{limit}": partial(lifted, limit) for limit in (NONE, *LIMITS, BOTH)},
    }


def complete(what: str, cells: Mapping[str, Callable[[], Row]], out: Path) -> list[Row]:
    """The rows of a net in `out`, those that are missing made first, and saved one by one.

    Rows of another training of the net, whose float row is another one, are made again.
    """
    first = cells["float"]()
    if first not in load(out):
        save([each for each in load(out) if each.net != what], out)
    for way, cell in cells.items():
        rows = load(out)
        if not any((each.net, each.way) == (what, way) for each in rows):
            new = first if way == "float" else cell()
            own = [*(each for each in rows if each.net == what), new]
            own.sort(key=lambda each: list(cells).index(each.way))
            at = next((i for i, each in enumerate(rows) if each.net == what), len(rows))
            others = [each for each in rows if each.net != what]
            save([*others[:at], *own, *others[at:]], out)
            print(f"{what}: {way}", flush=True)
    return [each for each in load(out) if each.net == what]


def row(net: Net, way: str, wanted: Spikes, spikes: Spikes) -> Row:
    """A row of spikes (B, T, n) by layer, compared with float's of the same items."""
    items = len(next(iter(spikes.values())))
    same = {name: fired[:items] for name, fired in wanted.items()}
    return Row(net.what, way, jaccard(same, spikes), accuracy(spikes, net.labels), items)


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown, without those of lifted limits."""
    shown = [each for each in rows if not each.way.startswith(LIFTED)]
    head = ["| net | way | Jaccard index by layer | accuracy | synapses | compile |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(cells(each))} |" for each in shown)])


def cells(each: Row) -> tuple[str, ...]:
    """A row of `table`."""
    some = f" ({each.items} items)" if each.way == "nengo-loihi" else ""
    return (
        each.net if each.way == "float" else "",
        each.way,
        each.why_not or ("1" if each.way == "float" else numbers(each.jaccard)),
        "" if each.accuracy is None else f"{each.accuracy:.2%}{some}",
        "" if each.synapses is None else f"{each.synapses:,}",
        "" if each.seconds is None else f"{each.seconds:.1f} s",
    )


def limits_table(rows: Sequence[Row]) -> str:
    """The Jaccard index of every net's layers with one limit of the chip lifted at a time, a column a net."""
    nets = list(dict.fromkeys(each.net for each in rows if each.way.startswith(LIFTED)))
    by = {(each.net, each.way): numbers(each.jaccard) for each in rows}
    lines = ["| lifted | " + " | ".join(nets) + " |", "|---" * (len(nets) + 1) + "|"]
    whats = {LIFTED + limit: what for limit, what in ({NONE: NONE} | LIMITS | {BOTH: BOTH}).items()}
    lines += [f"| {what} | " + " | ".join(by.get((net, way), "") for net in nets) + " |" for way, what in whats.items()]
    return "\n".join(lines)


def numbers(values: Sequence[float]) -> str:
    """Rounded to four places, without the 0 in front."""
    return " ".join("1" if value == 1 else f"{value:.4f}".removeprefix("0") for value in values)


def load(file: Path) -> list[Row]:
    """Rows as `save` left them; none where there is no file."""
    if not file.exists():
        return []
    return [Row(**each | {"jaccard": tuple(each["jaccard"])}) for each in json_of(file.read_text())]


def save(rows: list[Row], file: Path) -> None:
    """Write the rows, whole."""
    write_whole(file, (json.dumps([asdict(each) for each in rows], indent=1) + "\n").encode())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", metavar="NET", help=f"of {', '.join([*NETS, *PROMPTS])}; default: all")
    parser.add_argument("--out", type=Path, default=Path("fidelity.json"))
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the tables of its rows, and run nothing")
    words = parser.parse_args()
    if words.show:
        print(table(load(words.show)), limits_table(load(words.show)), sep="\n\n")
        return
    torch.set_num_threads(1)
    begun = time.monotonic()
    for name in words.nets or [*NETS, *PROMPTS]:
        torch.manual_seed(0)
        if name in NETS:
            net = NETS[name]()
            print(table(complete(net.what, cells_of(net), words.out)), flush=True)
            continue
        rows = {each["way"]: Row(**each) for each in PROMPTS[name]()}
        cells: dict[str, Callable[[], Row]] = {way: partial(rows.__getitem__, way) for way in rows}
        print(table(complete(rows["float"].net, cells, words.out)), flush=True)
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
