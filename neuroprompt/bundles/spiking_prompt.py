"""Writes the spiking part of a run as a bundle for Lava: neurons that made one prompt, or make one for every image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from neuroprompt.bundles.bundle import Bundle, write_bundle
from neuroprompt.bundles.contents import TOKENS, bits_sha256, read_model, write_bits, write_model, write_samples
from neuroprompt.bundles.lava_readme import add_script, figures_of, lava_readme
from neuroprompt.bundles.pipeline import BACKBONE, FACTORS, Pipeline
from neuroprompt.bundles.provenance import about_run
from neuroprompt.compiler.place import place
from neuroprompt.contracts.deployment import Exported
from neuroprompt.contracts.learning import Gated, Generator, Prompt
from neuroprompt.errors import Unsupported
from neuroprompt.onnxgraph.deployable import bare, deployed
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.macs import count_macs
from neuroprompt.onnxgraph.parity import compare
from neuroprompt.progress import Progress
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.training.deploy import check_graph, deployed_tokens, spiking_model
from neuroprompt.training.model import PromptedModel
from neuroprompt.training.sample_images import sample_images

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run

PACKAGES = ("neuroprompt-toolkit", "torch", "timm", "snntorch", "nir", "numpy")
SAMPLES = 2
"""Test images whose factors a bundle carries, to verify and count it on."""
CHECKED = 8
"""Test images on which all parts together are compared with the model."""


def write_spiking_prompt(run: Run, out: Path | str, progress: Progress) -> Exported:
    """Write the bundle at `out`; raises Unsupported where the prompt has no neurons, ParityError, CannotWrite."""
    prompt = run.model.prompt
    gated, generator = prompt.gated(), prompt.generator()
    if gated is not None:
        return _write_hybrid(run, gated, out, progress)
    if generator is None or prompt.per_image:
        spiking = ", ".join(name for name in Prompt.names() if Prompt.part(name).spiking)
        got = f"{run.config.method!r} has no spiking generator" + (" apart from its graph" if generator else "")
        raise Unsupported(got, f"a run of one of: {spiking}")
    return _write_static(run, generator, out, progress)


# --- one prompt for every image --------------------------------------------------------------------------------------


def _write_static(run: Run, generator: Generator, out: Path | str, progress: Progress) -> Exported:
    """The neurons, and the bits of the tokens that their integers make."""
    progress.say("searching the scale of Loihi's integers")
    model = spiking_model(generator)
    tokens = deployed_tokens(run.model.prompt, model)
    bits = None if tokens is None else tokens.detach().cpu().numpy()

    def fill(folder: Path) -> dict[str, Any]:
        write_model(model, folder)
        if bits is not None:
            write_bits(bits, folder / TOKENS)
        written = read_model(folder)
        about = about_run(run, PACKAGES) | {
            "steps": model.steps,
            "neurons": sum(p.size for p in model.fixed_program.populations),
            "placement": place(model.fixed_program),
            "bits_sha256": None if bits is None else bits_sha256(bits),
            "backbone_macs": count_macs(deployed(run.model, tokens), torch.zeros(1, *run.model.backbone.site.image)),
            "checked": {
                "torch": check_graph(written.graph, generator),
                **verify(written, targets=["loihi"], progress=progress).untimed().json()["targets"],
            },
        }
        add_script(folder, lava_readme(about, written))
        return about

    about = write_bundle(out, "lava", fill).about
    figures = {"steps": about["steps"], "bits_sha256": about["bits_sha256"], **figures_of(about)}
    return Exported(Path(out), figures, about)


# --- a prompt that depends on the image ------------------------------------------------------------------------------


class _Factors(nn.Module):
    """inputs (B, 3, H, W) as PromptedModel.inputs makes them -> P (B, T, C, H, W)."""

    def __init__(self, model: PromptedModel, gated: Gated) -> None:
        super().__init__()
        self.model, self.factors = model, gated.factors

    def forward(self, inputs: Tensor) -> Tensor:
        factors: Tensor = self.factors(self.model.images(inputs))
        return factors


def _write_hybrid(run: Run, gated: Gated, out: Path | str, progress: Progress) -> Exported:
    """Factors and backbone for ONNX Runtime, neurons for a target, and all of them checked together."""

    def fill(folder: Path) -> dict[str, Any]:
        written, parts = _write_parts(run, gated, folder, progress)
        about = about_run(run, PACKAGES) | parts
        progress.say("comparing the parts together with the model in PyTorch")
        about |= _check_hybrid(run, Bundle(folder, "lava", about))
        add_script(folder, lava_readme(about, written))
        return about

    about = write_bundle(out, "lava", fill).about
    figures = {"steps": about["steps"], **figures_of(about), **about["prompt"], **about["parity"]}
    return Exported(Path(out), figures, about)


@torch.no_grad()
def _write_parts(run: Run, gated: Gated, folder: Path, progress: Progress) -> tuple[SpikingModel, dict[str, Any]]:
    """Write every part that is made of the model; the neurons, read back and checked, and what the manifest says.

    The integers are fitted on the factors of a test image of the run, at a scale that no image can overflow. Raises
    ParityError, CannotWrite.
    """
    model = run.model.eval()
    image = model.backbone.site.image
    images, origin = sample_images(run, SAMPLES)
    factors = gated.factors(images).flatten(2).numpy()
    first = factors[0].astype("float64")
    progress.say("fitting the integers to the factors of an image")
    spiking = spiking_model(gated.generator, first)
    write_model(spiking, folder)
    write_samples(factors, folder)
    progress.say("writing the ONNX graphs on both sides of the neurons")
    front, back = _Factors(model, gated).eval(), bare(model, lean=True)
    to_onnx(front, image, folder / FACTORS, output="factors")
    to_onnx(back, image, folder / BACKBONE)
    blank = torch.zeros(1, *image)
    written = read_model(folder)
    return written, {
        "image_source": origin,
        "per_image": True,
        "samples": SAMPLES,
        "steps": spiking.steps,
        "neurons": sum(p.size for p in spiking.fixed_program.populations),
        "combine": "inputs + (1/T) sum_t S_t * P_t / std",
        "backbone_macs": count_macs(back, blank),
        "factors_macs": count_macs(front, blank),
        "checked": {
            "torch": check_graph(written.graph, gated.generator, first),
            **verify(written, first, targets=["loihi"], progress=progress).untimed().json()["targets"],
        },
    }


@torch.no_grad()
def _check_hybrid(run: Run, bundle: Bundle) -> dict[str, Any]:
    """All parts together against the model in PyTorch on CHECKED test images; raises ParityError.

    `parity`: the float program's logits, which must be within TOLERANCE of their range, as of any exported file.
    `fixed`: the same of the integer program, which is reported. `prompt`: spike density, exact zeros and rank with it.
    """
    images, _ = sample_images(run, CHECKED)
    expected = run.model.eval()(images).numpy()
    inputs = run.model.inputs(images).numpy()
    floats, fixed = (Pipeline(bundle, "loihi", precision).run(inputs) for precision in ("float", "fixed"))
    difference = float(np.abs(fixed.logits - expected).max())
    return {
        "parity": compare(floats.logits, expected).json(),
        "fixed": {
            "max_abs_diff": difference,
            "max_rel_diff": difference / float(np.ptp(expected)),
            "top1_agreement": float((fixed.logits.argmax(1) == expected.argmax(1)).mean()),
            "spike_exact": float((fixed.spikes == floats.spikes).mean()),
        },
        "prompt": fixed.report(),
    }
