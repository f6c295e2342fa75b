"""The rule by which RESULTS.md judges a claim.

A claim says that one method is above another, on clean images or in the mean over the noises. The difference is taken
seed by seed, and its interval is the 95 % t-interval over the seeds, in points of accuracy.

The rule, the same for every claim. The claim's bound is 0 for "above", and -1 point for "no worse than".

- confirmed here: the whole interval is above the bound, and the size that the paper claims, if it gives one, is not
  above the interval.
- contradicted here: the whole interval is below the bound.
- not confirmed here: everything else. Either the interval holds the bound, so that more seeds are needed, or the sign
  is as claimed and the claimed size is above the interval: a smaller gain in another setting contradicts no paper.

A claim about several data sets is judged by the interval of the mean over the sets, seed by seed; each set is judged
too. The largest gain under a single noise is picked out of all sets and noises after looking, so its interval is
widened for as many comparisons (Bonferroni). Nothing is corrected for the number of claims: of twenty intervals of
95 %, one misses on average.

What was fixed when. Before any interval was computed: that the whole interval must be beyond the bound, and the claimed
size in it or below it. Afterwards: that a size above the interval is "not confirmed" and not "contradicted", the bound
of "no worse than", and the widening for the largest gain.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from evidence_results import Results, Run

from neuroprompt.training.statistics import Interval, interval, paired, runs_to_resolve

CONFIRMED, CONTRADICTED, OPEN = "confirmed here", "contradicted here", "not confirmed here"
SETS = {"eurosat": "EuroSAT", "cifar10": "CIFAR-10", "caltech101": "Caltech-101"}
"""Where prompt tokens are compared: groups of studies, and their data."""
PIXELS = {"pixels": "EuroSAT", "elsewhere": "CIFAR-10", "lite": "EuroSAT, EfficientNet-Lite0"}
"""Where prompts on pixels are compared."""
ABLATED = {key: PIXELS[key] for key in ("pixels", "lite")}
TOGETHER = {2: "both", 3: "all three"}
ELSEWHERE = "CIFAR-10, tested on Caltech-101"
NO_WORSE = -1.0
"""The bound of "no worse than": the least difference, in points, that we would still call equal."""


@dataclass(frozen=True)
class Claim:
    """`first` is above `second` (or no worse), by `size` points if the paper says so: studies, or names in each group.

    `of`: by data set the two studies, where their names do not follow from the groups.
    `on` is "clean", "noise" (the mean over all), "largest" (of the single noises) or "ood" (images from elsewhere).
    `paper` is the published figure with its setting, `change` what would change the verdict beside more seeds.
    """

    text: str
    first: str
    second: str
    on: str
    paper: str
    change: str
    bound: float = 0.0
    size: float | None = None
    groups: Mapping[str, str] = field(default_factory=lambda: SETS)
    of: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def pairs(self) -> dict[str, tuple[str, str]]:
        """By data set the two studies that are compared."""
        if self.of:
            return dict(self.of)
        if "/" in self.first:
            return {ELSEWHERE if self.on == "ood" else "EuroSAT": (self.first, self.second)}
        return {name: (f"{key}/{self.first}", f"{key}/{self.second}") for key, name in self.groups.items()}


@dataclass(frozen=True)
class Finding:
    """A claim on one data set or on all: its interval in points, and what follows; `noise`: the one that was picked."""

    where: str
    difference: Interval
    verdict: str
    noise: str = ""

    def needed(self, bound: float) -> int | None:
        """The seeds at which the interval would no longer hold the bound, at the same mean and deviation."""
        return runs_to_resolve(self.difference.mean - bound, self.difference.deviation, self.difference.level)


def verdict(difference: Interval, bound: float = 0.0, size: float | None = None) -> str:
    """The rule above."""
    if difference.high < bound:
        return CONTRADICTED
    if difference.low > bound and (size is None or size <= difference.high):
        return CONFIRMED
    return OPEN


def findings(claim: Claim, results: Results) -> list[Finding]:
    """A finding for each data set; the last is the one that judges the claim."""
    if claim.on == "largest":
        return _largest(claim, results)
    measure = {"clean": _clean, "noise": _noisy, "ood": _elsewhere}[claim.on]
    judged, by_seed = [], []
    for name, (first, second) in claim.pairs().items():
        a, b = (values(results, study, measure) for study in (first, second))
        if results.of(second)[0].c is not None:  # a logistic regression has one solution, and no seeds
            b = dict.fromkeys(a, next(iter(b.values())))
        difference = paired(a, b)
        by_seed.append({seed: a[seed] - b[seed] for seed in a if seed in b})
        judged.append(Finding(name, difference, verdict(difference, claim.bound, claim.size)))
    if len(by_seed) > 1:
        seeds = set.intersection(*(set(one_set) for one_set in by_seed))
        together = interval([statistics.fmean(one_set[seed] for one_set in by_seed) for seed in sorted(seeds)])
        judged.append(Finding(TOGETHER[len(by_seed)], together, verdict(together, claim.bound, claim.size)))
    return judged


def _clean(run: Run) -> float:
    return 100 * run.clean


def _noisy(run: Run) -> float:
    return 100 * run.noisy


def _elsewhere(run: Run) -> float:
    assert run.ood is not None
    return 100 * run.ood


def values(results: Results, study: str, measure: Callable[[Run], float]) -> dict[int, float]:
    """A figure of every run of a study, by seed."""
    return {run.seed: measure(run) for run in results.of(study)}


def _largest(claim: Claim, results: Results) -> list[Finding]:
    """Each set's noise with the largest mean difference, the largest of all last; intervals widened for the choice."""
    level = 1 - 0.05 / (len(results.noises) * len(claim.pairs()))
    judged = []
    for where, (first, second) in claim.pairs().items():
        by_noise = {}
        for noise in results.noises:
            measure = partial(_under, noise)
            by_noise[noise] = paired(values(results, first, measure), values(results, second, measure), level)
        noise = max(by_noise, key=lambda name: by_noise[name].mean)
        difference = by_noise[noise]
        judged.append(Finding(where, difference, verdict(difference, claim.bound, claim.size), noise))
    return sorted(judged, key=lambda finding: finding.difference.mean)


def _under(noise: str, run: Run) -> float:
    return 100 * run.noise[noise]
