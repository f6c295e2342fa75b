"""A frozen backbone, the prompt that enters it and the head on top: what is trained and evaluated."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from neuroprompt.contracts.learning import Backbone, Generator, Head, Preprocess, Prompt, Stream
from neuroprompt.contracts.padding import margins
from neuroprompt.training.beside import drives, widened
from neuroprompt.training.cast import cast_once


def preprocess_for(backbone: Backbone, prompt: Prompt) -> Preprocess:
    """The backbone's preprocessing, to the prompt's image size where it has one; the rest is canvas."""
    usual, image = backbone.preprocess, prompt.image_size()
    if image is None or image == usual.size:
        return usual
    return dataclasses.replace(usual, size=image, canvas=usual.size)


class PromptedModel(nn.Module):
    """logits = head(backbone(normalise(prompt.pixels(images)), prompt tokens)); prompt and head learn.

    images (B, 3, *preprocess.size) in [0, 1] -> logits (B, K). The backbone stays in eval mode, and frozen unless the
    prompt says otherwise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, prompt: Prompt, head: Head) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(prompt.tunes_backbone).eval()
        self.prompt = prompt
        self.head = head
        self.preprocess = preprocess_for(backbone, prompt)
        self.register_buffer("mean", torch.tensor(self.preprocess.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.preprocess.std).view(3, 1, 1), persistent=False)
        self._margins = margins(self.preprocess.size, backbone.preprocess.size)
        self._form: tuple[nn.Module, ...] = ()
        self._wide: tuple[Backbone, ...] = ()

    def normalise(self, images: Tensor) -> Tensor:
        """(images - mean) / std, for images in [0, 1]."""
        return (images - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, 3, *preprocess.size) in [0, 1]."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Features (B, F) of the same images, prompted."""
        return self.through(self.normalise(self.prompt.pixels(images)), self.entering())

    def through(self, inputs: Tensor, tokens: Tensor | Stream | None) -> Tensor:
        """Features (B, F) of what enters the backbone, whose weights are those that the prompt gives it."""
        if self.prompt.enters == "layers":
            beside: Tensor = self.widened()(inputs)
            return beside
        keyed = (self.prompt.keyed,) if self.prompt.keyed else ()
        changed = self.prompt.weights(dict(self.backbone.named_parameters()))
        if not changed:
            features: Tensor = self._network(inputs, tokens, *keyed)
            return features
        adapted: Tensor = functional_call(self.backbone, changed, (inputs, tokens))
        return adapted

    def widened(self) -> Backbone:
        """The backbone with what the prompt has beside its layers; raises Unsupported where it cannot have that."""
        if not self._wide:
            # In a tuple, because it is no part of the model: its parameters are the backbone's and the prompt's.
            self._wide = (widened(self.backbone, self.prompt.beside()),)
        return self._wide[0]

    def drives(self, images: Tensor) -> dict[str, Tensor]:
        """What drives the neurons beside each layer, for images (B, ...) in [0, 1]; see `beside.drives`."""
        return drives(lambda: self.features(images), self.prompt.beside())

    @torch.no_grad()
    def generator(self) -> Generator | None:
        """The prompt's spiking part: its generator, or all neurons beside layers, one for each number of an image."""
        if self.prompt.enters != "layers":
            return self.prompt.generator()
        blank = torch.zeros(1, 3, *self.preprocess.size, device=self.mean.device)
        return self.prompt.gate_neurons(sum(drive.numel() for drive in self.drives(blank).values()))

    @torch.no_grad()
    def generator_inputs(self, images: Tensor) -> Tensor:
        """Inputs (runs, T, n_in) of `generator` for images (B, 3, H, W) in [0, 1], where it depends on them."""
        if self.prompt.enters != "layers":
            return self.prompt.generator_inputs(images)
        drives = self.drives(images).values()
        return torch.cat([drive.reshape(len(images), -1) for drive in drives], dim=1).unsqueeze(1)

    @torch.no_grad()
    def merged(self) -> Backbone:
        """The backbone with the weights that the prompt gives it: a copy, or itself where it gives none."""
        changed = self.prompt.weights(dict(self.backbone.named_parameters()))
        if not changed:
            return self.backbone
        twin = copy.deepcopy(self.backbone)
        for name, value in changed.items():
            twin.get_parameter(name).copy_(value)
        return twin

    def quicken(self, kind: torch.dtype | None = None) -> None:
        """Run a frozen backbone in its form for training: the same features up to rounding, in less time and memory.

        Until the model moves to another device. A backbone that learns stays as it is. `kind` is what autocast
        multiplies in: then frozen weights are cast once, and the form runs under autocast alone.
        """
        if not self.prompt.tunes_backbone and self.prompt.enters != "layers":
            # In a tuple, because it is no part of the model: its weights are the backbone's.
            form = self.backbone.for_training()
            self._form = (form if kind is None else cast_once(form, kind),)

    @torch.no_grad()
    def settled(self) -> Callable[[Tensor], Tensor]:
        """`forward` in eval mode, where nothing learns any more: a static prompt's tokens are made once.

        As deployed: its tokens are keys and values alone, and the last block makes what the head reads.
        """
        self.eval().quicken()
        tokens = None if self.prompt.per_image else self.prompt.tokens()

        def logits(images: Tensor) -> Tensor:
            entering = self.prompt.stream() if tokens is None else tokens
            out: Tensor = self.head(self.through(self.normalise(self.prompt.pixels(images)), entering))
            return out

        return logits

    @property
    def _network(self) -> nn.Module:
        return self._form[0] if self._form else self.backbone

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        self._form, self._wide = (), ()
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def entering(self) -> Tensor | Stream | None:
        """What enters the backbone beside the image."""
        return self.prompt.stream() or self.prompt.tokens()

    def inputs(self, images: Tensor) -> Tensor:
        """What a deployed file takes for images in [0, 1]: normalised, in the middle of the canvas."""
        return F.pad(self.normalise(images), self._margins)

    def images(self, inputs: Tensor) -> Tensor:
        """The images in [0, 1] that `inputs` was made of."""
        return self.off_canvas(inputs) * self.std + self.mean

    def off_canvas(self, inputs: Tensor) -> Tensor:
        """The image's part of `inputs`, without the canvas around it."""
        left, right, top, bottom = self._margins
        height, width = inputs.shape[-2:]
        return inputs[..., top : height - bottom, left : width - right]

    def prompted(self, inputs: Tensor) -> Tensor:
        """`inputs` with the pixel prompt in them, as the backbone takes them."""
        return self.normalise(self.prompt.pixels(self.images(inputs)))

    @torch.no_grad()
    def overlay(self) -> Tensor | None:
        """What a static pixel prompt adds to every input, (3, H, W); None where there is none.

        pixels(X) is X in the middle of zeros, or R X C, plus a constant. So the input of an image that is all mean,
        which is 0, becomes that constant over std, and what is left of -mean / std where the prompt's frame is.
        """
        if self.prompt.enters != "pixels" or self.prompt.per_image:
            return None
        grey = self.mean.expand(1, 3, *self.preprocess.size)
        return self.normalise(self.prompt.pixels(grey))[0]

    def held(self) -> list[Tensor]:
        """All weights and constants, with those that the form for training has of its own."""
        parts = [self, *self._form]
        return [tensor for part in parts for tensor in (*part.parameters(), *part.buffers())]

    def learned(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by name: `prompt.*`, `head.*`, and `backbone.*` where it is tuned."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def kept(self) -> dict[str, Tensor]:
        """All that training may change, the head's buffers too, by name; the tensors themselves."""
        mapping = {f"head.{name}": value for name, value in self.head.state_dict().items()}
        return {name: p.detach() for name, p in self.learned().items()} | mapping

    def train(self, mode: bool = True) -> PromptedModel:
        """Switch prompt and head; the backbone stays in eval mode."""
        super().train(mode)
        self.backbone.eval()
        return self
