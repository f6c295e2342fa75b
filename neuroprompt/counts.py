"""What a deployed bundle does for one picture, as counts: its generator's activity and its backbone's."""

from __future__ import annotations

from neuroprompt.activity import Activity
from neuroprompt.bundle import Bundle
from neuroprompt.bundled import load_model
from neuroprompt.contracts import Recording, SpikingTarget, Target
from neuroprompt.lower import stimulus
from neuroprompt.measure import activity
from neuroprompt.program import Model


def activities(bundle: Bundle) -> tuple[Activity, Activity]:
    """(generator, backbone): one run of the generator in the emulator's integers, one picture's MACs of the backbone.

    An ONNX bundle holds no generator: its prompt was made once, before it was baked.
    """
    backbone = Activity(macs=int(bundle.about["backbone_macs"]))
    if bundle.kind != "lava":
        return Activity(), backbone
    model = load_model(bundle)
    return activity(model, emulate(model), stimulus(model.fixed_program), "fixed"), backbone


def emulate(model: Model) -> Recording:
    """One run of the integer program on our emulator."""
    emulator = Target.named("loihi")
    assert isinstance(emulator, SpikingTarget)
    return emulator.run(model, stimulus(model.fixed_program), "fixed")
