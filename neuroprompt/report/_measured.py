"""What takes long to measure, kept beside the report so that the next one of the same files has it at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from neuroprompt.benchmarks.latency import bench_bundle
from neuroprompt.errors import BadSetting, NeuropromptError
from neuroprompt.files import write_whole
from neuroprompt.progress import Progress
from neuroprompt.report._subject import Subject
from neuroprompt.robustness.noise import parse_noises
from neuroprompt.simulators.verify import verify
from neuroprompt.training.evaluation import evaluate

MEASURED = "measured.json"
SKIPPED = "skipped"
LONG = ("accuracy", "latency", "verify")
"""What `skip` may name."""


class Kept:
    """Results by the digest of what they were measured on, in `file`."""

    def __init__(self, file: Path, fresh: bool = False) -> None:
        self.file = file
        self.values: dict[str, dict[str, Any]] = {}
        if not fresh and file.is_file():
            try:
                self.values = dict(json.loads(file.read_text()))
            except ValueError:
                self.values = {}  # it can be measured again

    def of(self, subject: Subject, what: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What is kept, or is measured now and kept at once: what stops later loses nothing."""
        results = self.values.setdefault(subject.digest, {})
        if what not in results:
            made = measure()
            if made.get("failed"):  # to be tried again
                return made
            results[what] = made
            write_whole(self.file, self.bytes())
        return dict(results[what])

    def bytes(self) -> bytes:
        """The file's content."""
        return (json.dumps(self.values, indent=1) + "\n").encode()


def measure_all(
    subjects: Sequence[Subject],
    kept: Kept,
    *,
    noises: Sequence[str],
    rounds: int,
    skip: Sequence[str],
    progress: Progress,
) -> None:
    """Fill `measured` of every subject: accuracy, latency, verify; a sentence where one could not be measured.

    What was skipped is shown all the same where it is kept from an earlier report.
    """
    wanted = [str(noise) for noise in parse_noises(noises)]
    for subject in subjects:
        progress.say(f"{subject.name}")
        for what, measure in (
            (f"accuracy {' '.join(wanted)}".strip(), lambda s=subject: _accuracy(s, wanted, progress)),
            (f"latency {rounds}", lambda s=subject: _latency(s, rounds, progress)),
            ("verify", lambda s=subject: _verified(s, progress)),
        ):
            name = what.partition(" ")[0]
            there = what in kept.values.get(subject.digest, {})
            if name in skip and not there:
                subject.measured[name] = f"left out by --skip {name}"
                continue
            try:
                subject.measured[name] = kept.of(subject, what, measure)
            except NeuropromptError as error:
                subject.measured[name] = str(error)


def check_skip(skip: Sequence[str]) -> None:
    """Raises BadSetting for what cannot be skipped."""
    for word in skip:
        if word not in LONG:
            raise BadSetting(f"--skip {word}", f"one of {', '.join(LONG)}")


def _accuracy(subject: Subject, noises: Sequence[str], progress: Progress) -> dict[str, Any]:
    return evaluate(subject.loaded, noises, progress=progress).json()


def _latency(subject: Subject, rounds: int, progress: Progress) -> dict[str, Any]:
    if subject.onnx is None:
        raise BadSetting("what is timed is an ONNX bundle of 'neuroprompt export', and none was given")
    return bench_bundle(subject.onnx, subject.weights, batch=1, rounds=rounds, progress=progress)


def _verified(subject: Subject, progress: Progress) -> dict[str, Any]:
    spiking = subject.spiking
    return verify(spiking.model, spiking.inputs, progress=progress).json()
