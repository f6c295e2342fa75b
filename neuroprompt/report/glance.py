"""The report's first table: what everyone asks first, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from neuroprompt.energy.units import si
from neuroprompt.errors import NeuropromptError
from neuroprompt.report._parts import Section, Table
from neuroprompt.report._subject import Measured, Subject

LEAD = "Each figure has its own chapter below; a hyphen means that it was not measured or not given."


def section(subjects: Sequence[Subject]) -> Section:
    """One column for every subject."""
    columns = [_column(subject) for subject in subjects]
    rows = [(key, *(column[key] for column in columns)) for key in columns[0]]
    return Section("glance", "At a glance", LEAD, [Table("", ("", *(s.name for s in subjects)), rows)])


def _column(subject: Subject) -> dict[str, str]:
    config, metrics, measured = subject.config, subject.metrics, subject.measured
    parity = subject.about.get("parity", {})
    return {
        "backbone": config.backbone.name + (" (random weights)" if config.backbone.random else ""),
        "data": config.data,
        "prompt parameters": f"{metrics.prompt_parameters:,}" if metrics else "-",
        "validation accuracy": _share(metrics.val_accuracy if metrics else None),
        **_accuracy(measured),
        **_spikes(subject),
        "ONNX against PyTorch, largest difference": f"{parity['max_abs_diff']:.1e}" if parity else "-",
        **_latency(measured),
        **_energy(measured),
    }


def _accuracy(measured: Measured) -> dict[str, str]:
    accuracy = None if isinstance(measured.accuracy, str) else measured.accuracy
    noise = list(accuracy.noise.values()) if accuracy else []
    return {
        "test accuracy": _share(accuracy.clean if accuracy else None),
        "mean under noise": _share(sum(noise) / len(noise) if noise else None),
    }


def _spikes(subject: Subject) -> dict[str, str]:
    verified = subject.measured.verification
    integers = None if isinstance(verified, str) else verified.targets.get("loihi-fixed")
    try:
        recording = subject.spiking.fixed or subject.spiking.floats
    except NeuropromptError:
        return dict.fromkeys(("neurons", "spikes", "integers matching float"), "-")
    neurons = sum(spikes.shape[1] for spikes in recording.spikes.values())
    return {
        "neurons": f"{neurons:,}",
        "spikes": f"{sum(int(spikes.sum()) for spikes in recording.spikes.values()):,}",
        "integers matching float": "-" if integers is None else f"{integers.spike_exact:.4%}",
    }


def _latency(measured: Measured) -> dict[str, str]:
    latency = None if isinstance(measured.latency, str) else measured.latency
    pairs = {f"time, {form} over bare": f"{form}_over_bare" for form in ("baked", "naive")}
    return {row: f"{latency.ratio[pair].median:.3f}" if latency else "-" for row, pair in pairs.items()}


def _energy(measured: Measured) -> dict[str, str]:
    energy = None if isinstance(measured.energy, str) else measured.energy
    return {
        "energy of the generator, a run (estimated)": si(energy.generator.joules if energy else None),
        "energy of the backbone, an image (estimated)": si(energy.backbone.joules if energy else None),
    }


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
