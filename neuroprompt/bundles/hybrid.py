"""A prompt that is made for every image as a bundle: factors and backbone for ONNX Runtime, neurons for a target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.contents import read_model, write_model, write_samples
from neuroprompt.bundles.pipeline import BACKBONE, FACTORS, Pipeline
from neuroprompt.contracts.learning import Gated
from neuroprompt.onnxgraph.deployable import bare
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.macs import count_macs
from neuroprompt.onnxgraph.parity import compare
from neuroprompt.progress import Progress
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.training.deploy import check_graph, spiking_model
from neuroprompt.training.model import PromptedModel
from neuroprompt.training.sample_images import sample_images

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run

SAMPLES = 2
"""Test images whose factors the bundle carries, to verify and count it on."""
CHECKED = 8
"""Test images on which all parts together are compared with the model."""


class _Factors(nn.Module):
    """inputs (B, 3, H, W) as PromptedModel.inputs makes them -> P (B, T, C, H, W)."""

    def __init__(self, model: PromptedModel, gated: Gated) -> None:
        super().__init__()
        self.model, self.factors = model, gated.factors

    def forward(self, inputs: Tensor) -> Tensor:
        factors: Tensor = self.factors(self.model.images(inputs))
        return factors


@torch.no_grad()
def write_hybrid(run: Run, gated: Gated, folder: Path, about: dict[str, Any], progress: Progress) -> SpikingModel:
    """Write every part of the bundle that is made of the model, read the neurons back and check them, fill `about`.

    The integers are fitted on the factors of a test image of the run, at a scale that no image can overflow. Raises
    ParityError, CannotWrite.
    """
    model = run.model.eval()
    image = model.backbone.site.image
    images, about["image_source"] = sample_images(run, SAMPLES)
    factors = gated.factors(images).flatten(2).numpy()
    progress.say("fitting the integers to the factors of an image")
    spiking = spiking_model(gated.generator, factors[0].astype("float64"))
    write_model(spiking, folder)
    write_samples(factors, folder)
    progress.say("writing the ONNX graphs on both sides of the neurons")
    front, back = _Factors(model, gated).eval(), bare(model, lean=True)
    to_onnx(front, image, folder / FACTORS, output="factors")
    to_onnx(back, image, folder / BACKBONE)
    blank = torch.zeros(1, *image)
    about |= {
        "per_image": True,
        "samples": SAMPLES,
        "steps": spiking.steps,
        "neurons": sum(p.size for p in spiking.fixed_program.populations),
        "combine": "inputs + (1/T) sum_t S_t * P_t / std",
        "backbone_macs": count_macs(back, blank),
        "factors_macs": count_macs(front, blank),
    }
    written = read_model(folder)
    one = factors[0].astype("float64")
    about["checked"] = {
        "torch": check_graph(written.graph, gated.generator, one),
        **verify(written, one, targets=["loihi"], progress=progress).json()["targets"],
    }
    return written


@torch.no_grad()
def check_hybrid(run: Run, bundle: Bundle) -> dict[str, Any]:
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
        "parity": compare(floats.logits, expected),
        "fixed": {
            "max_abs_diff": difference,
            "max_rel_diff": difference / float(np.ptp(expected)),
            "top1_agreement": float((fixed.logits.argmax(1) == expected.argmax(1)).mean()),
            "spike_exact": float((fixed.spikes == floats.spikes).mean()),
        },
        "prompt": fixed.report(),
    }
