"""Writes a run as one ONNX file: the frozen backbone with its prompt baked in, and the head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from neuroprompt.bundles.bundle import write_bundle
from neuroprompt.bundles.check import write_check
from neuroprompt.bundles.contents import bits_sha256
from neuroprompt.bundles.forms import FILES, FUSED, HALF, PORTABLE
from neuroprompt.bundles.predict import MODEL
from neuroprompt.bundles.provenance import about_run
from neuroprompt.bundles.reduced import write_reduced
from neuroprompt.bundles.trained import PROMPT, TOKENS
from neuroprompt.contracts.deployment import Exported, Floats, Precision
from neuroprompt.errors import ParityError
from neuroprompt.onnxgraph.deployable import Unbaked, bare, deployed, held_bytes
from neuroprompt.onnxgraph.file import operators, to_onnx
from neuroprompt.onnxgraph.fuse import fuse
from neuroprompt.onnxgraph.macs import count_macs
from neuroprompt.onnxgraph.parity import BATCHES, check_file
from neuroprompt.onnxgraph.spikes import spikes_in_graph
from neuroprompt.progress import Progress
from neuroprompt.training.deploy import deployed_tokens
from neuroprompt.training.sample_images import sample_images

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run

PACKAGES = ("neuroprompt-toolkit", "torch", "timm", "onnx", "onnxruntime", "snntorch", "numpy")
STEPS = frozenset({"Loop", "Scan", "If", "LSTM", "GRU", "RNN"})
"""Operators that go through time: a prompt that is still being made."""
THRESHOLDS = frozenset({"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Sign"})
"""Operators that make spikes or bits."""


def write_baked(run: Run, out: Path | str, progress: Progress, precision: Precision | None = None) -> Exported:
    """Write the bundle at `out`, once its file agrees with the unbaked model in PyTorch.

    precision: also a file in fewer bits (`neuroprompt.bundles.reduced`). Raises Unsupported, ParityError, CannotWrite,
    and with a precision BadData, BadSetting.
    """
    model, backbone = run.model, run.model.backbone
    static = not model.prompt.per_image
    progress.say("the prompt that the integers make" if model.prompt.spiking and static else "the graph's form")
    tokens = deployed_tokens(model.prompt)
    baked = deployed(model, tokens)
    digest = None if tokens is None else bits_sha256(tokens.detach().cpu().numpy())
    about = about_run(run, PACKAGES) | {
        "bits_sha256": digest,
        "prompt_per_image": not static,
        "backbone_macs": count_macs(baked, torch.zeros(1, *backbone.site.image)),
    }

    def fill(folder: Path) -> dict[str, Any]:
        progress.say("writing the ONNX graph")
        to_onnx(baked, backbone.site.image, folder / MODEL, _properties(about))
        nodes = operators(folder / MODEL)
        making = sorted(nodes.keys() & (STEPS | THRESHOLDS))
        if static and making:
            got = f"the exported graph holds {', '.join(making)}"
            raise ParityError(got, "no operator that steps through time or makes spikes")
        kept = model.kept() | ({} if tokens is None else {TOKENS: tokens.clone()})
        (folder / PROMPT).write_bytes(save({name: value.contiguous() for name, value in kept.items()}))
        progress.say("comparing ONNX Runtime with PyTorch")
        images, origin = sample_images(run, sum(BATCHES))
        spikes = spikes_in_graph(model, images)
        inputs = model.inputs(images)
        parity = check_file(folder / MODEL, Unbaked(model, tokens), inputs)
        fused = _fused(folder, Unbaked(model, tokens), inputs, progress)
        reduced = {} if precision is None else {precision.bits: write_reduced(run, folder, precision, progress).json()}
        whole = partial(_logits, Unbaked(model, tokens))
        write_check(folder, about, whole, list(reduced))
        chosen = PORTABLE if precision is None or precision.bits == HALF else precision.bits
        return about | {
            "bytes": _sizes(folder / MODEL, held_bytes(baked) - held_bytes(bare(model, lean=True))),
            "nodes": {"baked": sum(nodes.values()), **({} if fused is None else {FUSED: fused["nodes"]})},
            "forms": {"chosen": chosen, FUSED: fused, **reduced},
            "parity": parity.json() | {"source": origin},
            "spiking": None if spikes is None else spikes.json(),
        }

    written = write_bundle(out, "onnx", fill)
    figures = {"nodes": written.about["nodes"]["baked"], "backbone_macs": written.about["backbone_macs"]}
    figures |= written.about["bytes"]
    figures |= {**written.about["parity"], **(written.about["spiking"] or {}), "bits_sha256": digest}
    if precision is not None:
        figures[precision.bits] = written.about["forms"][precision.bits]
    return Exported(written.folder, figures, written.about)


def _sizes(file: Path, prompt: int) -> dict[str, float]:
    """The file's bytes, those that the prompt adds, and what the file is over one without it."""
    size = file.stat().st_size
    return {"bytes": size, "prompt_bytes": prompt, "bytes_over_bare": round(size / (size - prompt), 4)}


@torch.inference_mode()
def _logits(module: nn.Module, inputs: Floats) -> Floats:
    logits: Floats = module(torch.from_numpy(inputs)).numpy()
    return logits


def _fused(folder: Path, unbaked: Unbaked, inputs: Tensor, progress: Progress) -> dict[str, Any] | None:
    """Write the fused file beside the portable one; None where no attention fits. `bench` says which is faster where.

    The same parity as of the portable file is asked of it; raises ParityError.
    """
    portable, file = folder / MODEL, folder / FILES[FUSED]
    attentions = fuse(portable, file)
    if not attentions:
        return None
    progress.say("the fused form: comparing with PyTorch")
    parity = check_file(file, unbaked, inputs)
    return {"attentions": attentions, "nodes": sum(operators(file).values()), "parity": parity.json()}


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
