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
from torch import Tensor, nn

from neuroprompt.bundle import writing
from neuroprompt.bundled import bits_sha256
from neuroprompt.contracts import Exporter
from neuroprompt.dataset import load_data
from neuroprompt.deploy import deployed_tokens
from neuroprompt.errors import BadData, ParityError, Unsupported
from neuroprompt.macs import count_macs
from neuroprompt.onnxfile import operators, to_onnx
from neuroprompt.parity import BATCHES, Unbaked, check_file
from neuroprompt.progress import SILENT, Progress

if TYPE_CHECKING:
    from neuroprompt.checkpoint import Run

MODEL, PROMPT = "model.onnx", "prompt.safetensors"
PACKAGES = ("neuroprompt-toolkit", "torch", "timm", "onnx", "onnxruntime", "snntorch", "numpy")

STEPS = frozenset({"Loop", "Scan", "If", "LSTM", "GRU", "RNN"})
"""Operators that go through time: a prompt that is still being made."""
THRESHOLDS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Sign"})
"""Operators that make spikes or bits."""


class Onnx(Exporter):
    """model.onnx (baked backbone and head), prompt.safetensors (its tokens and the head, to build it again).

    The prompt is quantised first and baked second: the file holds what the integer generator makes. Before it appears,
    the file runs in ONNX Runtime beside the unbaked PyTorch model on pictures of the run's test split, at batch 1, 3
    and 8.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> dict[str, Any]:
        """Write the bundle at `out`; raises Unsupported for a prompt per image, ParityError, CannotWrite."""
        model, backbone = run.model, run.model.backbone
        if model.prompt.per_image or model.prompt.enters == "pixels":
            got = f"the prompt of {run.config.method!r} is no constant tokens"
            raise Unsupported(got, "a method whose tokens are the same for every image")
        progress.say("the prompt that the integers make")
        tokens = deployed_tokens(model.prompt)
        baked = nn.Sequential(backbone.baked(tokens), model.head).eval()
        about = _about(run, tokens)
        about["backbone_macs"] = count_macs(baked, torch.zeros(1, *backbone.site.image))
        with writing(out, "onnx", about) as folder:
            progress.say("writing the ONNX graph")
            to_onnx(baked, backbone.site.image, folder / MODEL, _properties(about))
            found = operators(folder / MODEL)
            making = sorted(found.keys() & (STEPS | THRESHOLDS))
            if making:
                got = f"the exported graph holds {', '.join(making)}"
                raise ParityError(got, "no operator that steps through time or makes spikes")
            about["nodes"] = {"baked": sum(found.values())}
            kept = {"head.weight": model.head.weight, "head.bias": model.head.bias}
            kept |= {} if tokens is None else {"tokens": tokens}
            (folder / PROMPT).write_bytes(save({name: value.detach().contiguous() for name, value in kept.items()}))
            progress.say("comparing ONNX Runtime with PyTorch")
            pictures, origin = _pictures(run)
            unbaked = Unbaked(backbone, tokens, model.head).eval()
            about["parity"] = check_file(folder / MODEL, unbaked, model.normalise(pictures)) | {"pictures": origin}
        result = {"nodes": about["nodes"]["baked"], "backbone_macs": about["backbone_macs"], **about["parity"]}
        return {**result, "bits_sha256": about["bits_sha256"], "about": about}


def _about(run: Run, tokens: Tensor | None) -> dict[str, Any]:
    backbone = run.model.backbone
    return {
        "method": run.config.method,
        "backbone": asdict(backbone.spec),
        "preprocess": asdict(backbone.preprocess),
        "classes": list(run.config.classes),
        "bits_sha256": None if tokens is None else bits_sha256(tokens),
        "run": run.config.json(),
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


def _pictures(run: Run) -> tuple[Tensor, str]:
    """Images in [0, 1] to compare on, and where they are from: the test split, spread evenly over its classes."""
    count = sum(BATCHES)
    config, preprocess = run.config, run.model.backbone.preprocess
    try:
        test = load_data(config.data, preprocess.size, preprocess.interpolation, config.seed, limit=config.limit).test
    except BadData as error:
        noise = torch.rand(count, *run.model.backbone.site.image, generator=torch.Generator().manual_seed(0))
        return noise, f"seeded noise, because the run's data cannot be read: {error}"
    total = len(test)  # type: ignore[arg-type]
    chosen = [test[i * total // count][0] for i in range(count)]
    return torch.stack(chosen).float() / 255, f"{config.data}, test split"
