"""What a run does, as counts, and what that would cost at published prices, in three lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuroprompt.energy.comparison import compare_prices
from neuroprompt.energy.count_bundle import activities
from neuroprompt.energy.estimate import NOTE, energy, si
from neuroprompt.energy.tables import left_out, not_priced, system
from neuroprompt.energy.toml_prices import price_list, price_lists
from neuroprompt.errors import NeuropromptError
from neuroprompt.report._axes import BLUE, GREEN, ORANGE, plain_axes, words
from neuroprompt.report._parts import Note, Plot, Section, Table, absent, slug
from neuroprompt.report._subject import Subject
from neuroprompt.spiking.activity import Activity

LEAD = (
    f"{NOTE}: exact counts of one run of the spiking part and of one image through the backbone, times published "
    "prices. A baked prompt's generator runs once, at deployment."
)
PARTS = {"generator": BLUE, "backbone": ORANGE, "total": GREEN}


def section(subjects: Sequence[Subject], prices: tuple[str, str], beside: Sequence[str]) -> Section:
    """Counts and bars of every subject with a bundle, at `prices` of generator and backbone, and at the lists `beside`.

    What the prices leave out stands below. Raises UnknownName, BadSetting.
    """
    made = Section("energy", "Counts and energy", LEAD)
    pair, others = (price_list(prices[0]), price_list(prices[1])), price_lists(beside)
    priced: dict[str, dict[str, Any]] = {}
    compared: list[Plot | Table] = []
    missing, refused = {}, []
    for subject in subjects:
        if subject.bundle is None:
            missing[subject.name] = "what is counted is a bundle of 'neuroprompt export', and none was given"
            continue
        try:
            generator, backbone = _activities(subject)
            baked = not subject.bundle.about.get("per_image", False)
            priced[subject.name] = energy(generator, backbone, *pair, baked=baked)
            if others:
                found = compare_prices(generator, backbone, others, baked=baked)
                compared.append(_comparison(subject.name, found))
                refused += _refused(subject.name, found)
        except NeuropromptError as error:
            missing[subject.name] = str(error)
        subject.measured["energy"] = priced.get(subject.name)
    made.parts += [_bars(name, of) for name, of in priced.items()]
    made.parts += compared
    made.parts += [_counts(priced)] if priced else []
    notes = [f"{name}: {system(of)}" for name, of in priced.items() if system(of)]
    notes += [f"{name}: {line}" for name, of in priced.items() for line in not_priced(of)]
    notes += [*refused, *(line for of in priced.values() for line in left_out(of))]
    made.parts += [Note(f"{text}.") for text in dict.fromkeys(notes)]
    made.parts += absent(missing)
    return made


def _refused(name: str, found: dict[str, Any]) -> list[str]:
    """Which lists have no bar, a line for each part."""
    lines = []
    for part in ("generator", "backbone"):
        lists = ", ".join(one["prices"] for one in found["refused"] if one["part"] == part)
        if lists:
            lines.append(f"{name}: no bar for the {part} at {lists}, which do not price all that it counts")
    return lines


def _activities(subject: Subject) -> tuple[Activity, Activity]:
    """The backbone's from the ONNX file that is deployed, where it was given."""
    assert subject.bundle is not None
    generator, backbone = activities(subject.bundle)
    if subject.onnx is not None and not subject.about.get("per_image"):
        backbone = activities(subject.onnx)[1]
    return generator, backbone


def _bars(name: str, priced: dict[str, Any]) -> Plot:
    lines = [(part, f"{part}\n{priced[part].get('prices', '')}".strip(), priced[part]) for part in PARTS]
    often = "runs once, at deployment" if priced["baked"] else "runs for every image"
    of_generator = often if priced["generator"]["joules"] else "is no part of this bundle"
    caption = f"{name}: {NOTE.lower()}. The generator {of_generator}, the backbone runs for every image."
    return _drawn(f"energy-{slug(name)}", caption, lines)


def _comparison(name: str, found: dict[str, Any]) -> Plot:
    lines = [(part, f"{part}\n{line['prices']}", line) for part in ("generator", "backbone") for line in found[part]]
    caption = f"{name}: {NOTE.lower()}. One run of the generator, and one image, at several price lists."
    return _drawn(f"prices-{slug(name)}", caption, lines)


def _drawn(name: str, caption: str, lines: Sequence[tuple[str, str, dict[str, Any]]]) -> Plot:
    """A bar for every line of an estimate, with the range of its prices as whiskers."""
    figure, axes = plain_axes(0.9 + 0.6 * len(lines), grid="x")
    rows: list[tuple[object, ...]] = []
    for place, (part, _, line) in enumerate(lines):
        joules = line["joules"] or 0.0
        low, high = line["range"] or (joules, joules)
        rows.append((part, line.get("prices", ""), line["joules"], low, high))
        if joules:
            whiskers = [[joules - low], [high - joules]] if high > low else None
            look: dict[str, Any] = {"color": PARTS[part], "error_kw": {"ecolor": "#777777", "capsize": 3}}
            axes.barh(place, joules, height=0.6, xerr=whiskers, **look)
            beside: dict[str, Any] = {"xytext": (7, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
            axes.annotate(si(joules), (high, place), **beside)
        else:
            why = "none" if line["joules"] == 0 else "no sum: all-in and per term"
            axes.text(0.02, place, why, va="center", transform=axes.get_yaxis_transform())
    ends = [end for _, _, line in lines if line["joules"] for end in line["range"]]
    if ends:
        axes.set_xscale("log")
        axes.set_xlim(min(ends) / 10, max(ends) * 30)
    axes.set_yticks(range(len(lines)), [words(label) for _, label, _ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xlabel("joules a run (log)")
    axes.set_title(NOTE, fontsize=11)
    return Plot(name, figure, caption, ("part", "prices", "joules", "low", "high"), rows)


def _counts(priced: dict[str, dict[str, Any]]) -> Table:
    """Every term that something counts, with a column for every generator and backbone."""
    lines = {f"{name}: {part}": of[part] for name, of in priced.items() for part in ("generator", "backbone")}
    lines = {head: line for head, line in lines.items() if any(line["counts"].values())}
    terms = list(dict.fromkeys(term for line in lines.values() for term, count in line["counts"].items() if count))
    rows: list[tuple[object, ...]] = [
        (term.replace("_", " "), *(f"{line['counts'][term]:,}" for line in lines.values())) for term in terms
    ]
    for key, often in (("joules_per_deployment", "energy at deployment"), ("joules_per_image", "energy an image")):
        rows.append((f"{often} (estimated)", *(si(line[key]) for line in lines.values())))
    return Table("Counts of one run of the generator, and of one image", ("", *lines), rows)
