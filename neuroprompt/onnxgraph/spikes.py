"""Spikes of the neurons that stand in an exported graph itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neuroprompt.training.model import PromptedModel


@dataclass(frozen=True)
class GraphSpikes:
    """Spikes an image, and the share of all neuron updates that spike."""

    spikes_per_image: float
    spike_density: float

    def json(self) -> dict[str, float]:
        """Both, by name."""
        return dict(vars(self))


@torch.no_grad()
def spikes_in_graph(model: PromptedModel, images: Tensor) -> GraphSpikes | None:
    """Count the spikes of neurons that are part of an exported graph; None where it has none.

    images (B, 3, *preprocess.size) in [0, 1]. A runtime computes such neurons as it does everything else: what they
    cost is in the backbone's MACs.
    """
    model.eval()
    stream = model.prompt.stream()
    fired: list[Tensor]
    if stream is not None:
        model.backbone(model.normalise(images), stream)
        fired = list(stream.spikes)
    elif model.prompt.enters == "layers":
        parts = model.prompt.beside()
        fired = [parts[name].fired(drive) for name, drive in model.drives(images).items()]
    elif model.prompt.spiking and model.prompt.per_image:
        spikes = model.prompt.spikes(images)
        fired = [] if spikes is None else [spikes]
    else:
        fired = []
    if not fired:
        return None
    total = sum(float(spikes.sum()) for spikes in fired)
    return GraphSpikes(total / len(images), total / sum(spikes.numel() for spikes in fired))
