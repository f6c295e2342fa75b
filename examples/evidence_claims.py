"""The claims that RESULTS.md judges, and the rule by which it does.

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

    def pairs(self) -> dict[str, tuple[str, str]]:
        """By data set the two studies that are compared."""
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


SPIKE_NVPT = "ViT-B/16, seven of VTAB-1k's sets (arXiv 2604.18284)"
MORE_SETS = "ViT-B/16 at 224 px on the paper's sets, with its noise levels"
OURS = "none; the question is ours"
LORSP = "ViT-B/32 at 224 px, all images (arXiv 2606.01945)"
ABLATION = "ViT-B/32 at 224 px (arXiv 2606.01945)"
BOTH = "other sets, a larger backbone, rates chosen by more seeds"
LSPT = "more than VPT with MAE and MoCo is claimed (arXiv 2402.17406)"
MAE = "backbones trained by MAE or MoCo"
PARAMETERS = "as many parameters on both sides: here 80,448 against 1,920"

CLAIMS = (
    Claim(
        "Spike-NVPT is no worse than VPT-deep on clean images",
        "spike-nvpt", "vpt-deep", "clean", f"equal or slightly better; {SPIKE_NVPT}", MORE_SETS, bound=NO_WORSE,
    ),
    Claim(
        "Spike-NVPT is above VPT-deep in the mean under noise",
        "spike-nvpt", "vpt-deep", "noise", f"+3.9 points; {SPIKE_NVPT}", MORE_SETS, size=3.9,
    ),
    Claim(
        "The largest gain of Spike-NVPT over VPT-deep under one noise",
        "spike-nvpt", "vpt-deep", "largest",
        f"+11.2 points at most, the set, the noise and the rival unknown to us; {SPIKE_NVPT}", MORE_SETS, size=11.2,
    ),
    Claim(
        "The neurons help: Spike-NVPT is above binary VPT on clean images",
        "spike-nvpt", "binary-vpt", "clean", OURS, "another surrogate, threshold or number of steps",
    ),
    Claim(
        "The neurons help: Spike-NVPT is above binary VPT in the mean under noise",
        "spike-nvpt", "binary-vpt", "noise", OURS, "another surrogate, threshold or number of steps",
    ),
    Claim(
        "The bits help: binary VPT, without neurons, is no worse than VPT-deep on clean images",
        "binary-vpt", "vpt-deep", "clean", OURS, "a larger backbone, other sets", bound=NO_WORSE,
    ),
    Claim(
        "The bits help: binary VPT, without neurons, is above VPT-deep in the mean under noise",
        "binary-vpt", "vpt-deep", "noise", OURS, "a larger backbone, other sets",
    ),
    Claim(
        "Signs help: bits of -1 and 1 are above VPT-deep in the mean under noise",
        "sign", "vpt-deep", "noise", OURS, "a larger backbone, other sets",
    ),
    Claim(
        "Signs help: bits of -1 and 1 are above bits of 0 and 1 in the mean under noise",
        "sign", "binary-vpt", "noise", OURS, "a larger backbone, other sets",
    ),
    Claim(
        "LoRSP is above LoR-VP on clean images",
        "lorsp", "lor-vp", "clean", f"+0.84 (EuroSAT) and +0.25 (CIFAR-10); {LORSP}", BOTH, size=0.84, groups=PIXELS,
    ),
    Claim(
        "LoRSP is above LoR-VP in the mean under noise",
        "lorsp", "lor-vp", "noise", "none", BOTH, groups=PIXELS,
    ),
    Claim(
        "LoRSP is above LoR-VP on images from elsewhere",
        "elsewhere/lorsp", "elsewhere/lor-vp", "ood",
        "+0.88, the mean over ImageNet-R, -Sketch, -A and -V2; ViT-B/32 at 224 px (arXiv 2606.01945)",
        "ImageNet and its four sets", size=0.88,
    ),
    Claim(
        "LoRSP is above a linear head on clean images",
        "lorsp", "linear", "clean", f"+1.42 (EuroSAT) and +1.26 (CIFAR-10); {LORSP}", BOTH, size=1.42, groups=PIXELS,
    ),
    Claim(
        "LoRSP is above a linear head in the mean under noise",
        "lorsp", "linear", "noise", "none", BOTH, groups=PIXELS,
    ),
    Claim(
        "The spikes help: LoRSP is above LoRSP without spikes (`lpf`) on clean images",
        "lorsp", "lpf", "clean", f"+0.69 (Tiny-ImageNet) and +0.64 (CIFAR-100); {ABLATION}", BOTH, size=0.64,
        groups=PIXELS,
    ),
    Claim(
        "The spikes help: LoRSP is above LoRSP without spikes (`lpf`) in the mean under noise",
        "lorsp", "lpf", "noise", "none", BOTH, groups=PIXELS,
    ),
    Claim(
        "Spikes are better than the largest factors (top-k) on clean images",
        "lorsp", "topk", "clean", f"+0.53 at least, Tiny-ImageNet; {ABLATION}", BOTH, size=0.53, groups=ABLATED,
    ),
    Claim(
        "Spikes are better than dropout of factors on clean images",
        "lorsp", "dropout", "clean", f"+0.49 at least, Tiny-ImageNet; {ABLATION}", BOTH, size=0.49, groups=ABLATED,
    ),
    Claim(
        "Leak and reset help: LoRSP is above a fixed threshold on its factors on clean images",
        "lorsp", "fixed", "clean", OURS, BOTH, groups=ABLATED,
    ),
    Claim(
        "Leak and reset help: LoRSP is above a fixed threshold on its factors in the mean under noise",
        "lorsp", "fixed", "noise", OURS, BOTH, groups=ABLATED,
    ),
    Claim(
        "LoR-VP is above a linear head on clean images",
        "lor-vp", "linear", "clean", f"+0.58 (EuroSAT) and +1.01 (CIFAR-10); {LORSP}", BOTH, size=0.58, groups=PIXELS,
    ),
    Claim(
        "LoR-VP is above a linear head in the mean under noise",
        "lor-vp", "linear", "noise", "none", BOTH, groups=PIXELS,
    ),
    Claim(
        "LoR-VP is above a converged logistic regression on clean images",
        "pixels/lor-vp", "eurosat/logistic", "clean", "none", BOTH,
    ),
    Claim(
        "A linear head, trained as the others are, is no worse than a converged logistic regression on clean images",
        "pixels/linear", "eurosat/logistic", "clean", OURS, "nothing likely; it checks the training", bound=NO_WORSE,
    ),
    Claim(
        "LSPT is above VPT-deep on clean images",
        "memory/lstm", "eurosat/vpt-deep", "clean", f"no figure known to us; {LSPT}", MAE,
    ),
    Claim(
        "LSPT is above VPT-deep in the mean under noise",
        "memory/lstm", "eurosat/vpt-deep", "noise", "none", MAE,
    ),
    Claim(
        "LSPT's memory helps on clean images",
        "memory/lstm", "memory/no-memory", "clean", f"no figure known to us; {LSPT}", PARAMETERS,
    ),
    Claim(
        "LSPT's memory helps in the mean under noise",
        "memory/lstm", "memory/no-memory", "noise", "none", PARAMETERS,
    ),
    Claim(
        "LSPT's spatial coding helps on clean images",
        "memory/lstm", "memory/no-coding", "clean", f"no figure known to us; {LSPT}", "other sets, a larger backbone",
    ),
    Claim(
        "LSPT's spatial coding helps in the mean under noise",
        "memory/lstm", "memory/no-coding", "noise", "none", "other sets, a larger backbone",
    ),
)  # fmt: skip

SETTINGS = tuple(
    Claim(f"{text} {on_text}", study, default, on, OURS, "other data sets, more seeds")
    for study, default, text in (
        ("spike/narrow", "eurosat/spike-nvpt", "A narrow start (currents in [0.4, 0.6] thresholds) helps Spike-NVPT"),
        (
            "spike/narrow-jitter", "eurosat/spike-nvpt",
            "A narrow start with noise in the currents (jitter 0.1) helps Spike-NVPT",
        ),
        ("spike/warm", "eurosat/spike-nvpt", "A start from trained VPT-deep prompts helps Spike-NVPT"),
        ("pixels/threshold", "pixels/lorsp", "A threshold of 0.05 helps LoRSP"),
    )
    for on, on_text in (("clean", "on clean images"), ("noise", "in the mean under noise"))
)  # fmt: skip
"""Would another setting be a better default? It becomes one if its interval on noise is above 0."""
