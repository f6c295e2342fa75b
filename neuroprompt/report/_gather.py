"""Run folders and bundles put together as what they are of, and refused where they cannot stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.contents import load_model
from neuroprompt.bundles.provenance import config_of
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.report._subject import Subject
from neuroprompt.training.config import RunConfig
from neuroprompt.training.run_files import RUN, load_config


def gather(paths: Sequence[Path], weights: Path | None = None) -> list[Subject]:
    """The subjects of run folders and bundles, those of one training run together, in the order given.

    Raises BadCheckpoint, BadBundle, and BadSetting where they cannot stand in one report.
    """
    subjects: dict[str, Subject] = {}
    for path in paths:
        opened: Path | Bundle
        if (path / RUN).is_file():
            config, kind, opened = load_config(path), "run", path
            assert config is not None
        else:
            opened = Bundle.open(path)
            config, kind = _config_of(opened), opened.kind
            if kind == "lava":
                load_model(opened)  # one of another version is refused before anything is measured
        subject = subjects.setdefault(config.digest(), Subject(config, weights))
        other = getattr(subject, kind)
        if other is not None:
            got = f"{getattr(other, 'folder', other)} and {path}, which are of the same training run"
            raise BadSetting(got, "a run folder and one bundle of each kind", "leave one out")
        setattr(subject, kind, opened)
    found = list(subjects.values())
    for subject in found[1:]:
        _comparable(found[0], subject)
    _name(found)
    return found


def _config_of(bundle: Bundle) -> RunConfig:
    if bundle.kind not in ("onnx", "lava"):
        raise BadBundle(
            f"{bundle.folder} is a bundle for {bundle.kind!r}", "a run folder, or a bundle for onnx or lava"
        )
    return config_of(bundle)


def _comparable(one: Subject, other: Subject) -> None:
    """Accuracies stand side by side only where they are of the same test images."""
    for key in ("data", "classes", "limit"):
        mine, theirs = getattr(one.config, key), getattr(other.config, key)
        if mine != theirs:
            mine, theirs = (f"{len(v)} classes" if key == "classes" else v for v in (mine, theirs))
            got = f"{_where(one)} and {_where(other)} cannot be compared: their {key} are {mine} and {theirs}"
            raise BadSetting(got, "runs on the same data", "make a report of each")


def _where(subject: Subject) -> Path:
    if subject.run is not None:
        return subject.run
    assert subject.bundle is not None
    return subject.bundle.folder


def _name(subjects: Sequence[Subject]) -> None:
    """Each by its method, and by what else tells it from the others of that method."""
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
