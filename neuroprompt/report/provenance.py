"""Provenance: versions, seeds, hashes, and the commands that reproduce everything."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata

from neuroprompt.bundles.bundle import MANIFEST
from neuroprompt.errors import BadSetting
from neuroprompt.files import sha256
from neuroprompt.report._parts import Section, Table
from neuroprompt.report._subject import Subject
from neuroprompt.training.commands import train_command
from neuroprompt.training.run_files import PROMPT

PACKAGES = ("neuroprompt-toolkit", "torch", "timm", "snntorch", "nir", "onnx", "onnxruntime", "numpy", "matplotlib")
LEAD = "The commands, files and versions that reproduce these figures."


def section(subjects: Sequence[Subject], command: Sequence[str]) -> Section:
    """A table for every subject, and one for this report."""
    chapter = Section("provenance", "Provenance", LEAD)
    chapter.parts += [Table(subject.name, ("", "value"), _of(subject)) for subject in subjects]
    rows = [("command", shlex.join(command))] if command else []
    if (asked := os.environ.get("SOURCE_DATE_EPOCH")) is not None:
        rows.append(("made", _date(asked)))
    rows += [("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    rows += [(name, _version(name)) for name in PACKAGES]
    chapter.parts.append(Table("This report", ("", "value"), rows))
    return chapter


def _of(subject: Subject) -> list[tuple[str, str]]:
    config = subject.config
    rows = [
        ("train it again", train_command(config)),
        ("seed", str(config.seed)),
        ("data", f"{config.data}, {len(config.classes)} classes"),
        ("backbone's weights, SHA-256", config.weights_sha256 or "not known"),
        ("configuration, SHA-256", config.digest()),
    ]
    if subject.run is not None:
        rows.append(("run folder", str(subject.run)))
        rows.append((f"{PROMPT}, SHA-256", sha256(subject.run / PROMPT)))
        rows.append(("export it", f"neuroprompt export {shlex.quote(str(subject.run))} --target TARGET --out OUT"))
    for bundle in subject.bundles:
        versions = bundle.about.get("versions", {})
        rows.append((f"{bundle.kind} bundle", str(bundle.folder)))
        rows.append((f"its {MANIFEST}, SHA-256", sha256(bundle.folder / MANIFEST)))
        if bundle.about.get("bits_sha256"):
            rows.append(("the prompt in it, SHA-256", bundle.about["bits_sha256"]))
        rows.append(("exported with", ", ".join(f"{name} {version}" for name, version in versions.items()) or "-"))
    return rows


def _date(epoch: str) -> str:
    """The day and minute of SOURCE_DATE_EPOCH: else no file holds a time, and the same report has the same bytes."""
    try:
        return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError) as error:
        raise BadSetting(f"SOURCE_DATE_EPOCH={epoch!r}", "whole seconds since 1970") from error


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
