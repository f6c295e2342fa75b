"""The differences that evidence_report.md names in its text, as words."""

from __future__ import annotations

from evidence_claims import CLAIMS
from evidence_results import Results
from evidence_rule import findings

from neuroprompt.training.statistics import Interval

WORDS = {
    "neurons": ("The neurons help:", "noise", "all three"),
    "bits": ("The bits help:", "noise", "all three"),
    "spike": ("Spike-NVPT is above", "noise", "all three"),
    "lorsp_eurosat": ("LoRSP is above LoR-VP", "clean", "EuroSAT"),
    "lorsp_cifar": ("LoRSP is above LoR-VP", "clean", "CIFAR-10"),
    "lorsp_noise": ("LoRSP is above LoR-VP", "noise", "all three"),
    "spikes_noise": ("The spikes help", "noise", "all three"),
    "memory": ("LSPT's memory", "clean", "EuroSAT"),
    "coding": ("LSPT's spatial coding", "clean", "EuroSAT"),
    "lspt": ("LSPT is above VPT-deep", "clean", "EuroSAT"),
    "bits_clean": ("The bits help:", "clean", "all three"),
    "again": ("The bits help, searched", "noise", "all three"),
    "again_clean": ("The bits help, searched", "clean", "all three"),
    "neurons_again": ("The neurons help, searched", "noise", "all three"),
    "control": ("Control: bits", "noise", "all three"),
    "control_clean": ("Control: bits", "clean", "all three"),
    "topk_noise": ("Spikes are better than the largest", "noise", "both"),
    "dropout_noise": ("Spikes are better than dropout", "noise", "both"),
    "spt_clean": ("SPT is above VPT-deep", "clean", "EuroSAT"),
    "spt_noise": ("SPT is above VPT-deep", "noise", "EuroSAT"),
    "lspt_spt": ("LSPT is above SPT", "clean", "EuroSAT"),
    "lspt_gates": ("LSPT is above GateVPT", "clean", "EuroSAT"),
    "gates": ("GateVPT gains", "clean", "EuroSAT"),
    "lif": ("A memory of LIF neurons is no worse", "clean", "EuroSAT"),
    "lif_noise": ("A memory of LIF neurons is no worse", "noise", "EuroSAT"),
    "lif_helps": ("A memory of LIF neurons helps", "clean", "EuroSAT"),
    "rates_signs": ("Two rates, searched, help binary VPT", "clean", "EuroSAT"),
    "rates_signs_noise": ("Two rates, searched, help binary VPT", "noise", "EuroSAT"),
    "pair": ("One pair", "clean", "all three"),
    "pair_noise": ("One pair", "noise", "all three"),
    "pair_caltech": ("One pair", "clean", "Caltech-101"),
    "pair_searched": ("This one pair", "clean", "Caltech-101"),
    "pair_searched_noise": ("This one pair", "noise", "Caltech-101"),
    "pair_vpt": ("With this one pair Spike-NVPT is no worse than VPT", "clean", "all three"),
    "pair_vpt_noise": ("With this one pair Spike-NVPT is above VPT", "noise", "all three"),
    "pair_bits": ("With this one pair Spike-NVPT is above binary", "clean", "all three"),
    "pair_bits_noise": ("With this one pair Spike-NVPT is above binary", "noise", "all three"),
    "rates_caltech": ("Two rates, searched, help Spike-NVPT", "clean", "Caltech-101"),
    "rates_spike": ("Two rates, searched, help Spike-NVPT", "clean", "all three"),
    "rates_spike_noise": ("Two rates, searched, help Spike-NVPT", "noise", "all three"),
}
"""A name in evidence_report.md: the claim's first words, on what, and where."""
TURNED = ("neurons", "neurons_again")
"""Those that the text has as second minus first."""


def words(results: Results) -> dict[str, str]:
    """Mean and interval of each, in points."""
    return {name: points(_difference(results, name)) for name in WORDS}


def points(difference: Interval) -> str:
    """Mean and interval, in points."""
    return f"{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"


def _difference(results: Results, name: str) -> Interval:
    """The interval of the claim that begins so, at one place."""
    start, on, where = WORDS[name]
    claim = next(claim for claim in CLAIMS if claim.text.startswith(start) and claim.on == on)
    of = next(finding.difference for finding in findings(claim, results) if finding.where == where)
    return Interval(-of.mean, -of.high, -of.low, of.n, of.deviation) if name in TURNED else of
