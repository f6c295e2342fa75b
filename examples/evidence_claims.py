"""The claims that RESULTS.md judges; the rule is in evidence_rule.py."""

from __future__ import annotations

from evidence_rule import ABLATED, NO_WORSE, PIXELS, SETS, Claim

SPIKE_NVPT = "ViT-B/16, seven of VTAB-1k's sets (arXiv 2604.18284)"
MORE_SETS = "ViT-B/16 at 224 px on the paper's sets, with its noise levels"
OURS = "none; the question is ours"
LORSP = "ViT-B/32 at 224 px, all images (arXiv 2606.01945)"
ABLATION = "ViT-B/32 at 224 px (arXiv 2606.01945)"
BOTH = "other sets, a larger backbone, rates chosen by more seeds"
LSPT = "more than VPT with MAE and MoCo is claimed (arXiv 2402.17406)"
MAE = "backbones trained by MAE or MoCo"
RATES = "other sets: `rates-cifar10/sign`, `rates-caltech101/sign`"
ONE_DEVICE = "both on one device: on two sets the pair was trained on a CPU, the searched rates on a GPU"
LARGER = "a larger backbone, other sets"
SPIKING = "as many parameters on both sides: here 26,752 against 1,920"
PARAMETERS = "as many parameters on both sides: here 80,448 against 1,920"

AGAIN = "searched and trained again"
"""`sign`, bits of -1 and 1, is in the deep form the model of `binary-vpt`, bits of 0 and 1: LN(2 B - 1) = LN(B)."""

ON = (("clean", "on clean images"), ("noise", "in the mean under noise"))

SEARCHED = {name: (f"{key}/spike-nvpt", f"rates-{key}/spike-nvpt") for key, name in SETS.items()}
"""Spike-NVPT with rates of each set's own search, and with 0.01 for both."""
TWO = {
    "EuroSAT": ("eurosat/spike-nvpt", "rates-eurosat/spike-nvpt"),  # its search chose the pair
    "CIFAR-10": ("two-rates-cifar10/spike-nvpt", "rates-cifar10/spike-nvpt"),
    "Caltech-101": ("two-rates-caltech101/spike-nvpt", "rates-caltech101/spike-nvpt"),
}
"""Spike-NVPT with 0.03 for the prompt and 0.003 for the head, and with 0.01 for both."""
TWO_AND_SEARCHED = {name: (TWO[name][0], SEARCHED[name][0]) for name in ("CIFAR-10", "Caltech-101")}
TWO_AND_VPT = {name: (TWO[name][0], f"{key}/vpt-deep") for key, name in SETS.items()}
TWO_AND_BITS = {name: (TWO[name][0], f"{key}/sign") for key, name in SETS.items()}
"""The same, and Spike-NVPT, VPT-deep or binary VPT with rates of each set's own search."""

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
        f"The bits help, {AGAIN}: binary VPT is no worse than VPT-deep on clean images",
        "sign", "vpt-deep", "clean", OURS, "a larger backbone, other sets", bound=NO_WORSE,
    ),
    Claim(
        f"The bits help, {AGAIN}: binary VPT is above VPT-deep in the mean under noise",
        "sign", "vpt-deep", "noise", OURS, "a larger backbone, other sets",
    ),
    *(
        Claim(
            f"The neurons help, {AGAIN}: Spike-NVPT is above binary VPT {on_text}",
            "spike-nvpt", "sign", on, OURS, "another surrogate, threshold or number of steps",
        )
        for on, on_text in ON
    ),
    *(
        Claim(
            f"Control: bits of -1 and 1 are above bits of 0 and 1, the same model, {on_text}",
            "sign", "binary-vpt", on, OURS, "what differs is chance and the choice of rates alone",
        )
        for on, on_text in ON
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
        "Spikes are better than the largest factors (top-k) in the mean under noise",
        "lorsp", "topk", "noise", "none", BOTH, groups=ABLATED,
    ),
    Claim(
        "Spikes are better than dropout of factors on clean images",
        "lorsp", "dropout", "clean", f"+0.49 at least, Tiny-ImageNet; {ABLATION}", BOTH, size=0.49, groups=ABLATED,
    ),
    Claim(
        "Spikes are better than dropout of factors in the mean under noise",
        "lorsp", "dropout", "noise", "none", BOTH, groups=ABLATED,
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
        "On EfficientNet-Lite0 LoRSP is above a converged logistic regression on clean images",
        "lite/lorsp", "lite/logistic", "clean", OURS, "more seeds, images of 224 px",
    ),
    Claim(
        "On EfficientNet-Lite0 a linear head is no worse than a converged logistic regression on clean images",
        "lite/linear", "lite/logistic", "clean", OURS, "nothing likely; it checks the training", bound=NO_WORSE,
    ),
    Claim(
        "VPT-deep at 112 px is above a converged logistic regression at 224 px on clean images",
        "vpt-deep", "logistic-224", "clean", OURS, "both at 224 px: `large/`",
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
    Claim(
        "LSPT is above GateVPT (gates at 1/2 to begin with) on clean images",
        "memory/lstm", "memory/gates-open", "clean", f"no figure known to us; {LSPT}", MAE,
    ),
    Claim(
        "LSPT is above GateVPT (gates at 1/2 to begin with) in the mean under noise",
        "memory/lstm", "memory/gates-open", "noise", "none", MAE,
    ),
    Claim(
        "GateVPT gains from gates that begin at 1/2 and not nearly shut, on clean images",
        "memory/gates-open", "memory/gates-closed", "clean", OURS, "MAE or MoCo, where blocks differ more",
    ),
    Claim(
        "SPT is above VPT-deep on clean images",
        "memory/spt", "eurosat/vpt-deep", "clean",
        "67.2 against 36.0, VTAB-Natural, ViT-B/16 trained by MAE (arXiv 2402.02382)", MAE,
    ),
    Claim(
        "SPT is above VPT-deep in the mean under noise",
        "memory/spt", "eurosat/vpt-deep", "noise", "none", MAE,
    ),
    Claim(
        "LSPT is above SPT on clean images",
        "memory/lstm", "memory/spt", "clean", OURS, MAE,
    ),
    *(Claim(f"LSPT is above VAPT {on_text}", "memory/lstm", "memory/vapt", on, OURS, MAE) for on, on_text in ON),
    *(
        Claim(f"A memory of LIF neurons is no worse in LSPT than its LSTM {on_text}", "memory/lif", "memory/lstm", on,
              OURS, "other sets, a larger backbone", bound=NO_WORSE)
        for on, on_text in ON
    ),
    *(
        Claim(f"A memory of LIF neurons helps LSPT {on_text}", "memory/lif", "memory/no-memory", on, OURS, SPIKING)
        for on, on_text in ON
    ),
    *(
        Claim(f"Two rates, searched, help Spike-NVPT {on_text}: above 0.01 for both", "", "", on, OURS, LARGER,
              of=SEARCHED)
        for on, on_text in ON
    ),
    *(
        Claim(f"One pair for all sets, 0.03 and 0.003, helps Spike-NVPT {on_text}: above 0.01 for both", "", "", on,
              OURS, LARGER, of=TWO)
        for on, on_text in ON
    ),
    *(
        Claim(f"This one pair is above the pair that each set's search chose, for Spike-NVPT {on_text}", "", "",
              on, OURS, ONE_DEVICE, of=TWO_AND_SEARCHED)
        for on, on_text in ON
    ),
    Claim(
        "With this one pair Spike-NVPT is no worse than VPT-deep, whose rates were searched, on clean images",
        "", "", "clean", f"equal or slightly better; {SPIKE_NVPT}", ONE_DEVICE, bound=NO_WORSE, of=TWO_AND_VPT,
    ),
    Claim(
        "With this one pair Spike-NVPT is above VPT-deep, whose rates were searched, in the mean under noise",
        "", "", "noise", f"+3.9 points; {SPIKE_NVPT}", ONE_DEVICE, size=3.9, of=TWO_AND_VPT,
    ),
    *(
        Claim(f"With this one pair Spike-NVPT is above binary VPT, searched and trained again, {on_text}", "", "", on,
              OURS, f"the same pair for binary VPT; {ONE_DEVICE}", of=TWO_AND_BITS)
        for on, on_text in ON
    ),
    *(
        Claim(
            f"Two rates, searched, help binary VPT {on_text}: above 0.01 for both",
            "eurosat/sign", "rates-eurosat/sign", on, OURS, RATES,
        )
        for on, on_text in ON
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
        ("spike/jitter", "eurosat/spike-nvpt", "Noise in the currents (jitter 0.25) helps Spike-NVPT"),
        ("spike/warm", "eurosat/spike-nvpt", "A start from trained VPT-deep prompts helps Spike-NVPT"),
        ("pixels/threshold", "pixels/lorsp", "A threshold of 0.05 helps LoRSP"),
    )
    for on, on_text in ON
)  # fmt: skip
"""Would another setting be a better default? It becomes one if its interval on noise is above 0."""
