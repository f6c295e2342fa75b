"""What a report is about: trained prompts, each with the run folder and the bundles of it that were given."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuroprompt.benchmarks.latency_result import LatencyBenchmark
from neuroprompt.bundles.artefact import artefact
from neuroprompt.bundles.bundle import MANIFEST, Bundle
from neuroprompt.bundles.contents import SAMPLE, TOKENS, load_model, read_array
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.energy.lines import EnergyEstimate
from neuroprompt.energy.measured import MeasuredEnergy
from neuroprompt.errors import BadBundle, BadSetting
from neuroprompt.extras import need
from neuroprompt.files import json_of, sha256
from neuroprompt.report.figures import Array
from neuroprompt.simulators.verify import Verification
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.training.accuracy import Accuracy
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_files import PROMPT, load_metrics

BAKED_TOKENS = "tokens"

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run


@dataclass(frozen=True)
class Spiking:
    """The spiking part at work: float on the reference, integers on the emulator; `about` says on what."""

    model: SpikingModel
    inputs: Array
    floats: Recording
    fixed: Recording | None
    about: str


@dataclass(frozen=True)
class Measured:
    """What was measured of a subject; a sentence in place of what was not.

    `energy` is estimated from counts, `energy_here` is what this machine's counters measured.
    """

    accuracy: Accuracy | str = ""
    latency: LatencyBenchmark | str = ""
    verification: Verification | str = ""
    energy: EnergyEstimate | str = ""
    energy_here: MeasuredEnergy | str = ""


@dataclass
class Subject:
    """One trained prompt: its run folder, the bundle it is baked into, and the one with its neurons, where given."""

    config: RunConfig
    weights: Path | None = None
    run: Path | None = None
    baked: Bundle | None = None
    neurons: Bundle | None = None
    name: str = ""
    measured: Measured = Measured()

    @property
    def bundles(self) -> list[Bundle]:
        """Those that were given."""
        return [bundle for bundle in (self.baked, self.neurons) if bundle is not None]

    @property
    def places(self) -> list[Path]:
        """The folders that were given."""
        return [*([self.run] if self.run else []), *(bundle.folder for bundle in self.bundles)]

    @property
    def about(self) -> dict[str, Any]:
        """What the manifests say."""
        return {key: value for bundle in self.bundles for key, value in bundle.about.items()}

    @cached_property
    def digest(self) -> str:
        """A SHA-256 of what was given, but for README.md: the same run and bundles give the same figures."""
        parts = [self.config.digest(), sha256(self.run / PROMPT) if self.run else ""]
        for bundle in self.bundles:
            files = json_of((bundle.folder / MANIFEST).read_bytes())["files"]
            parts += [f"{name} {digest}" for name, digest in sorted(files.items()) if name != "README.md"]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @cached_property
    def loaded(self) -> Run:
        """The model, from the run folder or the baked bundle.

        Raises BadBundle where a bundle of the neurons alone was given, and what loading raises.
        """
        need("train")
        from neuroprompt.bundles.trained import trained_model
        from neuroprompt.training.run_folder import Run

        if self.run is not None:
            return Run.load(self.run, self.weights)
        if self.baked is None:
            raise BadBundle("a Lava bundle holds no backbone", "its run folder or ONNX bundle beside it")
        trained = trained_model(self.baked, self.weights)
        metrics = TrainingMetrics.from_json(self.baked.about.get("trained", {}))
        return Run(self.baked.folder, trained.config, trained.model.eval(), metrics)

    @property
    def per_image(self) -> bool:
        """Whether neurons on a spiking target make the prompt of each image."""
        return any(artefact(bundle).per_image for bundle in self.bundles)

    @cached_property
    def metrics(self) -> TrainingMetrics | None:
        """What training measured; None where nothing says it. Its history is whole in a run folder alone."""
        if self.run is not None:
            return load_metrics(self.run)
        return TrainingMetrics.from_json(self.about["trained"]) if "trained" in self.about else None

    @cached_property
    def tokens(self) -> Array | None:
        """Prompt tokens (L, N, D) as deployed, or as trained where no bundle says; None where there are none."""
        if self.neurons is not None and (self.neurons.folder / TOKENS).is_file():
            bits: Array = read_array(self.neurons, TOKENS)
            return bits
        if self.baked is not None:
            need("train")
            from safetensors import safe_open

            with safe_open(self.baked.folder / PROMPT, framework="numpy") as file:
                return file.get_tensor(BAKED_TOKENS) if BAKED_TOKENS in file.keys() else None  # noqa: SIM118
        tokens = self.loaded.model.prompt.tokens()
        return None if tokens is None else tokens.detach().numpy()

    @cached_property
    def spiking(self) -> Spiking:
        """The spiking part, run once in float and once in integers; raises NeuropromptError where there is none."""
        model, inputs, about = self._spiking_model()
        inputs = stimulus(model.float_program) if inputs is None else inputs
        floats = SpikingTarget.named("reference").run(model, inputs, "float", states=True)
        emulator = SpikingTarget.named("loihi")
        fixed = None if model.quantisation_error else emulator.run(model, inputs, "fixed", states=True)
        return Spiking(model, inputs, floats, fixed, about)

    def _spiking_model(self) -> tuple[SpikingModel, Array | None, str]:
        if self.neurons is not None:
            inputs = None
            if self.neurons.about.get("samples"):
                inputs = read_array(self.neurons, SAMPLE.format(0)).astype(np.float64)
            of_what = "on a test image" if inputs is not None else "the run that made the deployed prompt"
            return load_model(self.neurons), inputs, of_what
        prompt = self.loaded.model.prompt
        from neuroprompt.training.deploy import spiking_model
        from neuroprompt.training.sample_images import sample_images

        gated, generator = prompt.gated(), self.loaded.model.generator()
        if gated is not None:
            factors = gated.factors(sample_images(self.loaded, 1)[0])
            inputs = factors.flatten(2).detach().numpy()[0].astype(np.float64)
            return spiking_model(gated.generator, inputs), inputs, "on a test image"
        if generator is None or prompt.per_image:
            where = "neurons that are part of the ONNX graph" if prompt.spiking else "the method has no neurons"
            raise BadSetting(where)
        return spiking_model(generator), None, "the run that makes the prompt"
