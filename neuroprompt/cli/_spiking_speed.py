"""Prints what `bench --spiking` measured, a table for each question."""

from __future__ import annotations

from typing import Any

from neuroprompt.cli._output import TerminalProgress, emit, stdout_is_ours, table


def show(json: bool, **settings: int) -> None:
    """Measure with these settings of `bench_spiking`, and print."""
    from neuroprompt.benchmarks.spiking import bench_spiking

    with stdout_is_ours():
        result = bench_spiking(**settings, progress=TerminalProgress())
    whole = f"{result['layers']} x {result['width']} neurons, {result['steps']} steps"
    main = result["converter"]
    rows = [(name, f"{seconds:.3f}") for name, seconds in main["seconds"].items()]
    ratios = [(name.replace("_", " "), *_ratio(main, name)) for name in main["ratio"]]
    images = [
        (lanes, *(f"{1e3 * one['per_image'][k]:.2f}" if k in one["per_image"] else "-" for k in ("emulator", "lava")))
        for lanes, one in result["lanes"].items()
    ]
    grid = [
        (one["width"], one["depth"], *(f"{one['ms'][k]:.3f}" if k in one["ms"] else "-" for k in ("emulator", "lava")))
        for one in result["grid"].values()
    ]
    sparse = [
        (steps, f"{float(rate):.0%}", f"{one['ms'][rate]:.3f}", *_ratio(one, rate))
        for steps, one in result["sparse"].items()
        for rate in one["ms"]
    ]
    missing = [] if result["lava"] is None else [f"Lava is not timed, its runtime is not built: {result['lava']}"]
    emit(
        result,
        json,
        table(f"{whole}: seconds, median of {result['rounds']} rounds, equal spikes", ("run", "s"), rows),
        *([table("ratios within a round", ("ratio", "median", "middle half"), ratios)] if ratios else []),
        table("images in lanes: ms an image", ("lanes", "emulator", "lava"), images),
        table("ms a step as nets grow (start included)", ("width", "depth", "emulator", "lava"), grid),
        table("emulator: ms a step by rate", ("steps", "rate", "ms", "over 50 %", "middle half"), sparse),
        *missing,
    )


def _ratio(found: dict[str, Any], name: str) -> tuple[str, str]:
    low, high = found["quartiles"][name]
    return f"{found['ratio'][name]:.3f}", f"{low:.3f} to {high:.3f}"
