"""The figures of RESULTS.md: accuracy against noise, parameters and joules, and the paired differences of claims."""

from __future__ import annotations

import statistics
from pathlib import Path

from evidence_claims import CLAIMS, SETTINGS
from evidence_overview import COSTED
from evidence_results import Results, Run
from evidence_rule import CONFIRMED, CONTRADICTED, OPEN, SETS, findings
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neuroprompt.report.figures import LINES, new_figure, rendered
from neuroprompt.training.statistics import interval

TOKENS = {"vpt-deep": "VPT-deep", "spike-nvpt": "Spike-NVPT", "binary-vpt": "binary VPT", "sign": "binary VPT, again"}
ON_PIXELS = {"linear": "linear", "lor-vp": "LoR-VP", "lorsp": "LoRSP", "lpf": "LoRSP without spikes"}
KINDS = {"gaussian": "sigma", "salt-pepper": "probability", "blur": "sigma (px)", "jpeg": "quality"}
VERDICTS = {CONFIRMED: LINES[2], CONTRADICTED: LINES[1], OPEN: "#777777"}


def write(results: Results, folder: Path) -> None:
    """Write all figures as SVG."""
    tokens = {name: {f"{key}/{method}": label for method, label in TOKENS.items()} for key, name in SETS.items()}
    places = (("pixels", "EuroSAT"), ("elsewhere", "CIFAR-10"))
    pixels = {name: {f"{key}/{method}": label for method, label in ON_PIXELS.items()} for key, name in places}
    for name, figure in {
        "results-tokens": noises(results, tokens),
        "results-pixels": noises(results, pixels),
        "results-parameters": parameters(results),
        "results-joules": joules(results),
        "results-differences": differences(results),
    }.items():
        (folder / f"{name}.svg").write_bytes(rendered(figure, "svg"))


def noises(results: Results, rows: dict[str, dict[str, str]]) -> Figure:
    """A row of panels for each data set, a panel for each kind of noise: means, and bands of their 95 % intervals."""
    figure = new_figure(10, 0.6 + 2.2 * len(rows))
    panels = figure.subplots(len(rows), len(KINDS), sharey="row", squeeze=False)
    for (name, studies), row in zip(rows.items(), panels, strict=True):
        for kind, axes in zip(KINDS, row, strict=True):
            levels = [noise for noise in results.noises if noise.startswith(f"{kind}:")]
            for i, study in enumerate(studies):
                _band(axes, results.of(study), levels, LINES[i], studies[study])
            axes.set_xticks(range(len(levels) + 1), ["clean", *(level.partition(":")[2] for level in levels)])
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", color="#dddddd")
            axes.set_title(f"{name}, {kind}", fontsize=10)
            axes.set_xlabel(KINDS[kind], fontsize=9)
        row[0].set_ylabel("accuracy (%)", fontsize=9)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    return figure


def _band(axes: Axes, runs: list[Run], levels: list[str], colour: str, label: str) -> None:
    by_level = [[100 * run.clean for run in runs], *([100 * run.noise[level] for run in runs] for level in levels)]
    places = range(len(by_level))
    axes.plot(places, [statistics.fmean(shares) for shares in by_level], color=colour, label=label, linewidth=1.5)
    bands = [interval(shares) for shares in by_level]
    axes.fill_between(
        places, [band.low for band in bands], [band.high for band in bands], color=colour, alpha=0.18, linewidth=0
    )


def parameters(results: Results) -> Figure:
    """Clean and noisy accuracy on EuroSAT with DeiT-Tiny against the prompt's parameters: means with 95 % intervals."""
    figure = new_figure(10, 5)
    panels = figure.subplots(1, 2)
    studies = [
        study
        for name, study in results.studies.items()
        if name.partition("/")[0] in ("eurosat", "pixels", "memory")
        if len(results.of(name)) > 1
    ]
    for axes, title in zip(panels, ("clean images", "mean over the noises"), strict=True):
        for i, study in enumerate(studies):
            runs = results.of(study.name)
            of = interval([100 * (run.clean if title == "clean images" else run.noisy) for run in runs])
            place, mark = runs[0].prompt_parameters, "os^Dv<>P*X"[i % 10]
            colour = LINES[i % len(LINES)]
            half = of.high - of.mean
            axes.errorbar(place, of.mean, half, fmt=mark, color=colour, label=study.name, capsize=2)
        axes.set_xscale("symlog", linthresh=1000)
        axes.set_xlim(-200, 2e5)
        axes.set_xticks([0, 1e3, 1e4, 1e5], ["0", "1,000", "10,000", "100,000"])
        _label(axes, title, "learned numbers of the prompt")
    panels[0].set_ylabel("accuracy (%)", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def _label(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(below, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd")


def joules(results: Results) -> Figure:
    """Accuracy on EuroSAT against the estimated energy of an image: every tested study whose cost was counted."""
    figure = new_figure(10, 5)
    panels = figure.subplots(1, 2)
    tested = [(results.costs[name], runs) for name in COSTED if name in results.costs and (runs := results.of(name))]
    for axes, title in zip(panels, ("clean images", "mean over the noises"), strict=True):
        for i, (cost, runs) in enumerate(tested):
            if title != "clean images" and not runs[0].noise:
                continue
            shares = [100 * (run.clean if title == "clean images" else run.noisy) for run in runs]
            middle = statistics.fmean(shares)
            half = interval(shares).high - middle if len(shares) > 1 else 0.0
            spent = 1e3 * (cost.file_joules + (cost.neuron_joules or 0.0) * (cost.neurons_run == "each image"))
            axes.errorbar(
                spent, middle, half, fmt="os^Dv<>P*X"[i % 10], color=LINES[i % 7], label=cost.study, capsize=2
            )
        axes.set_xscale("log")
        axes.set_xlim(0.4, 8)
        axes.set_xticks([0.5, 1, 2, 5], ["0.5", "1", "2", "5"], minor=False)
        axes.set_xticks([], minor=True)
        _label(axes, title, "mJ an image (estimated, not measured)")
    panels[0].set_ylabel("accuracy (%)", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def differences(results: Results) -> Figure:
    """The interval of every finding, coloured by its verdict; the tick is the paper's size, where it gives one."""
    rows = [(claim, finding) for claim in (*CLAIMS, *SETTINGS) for finding in findings(claim, results)]
    figure = new_figure(10, 0.8 + 0.21 * (len(rows) + 0.6 * len(CLAIMS + SETTINGS)))
    axes = figure.subplots()
    place, labels, before = 0.0, {}, None
    for claim, finding in rows:
        place -= 1.0 if claim is before else 1.6
        title = "" if claim is before else claim.text.replace("`", "") + ": "
        labels[place], before = f"{title}{finding.where}{' ' * bool(finding.noise)}{finding.noise}", claim
        colour, difference = VERDICTS[finding.verdict], finding.difference
        axes.plot([difference.low, difference.high], [place, place], color=colour, linewidth=2)
        axes.plot([difference.mean], [place], "o", color=colour, markersize=4)
        if claim.size is not None:
            axes.plot([claim.size], [place], "|", color="black", markersize=8)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(list(labels), list(labels.values()), fontsize=7.5)
    axes.set_xlabel("difference in points of accuracy, with its interval")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.set_ylim(place - 1, 0)
    for text, colour in VERDICTS.items():
        axes.plot([], [], color=colour, linewidth=2, label=text)
    axes.plot([], [], "|", color="black", markersize=8, linestyle="none", label="the paper's size, in its own setting")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure
