"""What takes long to measure, kept beside the report so that the next one of the same files has it at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from neuroprompt.benchmarks.latency_result import LatencyBenchmark
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.energy.measured import MeasuredEnergy
from neuroprompt.energy.measured import measured as measured_energy
from neuroprompt.errors import BadSetting, NeuropromptError
from neuroprompt.extras import need
from neuroprompt.files import json_of, write_whole
from neuroprompt.progress import Progress
from neuroprompt.report._decode import decode
from neuroprompt.report._subject import Measured, Subject
from neuroprompt.simulators.verify import Verification, verify
from neuroprompt.training.accuracy import Accuracy

MEASURED = "measured.json"
LONG = ("accuracy", "latency", "verify", "measure")
"""What `skip` may name."""
Known = Mapping[Path | str, Sequence[Accuracy | LatencyBenchmark | Verification]]
"""Results that the caller has already, by the run folder or bundle that they are of."""


class Result(Protocol):
    """What can be kept."""

    def json(self) -> Mapping[str, object]:
        """The result as JSON-able values."""


T = TypeVar("T", bound=Result)


class Kept:
    """Results by the digest of what they were measured on, in `file`."""

    def __init__(self, file: Path, fresh: bool = False) -> None:
        self.file = file
        self.values: dict[str, dict[str, Any]] = {}
        if not fresh and file.is_file():
            with suppress(ValueError):  # it can be measured again
                self.values = _kept_in(json_of(file.read_bytes()))

    def get(self, subject: Subject, key: str, kind: type[T]) -> T | None:
        """What is kept of a subject; None where nothing is that can be read."""
        try:
            return decode(kind, self.values[subject.digest][key])
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
            return None

    def put(self, subject: Subject, key: str, result: Result) -> None:
        """Keep a result, and write it at once: what stops later loses nothing."""
        if isinstance(result, Verification) and result.failed:
            return  # to be tried again
        if isinstance(result, MeasuredEnergy) and not result.files:
            return  # another machine may have counters
        self.values.setdefault(subject.digest, {})[key] = dict(result.json())
        write_whole(self.file, self.bytes())

    def bytes(self) -> bytes:
        """The file's content."""
        return (json.dumps(self.values, indent=1) + "\n").encode()


@dataclass(frozen=True)
class Measuring:
    """How a report measures: under which noises, in how many rounds of the timing, and what it leaves out.

    `targets` are what a verification runs on; None for all at hand.
    """

    kept: Kept
    noises: Sequence[str]
    rounds: int
    skip: Sequence[str]
    progress: Progress
    targets: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for word in self.skip:
            if word not in LONG:
                raise BadSetting(f"--skip {word}", f"one of {', '.join(LONG)}")
        for name in self.targets or ():
            SpikingTarget.part(name)

    def measure(self, subject: Subject) -> Measured:
        """Accuracy, latency, verification and measured energy; a sentence in place of what could not be measured.

        What `skip` names is shown all the same where it is kept from an earlier report.
        """
        self.progress.say(subject.name)
        return Measured(
            accuracy=self._of(subject, Accuracy, self._accuracy),
            latency=self._of(subject, LatencyBenchmark, self._latency),
            verification=self._of(subject, Verification, self._verification),
            energy_here=self._of(subject, MeasuredEnergy, self._energy_here),
        )

    def keep(self, subject: Subject, known: Known) -> None:
        """Keep what the caller has measured already of the places of a subject."""
        places = [str(place) for place in subject.places]
        for place, results in known.items():
            for result in results if str(place) in places else ():
                self.kept.put(subject, self._key(type(result)), result)

    def _of(self, subject: Subject, kind: type[T], measure: Callable[[Subject], T]) -> T | str:
        key = self._key(kind)
        name = key.partition(" ")[0]
        kept = self.kept.get(subject, key, kind)
        if kept is not None:
            return kept
        if name in self.skip:
            return f"left out by --skip {name}"
        try:
            result = measure(subject)
        except NeuropromptError as error:
            return str(error)
        self.kept.put(subject, key, result)
        return result

    def _key(self, kind: type[Result]) -> str:
        wanted = " ".join(plain_noises(self.noises))
        on = "" if self.targets is None else ",".join(sorted(self.targets))
        keys: dict[type[Result], str] = {
            Accuracy: f"accuracy {wanted}".strip(),
            LatencyBenchmark: f"latency {self.rounds}",
            Verification: f"verify {on}".strip(),
            MeasuredEnergy: "measure",
        }
        return keys[kind]

    def _accuracy(self, subject: Subject) -> Accuracy:
        run = subject.loaded
        from neuroprompt.training.evaluation import evaluate

        return evaluate(run, self.noises, progress=self.progress)

    def _latency(self, subject: Subject) -> LatencyBenchmark:
        if subject.baked is None:
            raise BadSetting("what is timed is an ONNX bundle of 'neuroprompt export', and none was given")
        need("train")
        from neuroprompt.benchmarks.latency import bench

        weights, rounds = subject.weights, self.rounds
        return bench(subject.baked, weights=weights, batch=1, rounds=rounds, progress=self.progress)

    def _energy_here(self, subject: Subject) -> MeasuredEnergy:
        if subject.baked is None:
            raise BadSetting("what is measured is an ONNX bundle of 'neuroprompt export', and none was given")
        return measured_energy(subject.baked)

    def _verification(self, subject: Subject) -> Verification:
        spiking = subject.spiking
        return verify(spiking.model, spiking.inputs, self.targets, self.progress).untimed()


def _kept_in(values: Any) -> dict[str, dict[str, Any]]:
    """What of a file's values is results by the subject's digest."""
    subjects = values.items() if isinstance(values, dict) else ()
    return {digest: results for digest, results in subjects if isinstance(results, dict)}


def plain_noises(noises: Sequence[str]) -> list[str]:
    """The names of noises as `evaluate` has them; raises BadSetting. Without torch they stay as they are."""
    try:
        from neuroprompt.robustness.noise import parse_noises
    except ModuleNotFoundError:
        return list(noises)
    return [str(noise) for noise in parse_noises(noises)]
