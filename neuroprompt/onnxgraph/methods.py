"""What each prompt method learns on a backbone, and what of it is left in the deployed network: it is counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from neuroprompt.contracts.learning import Backbone, BackboneSpec, Head, Prompt
from neuroprompt.errors import NeuropromptError
from neuroprompt.onnxgraph.deployable import bare, deployed
from neuroprompt.onnxgraph.macs import count_macs
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.deploy import deployed_tokens
from neuroprompt.training.model import PromptedModel


@dataclass(frozen=True)
class Method:
    """One method with its default settings on one backbone.

    enters        where: tokens, pixels, weights, layers (beside them) or nowhere
    per_image     whether the prompt depends on the image; spiking: whether neurons make it
    parameters    that learn, beside the head's
    macs          multiply-accumulates that the prompt adds to an image's, once deployed
    constants     numbers that the deployed network stores beside the bare one's
    why           the reason where the backbone does not take it; "" otherwise, and figures are 0
    """

    enters: str
    per_image: bool
    spiking: bool
    parameters: int = 0
    macs: int = 0
    constants: int = 0
    why: str = ""

    @property
    def left(self) -> str:
        """What is left at deployment, in words."""
        if self.why:
            return "not on this backbone"
        if self.per_image:
            return "made for every image"
        return f"{self.constants:,} constants" if self.constants or self.macs else "nothing"


@dataclass(frozen=True)
class Methods:
    """Methods by name, on `backbone`."""

    backbone: str
    methods: dict[str, Method]

    def json(self) -> dict[str, Any]:
        """The backbone's name and each method's fields, with `left`."""
        return {
            "backbone": self.backbone,
            "methods": {name: asdict(method) | {"left": method.left} for name, method in self.methods.items()},
        }


def methods(spec: BackboneSpec, progress: Progress = SILENT) -> Methods:
    """Every method on that backbone; raises UnknownName, BadWeights, Unsupported."""
    backbone = load_backbone(spec, progress)
    names = Prompt.names()
    counted = {name: _counted(name, backbone) for name in progress.track(names, "methods", len(names))}
    return Methods(spec.name, counted)


@torch.no_grad()
def _counted(name: str, backbone: Backbone) -> Method:
    part = Prompt.part(name)
    try:
        prompt = Prompt.named(name, site=backbone.site)
    except NeuropromptError as error:
        return Method(part.enters, part.per_image, part.spiking, why=error.got)
    model = PromptedModel(backbone, prompt, Head.named("linear", features=backbone.features, classes=2)).eval()
    learned = sum(p.numel() for key, p in model.learned().items() if not key.startswith("head."))
    image = torch.zeros(1, *backbone.site.image)
    form, lean = deployed(model, deployed_tokens(prompt)), bare(model, lean=True)
    macs = count_macs(form, image) - count_macs(lean, image)
    return Method(part.enters, part.per_image, prompt.spiking, learned, macs, _numbers(form) - _numbers(lean))


def _numbers(module: nn.Module) -> int:
    """Floating-point numbers that a network stores, those of its prompt included."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())
