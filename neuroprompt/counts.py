"""What a deployed bundle does for one picture, as counts: its generator's activity and its backbone's."""

from __future__ import annotations

import numpy as np

from neuroprompt.activity import Activity
from neuroprompt.bundle import Bundle
from neuroprompt.bundled import load_model
from neuroprompt.contracts import SpikingTarget, Target
from neuroprompt.measure import activity


def activities(bundle: Bundle) -> tuple[Activity, Activity]:
    """(generator, backbone) of a bundle: the generator on the emulator's integers, the baked backbone's MACs.

    An ONNX bundle holds no generator: its prompt was made once, before it was baked.
    """
    backbone = Activity(macs=int(bundle.about["backbone_macs"]))
    if bundle.kind != "lava":
        return Activity(), backbone
    model = load_model(bundle)
    inputs = np.zeros((model.steps, model.fixed_program.inputs))
    emulator = Target.named("loihi")
    assert isinstance(emulator, SpikingTarget)
    recording = emulator.run(model, inputs, "fixed")
    return activity(model, recording, inputs, "fixed"), backbone
