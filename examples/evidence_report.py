"""Writes RESULTS.md and its figures from the results file; the words around the tables are in evidence_report.md.

python examples/evidence_report.py            # RESULTS.md, docs/figures/results-*.svg
python examples/evidence_report.py --out PAGE.md --figures FOLDER
"""

from __future__ import annotations

import argparse
import statistics
import textwrap
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

from evidence_claims import CLAIMS, SETTINGS
from evidence_overview import HEAD, measured, rows, share
from evidence_results import RESULTS, Results, Run, Study, loaded
from evidence_rule import CONFIRMED, NO_WORSE, OPEN, Claim, Finding, findings
from evidence_words import points, words

HERE = Path(__file__).parent


def page(results: Results) -> str:
    """RESULTS.md's text."""
    tables = {
        "runs": len(results.runs),
        "short": table(("claim", "difference", "seeds", "verdict"), [_short(claim, results) for claim in CLAIMS]),
        "claims": "\n\n".join(section(claim, results) for claim in CLAIMS),
        "settings": table(("setting", "difference", "seeds", "verdict", "seeds needed"), _settings(results)),
        "methods": table(HEAD, rows(results)),
        "measured": measured(results),
        "rates": table(("study", "rates tried", "runs", "chosen", "validation", "at 0.01, 0.01"), _rates(results)),
        "overview": "\n\n".join(overview(results)),
        "machine": machine(results),
        "open": still_open(results),
    }
    return Template((HERE / "evidence_report.md").read_text()).substitute(words(results), **tables)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def item(text: str) -> str:
    """An item of a list, in lines of at most 125 characters."""
    return textwrap.fill(text, 125, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)


def judged(finding: Finding, claim: Claim) -> str:
    """The verdict, and for "not confirmed" which way it fails."""
    if finding.verdict == OPEN and finding.difference.low > claim.bound:
        return f"**{OPEN}** (the sign holds; the paper's size is above the interval)"
    return f"**{finding.verdict}**"


def needed(finding: Finding, claim: Claim) -> str:
    """The seeds that would settle the sign, where the interval holds the bound."""
    if finding.verdict != OPEN or finding.difference.low > claim.bound:
        return "-"
    seeds = finding.needed(claim.bound)
    return f"about {seeds}" if seeds else "over 1,000"


def _short(claim: Claim, results: Results) -> tuple[object, ...]:
    last = findings(claim, results)[-1]
    return claim.text, points(last.difference), last.difference.n, judged(last, claim)


def _settings(results: Results) -> Iterable[tuple[object, ...]]:
    for claim in SETTINGS:
        last = findings(claim, results)[-1]
        yield claim.text, points(last.difference), last.difference.n, last.verdict, needed(last, claim)


def section(claim: Claim, results: Results) -> str:
    """A claim with its findings, the paper's figure, the verdict, what would change it, and what it cost."""
    judgements = findings(claim, results)
    rows = [
        (
            f"{f.where}, {f.noise}" if f.noise else f.where,
            points(f.difference),
            f.difference.n,
            f.verdict,
            needed(f, claim),
        )
        for f in judgements
    ]
    names = dict.fromkeys(study for pair in claim.pairs().values() for study in pair)
    spent = [
        f"{runs} run{'s' * (runs != 1)}, {seconds:,.0f} s on {device}"
        for device, (runs, seconds) in cost(results, names).items()
    ]
    lines = [
        f"### {claim.text}",
        table(("data", "difference", "seeds", "verdict", "seeds needed"), rows),
        f"- Verdict: {judged(judgements[-1], claim)}." + margin(judgements[-1], claim),
        item(f"Published: {claim.paper}."),
        item(f"Would change it: {change(judgements[-1], claim)}{claim.change}."),
        f"- Behind it: {'; '.join(spent)}.",
    ]
    return "\n\n".join(lines[:2]) + "\n\n" + "\n".join(lines[2:])


def margin(finding: Finding, claim: Claim) -> str:
    """What the verdict of "no worse than" would be with a bound of 0."""
    if claim.bound != NO_WORSE or finding.verdict != CONFIRMED:
        return ""
    return (
        " With a bound of 0 it would be too." if finding.difference.low > 0 else " With a bound of 0 it would not be."
    )


def change(finding: Finding, claim: Claim) -> str:
    """More seeds, where they would, and to which verdict."""
    seeds = needed(finding, claim)
    way = "confirm its sign" if finding.difference.mean > claim.bound else "contradict it"
    return "" if seeds == "-" else f"{seeds} seeds would {way}, at this mean and spread; "


def cost(results: Results, names: Iterable[str]) -> dict[str, tuple[int, float]]:
    """By device the runs and seconds of studies, their searches among them."""
    costs: dict[str, tuple[int, float]] = {}
    for name in names:
        search = results.studies[name].search
        parts = [(run.device, 1, run.seconds) for run in results.of(name)]
        parts += [(search.device, search.runs, search.seconds)] if search else []
        for device, runs, seconds in parts:
            before = costs.get(device, (0, 0.0))
            costs[device] = (before[0] + runs, before[1] + seconds)
    return costs


def overview(results: Results) -> Iterable[str]:
    """A table for each data set, all tested studies in it."""
    head = (
        "study",
        "settings",
        "parameters",
        "rates",
        "seeds",
        "clean",
        "mean, noise",
        "lowest noise",
        "elsewhere",
        "ones",
    )
    order = planned()
    studies = sorted(results.studies.values(), key=lambda study: order.index(study.name))
    for data in dict.fromkeys(study.data for study in results.studies.values()):
        rows = [_row(study, runs) for study in studies if study.data == data and (runs := results.of(study.name))]
        if rows:
            yield f"### {data}\n\n{table(head, rows)}"


def planned() -> list[str]:
    """The names of all studies of evidence.toml, in its order."""
    groups = tomllib.loads((HERE / "evidence.toml").read_text())
    return [f"{group}/{name}" for group, of in groups.items() for name in of.get("studies", ())]


def _row(study: Study, runs: list[Run]) -> tuple[object, ...]:
    noisy = lowest = "-"
    if runs[0].noise:
        noise = min(runs[0].noise, key=lambda name: statistics.fmean(run.noise[name] for run in runs))
        noisy = share([run.noisy for run in runs])
        lowest = f"{noise} {share([run.noise[noise] for run in runs])}"
    settings = ", ".join(f"{key} {value}" for key, value in study.settings.items()) or "defaults"
    settings += f", from VPT-deep at {study.warm[0]:g}, {study.warm[1]:g}" if study.warm else ""
    rates = [f"{rate:g}" for rate in (runs[0].lr_prompt, runs[0].lr_head) if rate is not None]
    rates += [f"C {runs[0].c:g}"] if runs[0].c else []
    elsewhere = [run.ood for run in runs if run.ood is not None]
    densities = [run.density for run in runs if run.density]
    ones = f"{100 * statistics.fmean(densities):.0f} %" if densities else "-"
    return (
        study.name, settings, f"{runs[0].prompt_parameters:,}", ", ".join(rates), len(runs),
        share([run.clean for run in runs]), noisy, lowest, share(elsewhere) if elsewhere else "-", ones,
    )  # fmt: skip


def _rates(results: Results) -> Iterable[tuple[object, ...]]:
    """Of every study with a prompt whose rates were searched: the chosen pair, and the product's default beside it."""
    for name in planned():
        runs = results.of(name)
        search = results.studies[name].search if runs else None
        if search is None or runs[0].lr_prompt is None:
            continue
        tried = f"{_ends(search.prompt_rates)}; {_ends(search.head_rates)}"
        default = "-" if search.at_default is None else f"{100 * search.at_default:.2f}"
        chosen = f"{runs[0].lr_prompt:g}, {runs[0].lr_head:g}"
        yield name, tried, search.runs, chosen, f"{100 * search.best:.2f}", default


def _ends(rates: Sequence[float]) -> str:
    return f"{rates[0]:g} to {rates[-1]:g}"


def machine(results: Results) -> str:
    """Runs and seconds by device and group of studies."""
    rows: list[tuple[object, ...]] = []
    for group in dict.fromkeys(name.partition("/")[0] for name in results.studies):
        names = [name for name in results.studies if name.startswith(f"{group}/")]
        rows += [(f"`{group}/`", *_cost(*of)) for of in cost(results, names).items()]
    rows += [("all", *_cost(*of)) for of in cost(results, results.studies).items()]
    return table(("studies", "runs", "seconds", "device"), rows)


def _cost(device: str, spent: tuple[int, float]) -> tuple[object, ...]:
    return spent[0], f"{spent[1]:,.0f}", device


def still_open(results: Results) -> str:
    """Studies that were searched and not tested, and those that are planned and were not begun."""
    tested = {run.study for run in results.runs}
    left = {
        "**Searched, not tested** (no result)": [name for name in results.studies if name not in tested],
        "**Planned in `examples/evidence.toml`, not begun**": [
            name for name in planned() if name not in results.studies
        ],
    }
    return "\n".join(
        item(f"{what}: " + ", ".join(f"`{name}`" for name in names) + ".") for what, names in left.items() if names
    )


def main() -> None:
    """Write the page and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=HERE.parent / "RESULTS.md")
    parser.add_argument("--figures", type=Path, default=HERE.parent / "docs" / "figures")
    args = parser.parse_args()
    results = loaded(args.results)
    args.out.write_text(page(results))
    from evidence_figures import write  # matplotlib, which the page does not need

    write(results, args.figures)


if __name__ == "__main__":
    main()
