"""A run as one ONNX file: the frozen backbone with its prompt baked in, and the head, for ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor

from neuroprompt.bundles.bundle import writing
from neuroprompt.bundles.contents import bits_sha256
from neuroprompt.contracts.deployment import Exporter
from neuroprompt.errors import ParityError
from neuroprompt.onnxgraph.deployable import Unbaked, deployed
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.macs import count_macs
from neuroprompt.onnxgraph.parity import BATCHES, check_file
from neuroprompt.onnxgraph.spikes import spikes_in_graph
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.deploy import deployed_tokens
from neuroprompt.training.sample_images import sample_images

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run

MODEL, PROMPT, TOKENS = "model.onnx", "prompt.safetensors", "tokens"
PACKAGES = ("neuroprompt-toolkit", "torch", "timm", "onnx", "onnxruntime", "snntorch", "numpy")

STEPS = frozenset({"Loop", "Scan", "If", "LSTM", "GRU", "RNN"})
"""Operators that go through time: a prompt that is still being made."""
THRESHOLDS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Sign"})
"""Operators that make spikes or bits."""


class Onnx(Exporter):
    """model.onnx (backbone, prompt and head), prompt.safetensors (what training learned, to build it again).

    A static prompt is quantised first and baked second: the file holds what the integer generator makes. One that
    depends on the image is made in the graph; where neurons make it, their spikes are counted. Before it appears, the
    file runs in ONNX Runtime beside the unbaked PyTorch model on images of the run's test split, at batch 1, 3 and 8.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> dict[str, Any]:
        """Write the bundle at `out`; raises Unsupported, ParityError, CannotWrite."""
        model, backbone = run.model, run.model.backbone
        static = not model.prompt.per_image
        progress.say("the prompt that the integers make" if model.prompt.spiking and static else "the graph's form")
        tokens = deployed_tokens(model.prompt)
        baked = deployed(model, tokens)
        about = _about(run, tokens)
        about["backbone_macs"] = count_macs(baked, torch.zeros(1, *backbone.site.image))
        with writing(out, "onnx", about) as folder:
            progress.say("writing the ONNX graph")
            to_onnx(baked, backbone.site.image, folder / MODEL, _properties(about))
            found = operators(folder / MODEL)
            making = sorted(found.keys() & (STEPS | THRESHOLDS))
            if static and making:
                got = f"the exported graph holds {', '.join(making)}"
                raise ParityError(got, "no operator that steps through time or makes spikes")
            about["nodes"] = {"baked": sum(found.values())}
            kept = model.kept() | ({} if tokens is None else {TOKENS: tokens.clone()})
            (folder / PROMPT).write_bytes(save({name: value.contiguous() for name, value in kept.items()}))
            progress.say("comparing ONNX Runtime with PyTorch")
            images, origin = sample_images(run, sum(BATCHES))
            parity = check_file(folder / MODEL, Unbaked(model, tokens), model.inputs(images))
            about["parity"] = parity | {"source": origin}
            spikes = spikes_in_graph(model, images)
            about["spiking"] = spikes and spikes.json()
        result = {"nodes": about["nodes"]["baked"], "backbone_macs": about["backbone_macs"], **about["parity"]}
        result |= about["spiking"] or {}
        return {**result, "bits_sha256": about["bits_sha256"], "about": about}


def _about(run: Run, tokens: Tensor | None) -> dict[str, Any]:
    backbone = run.model.backbone
    return {
        "method": run.config.method,
        "backbone": asdict(backbone.spec),
        "preprocess": asdict(run.model.preprocess),
        "classes": list(run.config.classes),
        "bits_sha256": None if tokens is None else bits_sha256(tokens),
        "run": run.config.json(),
        "trained": run.summary(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def _properties(about: Mapping[str, Any]) -> dict[str, str]:
    """What a program that has only the .onnx file needs: JSON values by name."""
    values = {
        **about["preprocess"],
        "labels": about["classes"],
        "method": about["method"],
        "backbone": about["backbone"]["name"],
        "bits_sha256": about["bits_sha256"],
        "neuroprompt": about["versions"]["neuroprompt-toolkit"],
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
