"""What a report is about: trained prompts, each with the run folder and the bundles of it that were given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from neuroprompt.benchmark import model_of_bundle
from neuroprompt.bundle import MANIFEST, Bundle, sha256
from neuroprompt.bundled import SAMPLE, TOKENS, load_model
from neuroprompt.checkpoint import PROMPT, RUN, Run, load_config
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts import Recording, SpikingTarget, Target
from neuroprompt.deploy import spiking_model
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.pictures import Array
from neuroprompt.program import Model
from neuroprompt.runconfig import RunConfig
from neuroprompt.samples import sample_pictures


@dataclass(frozen=True)
class Spiking:
    """The spiking part at work: float on the reference, integers on the emulator; `about` says on what."""

    model: Model
    inputs: Array
    floats: Recording
    fixed: Recording | None
    about: str


@dataclass
class Subject:
    """One trained prompt: its run folder, its ONNX and its Lava bundle, as far as they were given."""

    config: RunConfig
    weights: Path | None = None
    run: Path | None = None
    onnx: Bundle | None = None
    lava: Bundle | None = None
    name: str = ""
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def bundle(self) -> Bundle | None:
        """The bundle that says most of what is deployed."""
        return self.lava or self.onnx

    @property
    def about(self) -> dict[str, Any]:
        """What the manifests say."""
        return {**(self.onnx.about if self.onnx else {}), **(self.lava.about if self.lava else {})}

    @cached_property
    def digest(self) -> str:
        """A SHA-256 of what was given, but for README.md: the same run and bundles give the same figures."""
        parts = [self.config.digest(), sha256(self.run / PROMPT) if self.run else ""]
        for bundle in (self.onnx, self.lava):
            files = json.loads((bundle.folder / MANIFEST).read_text())["files"] if bundle else {}
            parts += [f"{name} {digest}" for name, digest in sorted(files.items()) if name != "README.md"]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @cached_property
    def loaded(self) -> Run:
        """The model, from the run folder or the ONNX bundle.

        Raises BadBundle where a Lava bundle alone was given, and what loading raises.
        """
        if self.run is not None:
            return Run.load(self.run, self.weights)
        if self.onnx is None:
            raise BadBundle("a Lava bundle holds no backbone", "its run folder or ONNX bundle beside it")
        config, model, _ = model_of_bundle(self.onnx, self.weights)
        return Run(self.onnx.folder, config, model.eval(), dict(self.onnx.about.get("trained", {})))

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """What training measured; empty where nothing says it."""
        return self.loaded.metrics if self.run else dict(self.about.get("trained", {}))

    @cached_property
    def tokens(self) -> Array | None:
        """Prompt tokens (L, N, D) as deployed, or as trained where no bundle says; None where there are none."""
        if self.lava is not None and (self.lava.folder / TOKENS).is_file():
            bits: Array = np.load(self.lava.folder / TOKENS, allow_pickle=False)
            return bits
        if self.onnx is not None:
            tokens = model_of_bundle(self.onnx, self.weights)[2]
        else:
            tokens = self.loaded.model.prompt.tokens()
        return None if tokens is None else tokens.detach().numpy()

    @cached_property
    def spiking(self) -> Spiking:
        """The spiking part, run once in float and once in integers; raises NeuropromptError where there is none."""
        model, inputs, about = self._spiking_model()
        drive = stimulus(model.float_program) if inputs is None else inputs
        floats = _target("reference").run(model, drive, "float", states=True)
        fixed = None if model.unfit else _target("loihi").run(model, drive, "fixed", states=True)
        return Spiking(model, drive, floats, fixed, about)

    def _spiking_model(self) -> tuple[Model, Array | None, str]:
        if self.lava is not None:
            inputs = None
            if self.lava.about.get("samples"):
                inputs = np.load(self.lava.folder / SAMPLE.format(0), allow_pickle=False).astype(np.float64)
            of_picture = "on a test picture" if inputs is not None else "the run that made the deployed prompt"
            return load_model(self.lava), inputs, of_picture
        prompt = self.loaded.model.prompt
        gated, generator = prompt.gated(), prompt.generator()
        if gated is not None:
            factors: Tensor = gated.factors(sample_pictures(self.loaded, 1)[0])
            inputs = factors.flatten(2).detach().numpy()[0].astype(np.float64)
            return spiking_model(gated.generator, inputs), inputs, "on a test picture"
        if generator is None or prompt.per_image:
            raise BadSetting(
                "neurons that are part of the ONNX graph" if prompt.spiking else "the method has no neurons"
            )
        return spiking_model(generator), None, "the run that makes the prompt"


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


def _target(name: str) -> SpikingTarget:
    target = Target.named(name)
    assert isinstance(target, SpikingTarget)
    return target


def _config_of(bundle: Bundle) -> RunConfig:
    if bundle.kind not in ("onnx", "lava"):
        raise BadBundle(
            f"{bundle.folder} is a bundle for {bundle.kind!r}", "a run folder, or a bundle for onnx or lava"
        )
    try:
        return RunConfig.from_json(bundle.about["run"])
    except (KeyError, TypeError, BadSetting) as error:
        got = f"{bundle.folder} does not say what it was made of ({error})"
        raise BadBundle(got, "a bundle of this version", "export it again") from error


def _comparable(one: Subject, other: Subject) -> None:
    """Accuracies stand side by side only where they are of the same test pictures."""
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
