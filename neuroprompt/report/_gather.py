"""Run folders and bundles, put together by the training run they are of; what cannot be compared is an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neuroprompt.bundles.artefact import artefact
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.provenance import config_of
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.report._subject import Subject
from neuroprompt.training.config import RunConfig
from neuroprompt.training.run_files import RUN, load_config


def gather(paths: Sequence[Path], weights: Path | None = None) -> list[Subject]:
    """The subjects of run folders and bundles, those of one training run together, in the order given.

    Raises BadCheckpoint, BadBundle, and BadSetting where they cannot be in one report.
    """
    subjects: dict[str, Subject] = {}
    for path in paths:
        if (path / RUN).is_file():
            config = load_config(path)
            assert config is not None
            subject = _subject(subjects, config, weights)
            _once(subject.run, path)
            subject.run = path
        else:
            _add(subjects, Bundle.open(path), weights)
    gathered = list(subjects.values())
    for subject in gathered[1:]:
        _comparable(gathered[0], subject)
    _name(gathered)
    return gathered


def _add(subjects: dict[str, Subject], bundle: Bundle, weights: Path | None) -> None:
    """Put a bundle to its subject, by what it holds: neurons, or the backbone with its prompt baked in."""
    opened = artefact(bundle)
    neurons = opened.tried() is not None  # one of another version raises before anything is measured
    if not neurons and not opened.takes_images:
        got = f"{bundle.folder}, a bundle for {bundle.kind!r}, holds nothing to report on"
        raise BadBundle(got, "a run folder, or a bundle for onnx or lava")
    subject = _subject(subjects, config_of(bundle), weights)
    if neurons:
        _once(subject.neurons.folder if subject.neurons else None, bundle.folder)
        subject.neurons = bundle
    else:
        _once(subject.baked.folder if subject.baked else None, bundle.folder)
        subject.baked = bundle


def _subject(subjects: dict[str, Subject], config: RunConfig, weights: Path | None) -> Subject:
    return subjects.setdefault(config.digest(), Subject(config, weights))


def _once(other: Path | None, path: Path) -> None:
    """Raises BadSetting where there is another of the kind."""
    if other is not None:
        got = f"{other} and {path}, which are of the same training run"
        raise BadSetting(got, "a run folder and one bundle of each kind", "leave one out")


def _comparable(one: Subject, other: Subject) -> None:
    """Accuracies can be compared only where they are of the same test images."""
    for key in ("data", "classes", "limit"):
        mine, theirs = getattr(one.config, key), getattr(other.config, key)
        if mine != theirs:
            mine, theirs = (f"{len(v)} classes" if key == "classes" else v for v in (mine, theirs))
            got = f"{one.places[0]} and {other.places[0]} cannot be compared: their {key} are {mine} and {theirs}"
            raise BadSetting(got, "runs on the same data", "make a report of each")


def _name(subjects: Sequence[Subject]) -> None:
    """Name each by its method, and by what else differs among those of that method."""
    for subject in subjects:
        alike = [s for s in subjects if s.config.method == subject.config.method]
        words = [subject.config.method]
        if len(alike) > 1:
            facts = [_facts(s.config) for s in alike]
            words += [
                f"{key} {value}"
                for key, value in _facts(subject.config).items()
                if len({f.get(key) for f in facts}) > 1
            ]
        subject.name = ", ".join(words)
    names = [subject.name for subject in subjects]
    for i, subject in enumerate(subjects):
        if names.count(subject.name) > 1:
            subject.name = f"{subject.name} ({i + 1})"


def _facts(config: RunConfig) -> dict[str, str]:
    facts = {**config.settings, "backbone": config.backbone.name, "head": config.head, "seed": config.seed}
    facts |= {key: getattr(config, key) for key in ("epochs", "lr", "batch")}
    return {key: str(value) for key, value in facts.items()}
