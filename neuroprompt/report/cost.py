"""What a run does, as counts, and what that would cost at published prices, in three lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuroprompt.energy.comparison import PriceComparison
from neuroprompt.energy.energy import count, energy, energy_by_list
from neuroprompt.energy.estimate import NOTE
from neuroprompt.energy.lines import EnergyEstimate, Line, Total
from neuroprompt.energy.measured import MeasuredEnergy
from neuroprompt.energy.on_chip import OnChip
from neuroprompt.energy.tables import chip_lines, left_out, measured_line, not_priced, system
from neuroprompt.energy.units import si
from neuroprompt.errors import BadSetting, NeuropromptError
from neuroprompt.report import break_even, chip
from neuroprompt.report._axes import BLUE, GREEN, ORANGE, plain_axes, words
from neuroprompt.report._parts import Note, Plot, Section, Table, absent, slug
from neuroprompt.report._subject import Subject

LEAD = (
    f"{NOTE}: exact counts of one run of the spiking part and of one image through the backbone, times published "
    "prices. A baked prompt's generator runs once, at deployment."
)
COLOURS = {"generator": BLUE, "backbone": ORANGE, "total": GREEN}


def price(subject: Subject, prices: tuple[str, str]) -> EnergyEstimate:
    """The estimate of a subject with a bundle, at `prices` of generator and backbone.

    The backbone is counted from the ONNX file that is deployed, where it was given. Raises NeuropromptError.
    """
    if not subject.bundles:
        raise BadSetting("what is counted is a bundle of 'neuroprompt export', and none was given")
    if subject.neurons is None or subject.per_image:
        return energy(count(subject.bundles[-1]), *prices)
    return energy(count(subject.neurons, onnx=subject.baked), *prices)


def section(subjects: Sequence[Subject], beside: Sequence[str]) -> Section:
    """Counts and bars of every subject that could be priced, and at the lists `beside`; what the prices leave out."""
    estimates = {s.name: s.measured.energy for s in subjects}
    missing = {name: why for name, why in estimates.items() if isinstance(why, str)}
    priced = {name: estimate for name, estimate in estimates.items() if not isinstance(estimate, str)}
    compared: dict[str, PriceComparison] = {}
    for name, estimate in priced.items() if beside else ():
        assert estimate.counts is not None
        try:
            compared[name] = energy_by_list(estimate.counts, beside)
        except NeuropromptError as error:
            missing[name] = str(error)
    chapter = Section("energy", "Counts and energy", LEAD, [_bars(name, of) for name, of in priced.items()])
    chapter.parts += [_comparison(name, of) for name, of in compared.items()]
    rates = {name: of.counts.break_even for name, of in priced.items() if of.counts and of.counts.break_even}
    chapter.parts += [plot for name, rate in rates.items() if (plot := break_even.plot(name, rate))]
    chips = {name: of.counts.chip for name, of in priced.items() if of.counts and isinstance(of.counts.chip, OnChip)}
    chapter.parts += [chip.plot(name, placed) for name, placed in chips.items()]
    chapter.parts += [_counts(priced)] if priced else []
    notes = [*_notes(priced, compared), *(f"{name}: {rate.describe()}" for name, rate in rates.items())]
    notes += [f"{name}: {line}" for name, of in priced.items() if of.counts for line in _on_chip(of)]
    here = {s.name: s.measured.energy_here for s in subjects}
    notes += [f"{name}: {measured_line(of)}" for name, of in here.items() if isinstance(of, MeasuredEnergy)]
    notes += [line for of in priced.values() for line in left_out(of)]
    chapter.parts += [Note(f"{text}.") for text in dict.fromkeys(notes)]
    chapter.parts += absent(missing)
    return chapter


def _notes(priced: Mapping[str, EnergyEstimate], compared: Mapping[str, PriceComparison]) -> list[str]:
    notes = [f"{name}: {system(of)}" for name, of in priced.items() if system(of)]
    notes += [f"{name}: {line}" for name, of in priced.items() for line in not_priced(of)]
    return notes + [line for name, of in compared.items() for line in _refused(name, of)]


def _on_chip(estimate: EnergyEstimate) -> list[str]:
    return chip_lines(estimate.counts, estimate.generator.prices) if estimate.counts else []


def _refused(name: str, compared: PriceComparison) -> list[str]:
    """Which lists have no bar, a line for each part."""
    lines = []
    for part in compared.parts():
        lists = ", ".join(refused.prices for refused in compared.refused if refused.part == part)
        if lists:
            lines.append(f"{name}: no bar for the {part} at {lists}, which do not price everything that it counts")
    return lines


def _bars(name: str, estimate: EnergyEstimate) -> Plot:
    lines: list[tuple[str, str, Line | Total]] = [
        (part, line.prices.name, line) for part, line in estimate.parts().items()
    ]
    lines.append(("total", "", estimate.total))
    often = "runs once, at deployment" if estimate.baked else "runs for every image"
    of_generator = often if estimate.generator.joules else "is not part of this bundle"
    caption = f"{name}: {NOTE.lower()}. The generator {of_generator}, the backbone runs for every image."
    return _drawn(f"energy-{slug(name)}", caption, lines)


def _comparison(name: str, compared: PriceComparison) -> Plot:
    lines = [(part, line.prices.name, line) for part, lines in compared.parts().items() for line in lines]
    caption = f"{name}: {NOTE.lower()}. One run of the generator, and one image, at several price lists."
    return _drawn(f"prices-{slug(name)}", caption, lines)


def _drawn(name: str, caption: str, lines: Sequence[tuple[str, str, Line | Total]]) -> Plot:
    """A bar for every (part, price list, line), with the range of its prices as whiskers."""
    figure, axes = plain_axes(0.9 + 0.6 * len(lines), grid="x")
    rows: list[tuple[object, ...]] = []
    ends: list[float] = []
    for place, (part, prices, line) in enumerate(lines):
        joules = line.joules or 0.0
        low, high = line.range or (joules, joules)
        rows.append((part, prices, line.joules, low, high))
        if joules:
            ends += [low, high]
            whiskers = [[joules - low], [high - joules]] if high > low else None
            look = {"ecolor": "#777777", "capsize": 3}
            axes.barh(place, joules, height=0.6, xerr=whiskers, color=COLOURS[part], error_kw=look)
            axes.annotate(si(joules), (high, place), xytext=(7, 0), textcoords="offset points", va="center", fontsize=9)
        else:
            why = "none" if line.joules == 0 else "no sum: all-in and per term"
            axes.text(0.02, place, why, va="center", transform=axes.get_yaxis_transform())
    if ends:
        axes.set_xscale("log")
        axes.set_xlim(min(ends) / 10, max(ends) * 30)
    axes.set_yticks(range(len(lines)), [words(f"{part}\n{prices}".strip()) for part, prices, _ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlabel("joules a run (log)")
    axes.set_title(NOTE, fontsize=11)
    return Plot(name, figure, caption, ("part", "prices", "joules", "low", "high"), rows)


def _counts(priced: Mapping[str, EnergyEstimate]) -> Table:
    """Every term that something counts, with a column for every generator and backbone."""
    parts = {f"{name}: {part}": line for name, of in priced.items() for part, line in of.parts().items()}
    counted = {head: dict(line.activity.counted()) for head, line in parts.items()}
    heads = [head for head, counts in counted.items() if counts]
    terms = list(dict.fromkeys(term for head in heads for term in counted[head]))
    rows: list[tuple[object, ...]] = [
        (term.replace("_", " "), *(f"{counted[head].get(term, 0):,}" for head in heads)) for term in terms
    ]
    rows.append(("energy at deployment (estimated)", *(si(parts[head].joules_per_deployment) for head in heads)))
    rows.append(("energy an image (estimated)", *(si(parts[head].joules_per_image) for head in heads)))
    return Table("Counts of one run of the generator, and of one image", ("", *heads), rows)
