"""What a report is about: trained prompts, each with the run folder and the bundles of it that were given."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from neuroprompt.bundles.bundle import MANIFEST, Bundle
from neuroprompt.bundles.contents import SAMPLE, TOKENS, load_model
from neuroprompt.bundles.trained import trained_model
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.files import sha256
from neuroprompt.report.figures import Array
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.training.config import RunConfig
from neuroprompt.training.deploy import spiking_model
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_files import PROMPT
from neuroprompt.training.run_folder import Run
from neuroprompt.training.sample_images import sample_images


@dataclass(frozen=True)
class Spiking:
    """The spiking part at work: float on the reference, integers on the emulator; `about` says on what."""

    model: SpikingModel
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
        trained = trained_model(self.onnx, self.weights)
        metrics = TrainingMetrics.from_json(self.onnx.about.get("trained", {}))
        return Run(self.onnx.folder, trained.config, trained.model.eval(), metrics)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """What training measured; empty where nothing says it."""
        return self.loaded.metrics.json() if self.run else dict(self.about.get("trained", {}))

    @cached_property
    def tokens(self) -> Array | None:
        """Prompt tokens (L, N, D) as deployed, or as trained where no bundle says; None where there are none."""
        if self.lava is not None and (self.lava.folder / TOKENS).is_file():
            bits: Array = np.load(self.lava.folder / TOKENS, allow_pickle=False)
            return bits
        if self.onnx is not None:
            tokens = trained_model(self.onnx, self.weights).tokens
        else:
            tokens = self.loaded.model.prompt.tokens()
        return None if tokens is None else tokens.detach().numpy()

    @cached_property
    def spiking(self) -> Spiking:
        """The spiking part, run once in float and once in integers; raises NeuropromptError where there is none."""
        model, inputs, about = self._spiking_model()
        drive = stimulus(model.float_program) if inputs is None else inputs
        floats = SpikingTarget.named("reference").run(model, drive, "float", states=True)
        fixed = (
            None if model.quantisation_error else SpikingTarget.named("loihi").run(model, drive, "fixed", states=True)
        )
        return Spiking(model, drive, floats, fixed, about)

    def _spiking_model(self) -> tuple[SpikingModel, Array | None, str]:
        if self.lava is not None:
            inputs = None
            if self.lava.about.get("samples"):
                inputs = np.load(self.lava.folder / SAMPLE.format(0), allow_pickle=False).astype(np.float64)
            of_what = "on a test image" if inputs is not None else "the run that made the deployed prompt"
            return load_model(self.lava), inputs, of_what
        prompt = self.loaded.model.prompt
        gated, generator = prompt.gated(), prompt.generator()
        if gated is not None:
            factors: Tensor = gated.factors(sample_images(self.loaded, 1)[0])
            inputs = factors.flatten(2).detach().numpy()[0].astype(np.float64)
            return spiking_model(gated.generator, inputs), inputs, "on a test image"
        if generator is None or prompt.per_image:
            raise BadSetting(
                "neurons that are part of the ONNX graph" if prompt.spiking else "the method has no neurons"
            )
        return spiking_model(generator), None, "the run that makes the prompt"
