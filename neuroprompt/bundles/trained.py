"""The model that an ONNX bundle was made of, in PyTorch: built from its configuration, with what training learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.provenance import config_of
from neuroprompt.contracts.tensor_files import read_tensors
from neuroprompt.errors import BadBundle
from neuroprompt.training.assemble import build
from neuroprompt.training.checkpoint import load_tensors
from neuroprompt.training.config import RunConfig
from neuroprompt.training.model import PromptedModel

PROMPT, TOKENS = "prompt.safetensors", "tokens"


@dataclass(frozen=True)
class TrainedModel:
    """The configuration, the model, and the tokens (L, N, D) that are baked in, if any."""

    config: RunConfig
    model: PromptedModel
    tokens: Tensor | None


def trained_model(bundle: Bundle, weights: Path | None = None) -> TrainedModel:
    """Build the model of an ONNX bundle; `weights` where the backbone's file has moved.

    Raises BadBundle, BadCheckpoint, BadWeights.
    """
    file = bundle.folder / PROMPT
    config = config_of(bundle)
    try:
        learned, _ = read_tensors(file)
    except ValueError as error:
        got = f"{bundle.folder} does not say what it was made of ({error})"
        raise BadBundle(got, "a bundle of 'neuroprompt export --target onnx'", "export it again") from error
    tokens = learned.pop(TOKENS, None)
    model = build(config, weights)
    load_tensors(model, learned, file)
    return TrainedModel(config, model, tokens)
