"""What a deployed bundle does for one picture, as counts: its generator's activity and its backbone's."""

from __future__ import annotations

import torch
from torch import Tensor

from neuroprompt.activity import Activity
from neuroprompt.bundle import Bundle
from neuroprompt.bundled import load_tried
from neuroprompt.contracts import Floats, Recording, SpikingTarget, Target
from neuroprompt.counting import activity
from neuroprompt.lower import stimulus
from neuroprompt.model import PromptedModel
from neuroprompt.program import Model


def activities(bundle: Bundle) -> tuple[Activity, Activity]:
    """(generator, backbone): one run of the generator in the emulator's integers, one picture's MACs of the backbone.

    A generator that runs for every picture counts the mean of the bundle's sample pictures, and the MACs that make its
    inputs count to the backbone, as they run where it does. An ONNX bundle holds no generator: its prompt was made
    once, before it was baked, or is made by the graph.
    """
    backbone = Activity(macs=int(bundle.about["backbone_macs"]) + int(bundle.about.get("factors_macs", 0)))
    if bundle.kind != "lava":
        return Activity(), backbone
    model, inputs, pictures = load_tried(bundle)
    inputs = stimulus(model.fixed_program) if inputs is None else inputs
    counted = activity(model, emulate(model, inputs), inputs, "fixed").json()
    return Activity(**{name: round(count / pictures) for name, count in counted.items()}), backbone


@torch.no_grad()
def spikes_in_graph(model: PromptedModel, images: Tensor) -> dict[str, float] | None:
    """Of neurons that are part of an exported graph: their spikes an image, and the share of updates that spike.

    images (B, 3, *preprocess.size) in [0, 1]. None where there are no such neurons. A runtime computes them as it does
    everything else: what they cost is in the backbone's MACs.
    """
    model.eval()
    stream = model.prompt.stream()
    if stream is not None:
        model.backbone(model.normalise(images), stream)
        fired = list(stream.spikes)
    else:
        made = model.prompt.spikes(images) if model.prompt.spiking and model.prompt.per_image else None
        fired = [] if made is None else [made]
    if not fired:
        return None
    spikes = sum(float(s.sum()) for s in fired)
    return {"spikes_per_image": spikes / len(images), "spike_density": spikes / sum(s.numel() for s in fired)}


def emulate(model: Model, inputs: Floats | None = None) -> Recording:
    """One run of the integer program on our emulator; `inputs` None: what `stimulus` gives."""
    emulator = Target.named("loihi")
    assert isinstance(emulator, SpikingTarget)
    return emulator.run(model, stimulus(model.fixed_program) if inputs is None else inputs, "fixed")
