"""Time of an image: the baked graph beside the naive one, the bare backbone and PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuroprompt.benchmarks.latency_result import PRICES, LatencyBenchmark
from neuroprompt.energy.estimate import NOTE
from neuroprompt.energy.units import si
from neuroprompt.report._axes import plain_axes
from neuroprompt.report._parts import Plot, Section, Table, absent, slug
from neuroprompt.report._subject import Subject

LEAD = (
    "Milliseconds of one run on the machine that made this report, all forms in turn. Compare only ratios within one "
    "report. "
    "bare: timm's own graph without a prompt. naive: with the prompt as ordinary tokens. baked: what is deployed. "
    "lean: the bare backbone in the baked one's form. Fused: with ONNX Runtime's own attention. int8, int8_dynamic, "
    "fp16: the baked graph in fewer bits."
)
COLOURS = {
    "baked": "#0072B2",
    "baked_fused": "#004C7A",
    "naive": "#D55E00",
    "bare": "#009E73",
    "lean": "#56B4E9",
    "lean_fused": "#9AD4F5",
    "int8": "#CC79A7",
    "int8_dynamic": "#E69F00",
    "fp16": "#F0E442",
    "pytorch": "#999999",
}


def section(subjects: Sequence[Subject]) -> Section:
    """Bars for every subject with an ONNX bundle, and the ratios."""
    results = {s.name: s.measured.latency for s in subjects}
    timed = {name: result for name, result in results.items() if not isinstance(result, str)}
    chapter = Section("latency", "Latency", LEAD, [_bars(name, result) for name, result in timed.items()])
    chapter.parts += [_ratios(timed), *(_energy_delay(name, of) for name, of in timed.items())] if timed else []
    chapter.parts += absent({name: why for name, why in results.items() if isinstance(why, str)})
    return chapter


def _bars(name: str, timed: LatencyBenchmark) -> Plot:
    times = {form: timed.ms[form] for form in COLOURS if form in timed.ms}
    figure, axes = plain_axes(1.4 + 0.3 * len(times), grid="x")
    whiskers = [
        [max(0.0, ms.median - ms.low) for ms in times.values()],
        [max(0.0, ms.high - ms.median) for ms in times.values()],
    ]
    colours, medians = [COLOURS[form] for form in times], [ms.median for ms in times.values()]
    look = {"ecolor": "#777777", "capsize": 3}
    axes.barh(list(times), medians, xerr=whiskers, color=colours, height=0.65, error_kw=look)
    axes.invert_yaxis()
    axes.set_xlim(0)
    axes.set_xlabel(f"ms a run (batch {timed.batch}, {timed.threads} threads)")
    axes.set_title("Median; whiskers: the middle half", fontsize=11)
    rows = [(form, ms.median, ms.low, ms.high) for form, ms in times.items()]
    caption = f"{name}: time of a run in {timed.rounds} rounds; every round ran all forms."
    columns = ("graph", "ms median", "ms first quartile", "ms third quartile")
    return Plot(f"latency-{slug(name)}", figure, caption, columns, rows)


def _ratios(timed: Mapping[str, LatencyBenchmark]) -> Table:
    pairs = dict.fromkeys(pair for result in timed.values() for pair in result.ratio)  # not all have all forms
    rows: list[tuple[object, ...]] = [
        (pair.replace("_", " "), *(str(result.ratio.get(pair, "-")) for result in timed.values())) for pair in pairs
    ]
    differences = (f"{result.max_abs_diff:.1e}" for result in timed.values())
    rows.append(("largest difference, baked against PyTorch", *differences))
    return Table("Ratios of times, and the middle half", ("ratio", *timed), rows)


def _energy_delay(name: str, timed: LatencyBenchmark) -> Table:
    """Energy, time and their product of an image, of the network without a prompt (bare) and of every other form."""
    ours, bare = timed.energy_delay, timed.energy_delay["bare"]
    rows = [
        (
            form.replace("_", " "),
            si(timed.joules[form]),
            f"{timed.seconds(form) * 1e3:.3g} ms",
            f"{product:.3g} Js",
            f"{product / bare:.3f}",
            f"{timed.energy_delay_measured[form]:.3g} Js" if form in timed.measured else "-",
        )
        for form, product in ours.items()
    ]
    prices = f"{PRICES} for all forms (products of 8 bits at its price for those)"
    title = f"{name}: energy-delay product of an image; energy is {NOTE.lower()}, {prices}, time is measured"
    columns = ("graph", "energy (estimated)", "time", "energy-delay", "over bare", "with energy measured (RAPL)")
    return Table(title, columns, rows)
