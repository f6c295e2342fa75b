"""Prints what `bench --spiking` measured, a table for each question."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from neuroprompt.benchmarks.batched import Batched
from neuroprompt.benchmarks.rounds import Middle
from neuroprompt.benchmarks.spiking_result import SpikingBenchmark
from neuroprompt.cli._output import emit, table

RUNS = ("emulator", "lava")


def show(result: SpikingBenchmark, json: bool) -> None:
    """Print all tables."""
    nets = f"{result.layers} x {result.width} neurons, {result.steps} steps"
    seconds = [(name, f"{value:.3f}") for name, value in result.converter.seconds.items()]
    ratios = [(name.replace("_", " "), *_cells(ratio)) for name, ratio in result.converter.ratio.items()]
    images = [(n, *_milliseconds(result.per_image(n), 1e3, 2)) for n in result.lanes]
    grid = [(net.width, net.depth, *_milliseconds(net.ms, 1.0, 3)) for net in result.grid]
    sparse = [
        (steps, f"{float(rate):.0%}", f"{ms:.3f}", *_cells(of.ratio[rate]))
        for steps, of in result.sparse.items()
        for rate, ms in of.ms.items()
    ]
    emit(
        result.json(),
        json,
        table(f"{nets}: seconds, median of {result.rounds} rounds, equal spikes", ("run", "s"), seconds),
        *([table("ratios within a round", ("ratio", "median", "middle half"), ratios)] if ratios else []),
        *_again(result, nets),
        table("images in one batch: ms an image", ("batch", *RUNS), images),
        table("ms a step as nets grow (start included)", ("width", "depth", *RUNS), grid),
        _items(result.batch),
        *_rivals(result),
        _items(result.cnn),
        table("emulator: ms a step by rate", ("steps", "rate", "ms", "over 50 %", "middle half"), sparse),
        *([] if result.lava is None else [f"Lava is not timed, its runtime is not built: {result.lava}"]),
    )


def _again(result: SpikingBenchmark, nets: str) -> list[Table]:
    """Lava's first and second run of a program, where it was timed."""
    layers = "-".join(map(str, result.batch.sizes))
    timed = {nets: result.again, f"{layers}, {result.batch.steps} steps": result.again_mlp}
    rows = [
        (net, name, f"{seconds:.3f}", *(_cells(next(iter(of.ratio.values()))) if name == "second" else ("", "")))
        for net, of in timed.items()
        if of is not None
        for name, seconds in of.seconds.items()
    ]
    columns = ("net", "run", "s", "over the first", "middle half")
    return [table("Lava, runs of one program", columns, rows)] if rows else []


def _rivals(result: SpikingBenchmark) -> list[Table | str]:
    """Other simulators, and those that are not timed with the reason."""
    rows = [
        (name, rival.precision, f"{rival.items_per_second:,.0f}", *_cells(rival.batched_over_it))
        for name, rival in result.rivals.items()
        if rival.items_per_second is not None and rival.batched_over_it is not None
    ]
    layers = "-".join(map(str, result.batch.sizes))
    title = f"other simulators on LIF layers {layers}, equal spikes, without their start"
    columns = ("simulator", "precision", "items/s", "our batch over it", "middle half")
    missing = [f"{name} is not timed: {rival.why_not}" for name, rival in result.rivals.items() if rival.why_not]
    return [*([table(title, columns, rows)] if rows else []), *missing]


def _items(batch: Batched) -> Table:
    """Items a second of one net."""
    rows = []
    for name, speed in batch.items_per_second.items():
        over = batch.ratio.get(f"batched_over_{name}")
        rows.append((name.replace("_", " "), f"{speed:,.0f}", *(("", "") if over is None else _cells(over))))
    layers = "-".join(map(str, batch.sizes))
    title = f"emulator, a data set through {layers} neurons, {batch.steps} steps, {batch.rate:.0%} of lines fire"
    return table(title, ("run", "items/s", "batched over it", "middle half"), rows)


def _milliseconds(values: Mapping[str, float], factor: float, digits: int) -> tuple[str, ...]:
    return tuple(f"{factor * values[run]:.{digits}f}" if run in values else "-" for run in RUNS)


def _cells(ratio: Middle) -> tuple[str, str]:
    return f"{ratio.median:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}"
