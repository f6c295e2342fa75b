"""The report's first table: what everyone asks first, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuroprompt.energy.estimate import si
from neuroprompt.errors import NeuropromptError
from neuroprompt.report._parts import Section, Table
from neuroprompt.report._subject import Subject

LEAD = "Each figure has its own chapter below; a hyphen stands for what was not measured or not given."


def section(subjects: Sequence[Subject]) -> Section:
    """One column for every subject."""
    columns = [_column(subject) for subject in subjects]
    rows = [(key, *(column[key] for column in columns)) for key in columns[0]]
    return Section("glance", "At a glance", LEAD, [Table("", ("", *(s.name for s in subjects)), rows)])


def _column(subject: Subject) -> dict[str, str]:
    config, metrics, about = subject.config, subject.metrics, subject.about
    accuracy, latency = (_found(subject, what) for what in ("accuracy", "latency"))
    spent, noise = _found(subject, "energy"), accuracy.get("noise", {})
    parity = about.get("parity", {})
    return {
        "backbone": config.backbone.name + (" (random weights)" if config.backbone.random else ""),
        "data": config.data,
        "prompt parameters": f"{metrics['prompt_parameters']:,}" if "prompt_parameters" in metrics else "-",
        "validation accuracy": _share(metrics.get("val_accuracy")),
        "test accuracy": _share(accuracy.get("clean")),
        "mean under noise": _share(sum(noise.values()) / len(noise) if noise else None),
        **_spikes(subject),
        "ONNX against PyTorch, largest difference": f"{parity['max_abs_diff']:.1e}" if parity else "-",
        "time, baked over bare": f"{latency['ratio']['baked_over_bare']:.3f}" if latency else "-",
        "time, naive over bare": f"{latency['ratio']['naive_over_bare']:.3f}" if latency else "-",
        "energy of the generator, a run (estimated)": si(spent["generator"]["joules"]) if spent else "-",
        "energy of the backbone, an image (estimated)": si(spent["backbone"]["joules"]) if spent else "-",
    }


def _spikes(subject: Subject) -> dict[str, str]:
    verified = _found(subject, "verify")
    fixed = verified.get("targets", {}).get("loihi-fixed", {})
    try:
        recording = subject.spiking.fixed or subject.spiking.floats
    except NeuropromptError:
        return {"neurons": "-", "spikes": "-", "integers as float": "-"}
    neurons = sum(spikes.shape[1] for spikes in recording.spikes.values())
    return {
        "neurons": f"{neurons:,}",
        "spikes": f"{sum(int(spikes.sum()) for spikes in recording.spikes.values()):,}",
        "integers as float": f"{fixed['spike_exact']:.4%}" if fixed else "-",
    }


def _found(subject: Subject, what: str) -> dict[str, Any]:
    value = subject.measured.get(what)
    return value if isinstance(value, dict) else {}


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
