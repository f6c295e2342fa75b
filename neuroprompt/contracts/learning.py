"""The contracts of what is trained: Prompt, Backbone, Head, Data.

Prompts do not know backbones and backbones do not know prompts: both know where a prompt enters (tokens, pixels,
weights, beside layers or nowhere) and whether it is the same for every image. What of these contracts needs no torch is
in `specs`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neuroprompt.contracts.pieces import Beside, Gated, Generator, Stream
from neuroprompt.contracts.specs import BackboneSpec, Preprocess, PromptSite
from neuroprompt.errors import Unsupported
from neuroprompt.plugin import Plugin
from neuroprompt.progress import SILENT, Progress

__all__ = [
    "Backbone",
    "BackboneSpec",
    "Beside",
    "Data",
    "Gated",
    "Generator",
    "Head",
    "Images",
    "Labelled",
    "Preprocess",
    "Prompt",
    "PromptSite",
    "Stream",
]

# --- prompts ---------------------------------------------------------------------------------------------------------


class Prompt(nn.Module, Plugin, ABC):
    """A small learnable part that adapts a frozen backbone; one file per method in `prompts/`.

    `enters` says where, `per_image` whether it depends on the image, `spiking` whether neurons make it (an instance
    may say otherwise than its class), and `tunes_backbone` whether the backbone learns too. Before training, `begin`
    gets the patch tokens of `sample` training images, if that is not 0. `keyed`: the last 2 `keyed` of a block's tokens
    are keys, and then values, of its attention themselves; only where the PromptSite is `keyed`. A constructor takes
    the PromptSite first and then the method's settings, each with a default and its meaning (see `Plugin`).
    """

    kind = "prompt method"
    folder = "neuroprompt.prompts"
    enters: ClassVar[Literal["tokens", "pixels", "weights", "layers", "nowhere"]]
    per_image: ClassVar[bool] = False
    spiking: bool = False
    keyed: int = 0
    tunes_backbone: ClassVar[bool] = False
    sample: int = 0

    def begin(self, blocks: Sequence[Tensor]) -> None:
        """Choose initial values by the patch tokens (n, D_i) that enter each block, of all sampled images in order."""

    def tokens(self) -> Tensor | None:
        """Prompt tokens (L, N, D): L = depth where every block has its own, L = 1 where they enter block 0 only."""
        return None

    def stream(self) -> Stream | None:
        """A new Stream, where prompt tokens depend on the image."""
        return None

    def pixels(self, images: Tensor) -> Tensor:
        """Prompted images (B, 3, H, W) for images (B, 3, *image_size) in [0, 1], before normalisation.

        Unless `per_image`, it is the image in the middle of zeros (or as `resampling` says), plus a constant: what
        baking relies on.
        """
        return images

    def resampling(self) -> tuple[Tensor, Tensor] | None:
        """R (H, h) and C (w, W) where `pixels` of images X (B, 3, h, w) is R X C plus a constant; None for padding."""
        return None

    def weights(self, frozen: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """New values of some of the backbone's parameters, by name, given all `frozen` ones; none by default.

        They take the parameters' places in training, and are merged into the deployed network: nothing is left.
        """
        return {}

    def beside(self) -> Mapping[str, Beside]:
        """What is added to what linear layers give, by the name of their weight (one of the PromptSite's `layers`).

        It depends on the image, and stands in the deployed graph. None by default.
        """
        return {}

    def gate_neurons(self, count: int) -> Generator:
        """`count` of the neurons in what is `beside` layers, driven one to one; only where there are any."""
        raise NotImplementedError(f"{type(self).__name__} has no neurons beside layers")

    def spikes(self, images: Tensor) -> Tensor | None:
        """Spikes of 0 and 1 (B, T, ...) that make the prompted `images`; None where no neurons make pixels."""
        return None

    def image_size(self) -> tuple[int, int] | None:
        """(height, width) to which images are resized for `pixels`; None: the PromptSite's."""
        return None

    def generator(self) -> Generator | None:
        """The spiking part, for export; None where there is none."""
        return None

    def generator_inputs(self, images: Tensor) -> Tensor:
        """Inputs (runs, T, n_in) of `generator` for images (B, 3, H, W) in [0, 1]; only where it is `per_image`.

        Every run begins at rest.
        """
        raise NotImplementedError(f"{type(self).__name__} has no generator that takes images")

    def gated(self) -> Gated | None:
        """The parts of a pixel prompt whose neurons run elsewhere than the rest; None where it has no such parts."""
        return None

    def decode(self, counts: Tensor) -> Tensor:
        """Tokens (L, N, D) from the generator's spike counts (n,) over its steps."""
        raise NotImplementedError(f"{type(self).__name__} has no generator")

    def penalty(self) -> Tensor | float:
        """What the method adds to the training loss; 0 by default."""
        return 0.0


OF_PLACES = ("cpb_mlp", "meta_mlp", "rel_pos")
"""What timm calls the small networks of relative positions, which no image enters."""


# --- backbones -------------------------------------------------------------------------------------------------------


class Backbone(nn.Module, Plugin, ABC):
    """A frozen network and the places where a prompt may enter it; one file per family in `backbones/`.

    A family wraps a timm model. `forward` takes normalised images (B, C, H, W) and returns features (B, `features`).
    A `fallback` holds models of any kind, and is asked when no other family holds one. `why_no_tokens` is the reason
    where prompt tokens may not enter.
    """

    kind = "backbone family"
    folder = "neuroprompt.backbones"
    fallback: ClassVar[bool] = False
    why_no_tokens: ClassVar[str] = ""
    site: PromptSite
    checkpointing: bool = False  # whether gradients keep only what enters each block

    def __init__(self, model: nn.Module, spec: BackboneSpec, preprocess: Preprocess, features: int) -> None:
        """Keep all but the PromptSite, which the family adds; raises Unsupported for a model with a classifier."""
        super().__init__()
        if getattr(model, "num_classes", 0):
            raise Unsupported("a backbone with a classifier", "a timm model made with num_classes=0")
        self.spec, self.preprocess, self.features = spec, preprocess, features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters by name, for the PromptSite."""
        return {name: tuple(parameter.shape) for name, parameter in self.named_parameters()}

    def linear_layers(self) -> tuple[str, ...]:
        """Names of the weights of linear layers, for the PromptSite: of those that timm calls, and that see images."""
        return tuple(
            f"{name}.{part}.weight"
            for name, module in self.named_modules()
            for part, layer in module.named_children()
            if type(layer) is nn.Linear and not (part == "qkv" and hasattr(module, "q_bias"))
            if not any(network in name for network in OF_PLACES)
        )

    @classmethod
    @abstractmethod
    def holds(cls, model: nn.Module) -> bool:
        """Whether this family can wrap that timm model."""

    @classmethod
    def family(cls, model: nn.Module) -> type[Backbone] | None:
        """The family that holds a timm model, a fallback last; None where there is none."""
        families = sorted((cls.part(name) for name in cls.names()), key=lambda part: part.fallback)
        return next((part for part in families if part.holds(model)), None)

    @abstractmethod
    def forward(self, images: Tensor, tokens: Tensor | Stream | None = None, keyed: int = 0) -> Tensor:
        """Features (B, F) of normalised images (B, C, H, W), with Prompt.tokens or a Stream; raises Unsupported.

        `keyed` as the prompt's: how many of a block's tokens are keys, and as many values.
        """

    def for_training(self) -> nn.Module:
        """A module of the same frozen weights that does what `forward` does, up to rounding, for less."""
        return self

    def checkpoint(self) -> None:
        """From now on keep less for gradients, and compute it twice; raises Unsupported where timm cannot."""
        try:
            cast(Any, self).model.set_grad_checkpointing(True)
        except (AttributeError, AssertionError) as error:
            expected = "a backbone whose blocks timm can compute twice"
            raise Unsupported(f"--checkpointing of {self.spec.name!r}", expected, "leave it out") from error
        self.checkpointing = True

    def piece(self, block: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """block(*inputs); with `checkpointing`, nothing inside of it is kept for the gradient."""
        if not (self.checkpointing and torch.is_grad_enabled()):
            return block(*inputs)
        return checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False)

    def block_inputs(self, images: Tensor) -> list[Tensor]:
        """Patch tokens (B, P, D_i) that enter each block that takes prompts, for normalised images and no prompt."""
        return []

    @abstractmethod
    def baked(self, tokens: Tensor | None = None, overlay: Tensor | None = None, keyed: int = 0) -> nn.Module:
        """A module (images -> features) in which a static prompt is constant; exact, and free of prompt generation.

        `tokens` (L, N, D) and `keyed` as in `forward`; `overlay` (C, H, W) is added to every normalised image. Neither:
        the bare network in the same form, so that the two tell what the prompt alone costs; it takes a Stream where
        `forward` does. Raises Unsupported, BadSetting.
        """


# --- heads -----------------------------------------------------------------------------------------------------------


class Head(nn.Module, Plugin, ABC):
    """An output mapping: logits (B, K) of features (B, F); one file per mapping in `heads/`.

    A constructor takes `features` and `classes`, then `classifier` (the backbone's own, frozen) where
    `needs_classifier`, then its settings. `refit` says when training calls `fit`: before the first epoch, or before
    every one.
    """

    kind = "output mapping"
    folder = "neuroprompt.heads"
    needs_classifier: ClassVar[bool] = False
    refit: ClassVar[Literal["never", "once", "epoch"]] = "never"

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, F)."""

    def source(self, features: Tensor) -> Tensor:
        """Logits (B, S) of the classes that the backbone was trained on; only where `needs_classifier`."""
        raise NotImplementedError(f"{type(self).__name__} has no source classes")

    def begin(self) -> None:
        """Read what the mapping is made of, before training; nothing by default. Raises BadSetting."""

    def fit(self, counts: Tensor) -> None:
        """Learn the mapping from counts (S, K): how many training images of class k the backbone calls s."""


# --- data ------------------------------------------------------------------------------------------------------------


Images = torch.utils.data.Dataset[tuple[Tensor, int]]
"""A map-style set of (image uint8 (3, H, W) at the asked size, label); has a length."""


@dataclass(frozen=True)
class Labelled:
    """A data set: three splits and the names of its classes; `val` may be empty.

    `drawn`: the source has no test images of its own, so that the three are parts of one set.
    """

    train: Images
    val: Images
    test: Images
    classes: tuple[str, ...]
    drawn: bool = False


class Data(Plugin, ABC):
    """A source of labelled images; one file per source in `data/`. `digits`, `folder:PATH`, `csv:FILE`,
    `torchvision:NAME`, ..."""

    kind = "data source"
    folder = "neuroprompt.data"

    @abstractmethod
    def load(self, preprocess: Preprocess, seed: int, progress: Progress = SILENT, *, val: str = "auto") -> Labelled:
        """Decode, resize as `preprocess` says, and split by `seed`; raises BadData, BadSetting.

        `val` says which images validate: "split" (the set's own), a share such as "0.1" (of every class, drawn by
        `seed`), "none", or "auto" (its own, else a fifth). With a share or "none", its own are training images too.
        What a user should know, such as files that are passed over, goes to `progress`.
        """
