"""One trained model in the forms that are compared and deployed; each takes what the ONNX file takes."""

from __future__ import annotations

from torch import Tensor, nn

from neuroprompt.training.model import PromptedModel


class Unbaked(nn.Module):
    """logits = head(backbone(inputs, tokens)), the prompt generated as in training; static tokens may be given.

    inputs (B, 3, H, W) as PromptedModel.inputs makes them -> logits (B, K).
    """

    tokens: Tensor | None

    def __init__(self, model: PromptedModel, tokens: Tensor | None = None) -> None:
        super().__init__()
        self.model = model.eval()
        self.register_buffer("tokens", None if tokens is None else tokens.detach(), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, K)."""
        model = self.model
        if model.prompt.enters == "pixels":
            inputs = model.prompted(inputs)
        tokens = self.tokens if self.tokens is not None else model.entering()
        logits: Tensor = model.head(model.through(inputs, tokens))
        return logits


class _PerImage(nn.Module):
    """inputs (B, 3, H, W) -> inputs with their own pixel prompt in them."""

    def __init__(self, model: PromptedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model.prompted(inputs)


class _Resampled(nn.Module):
    """inputs (B, 3, H, W) -> R X C of their images X (B, 3, h, w), with the constant matrices of a static prompt."""

    rows: Tensor
    columns: Tensor

    def __init__(self, model: PromptedModel, rows: Tensor, columns: Tensor) -> None:
        super().__init__()
        self.off_canvas = model.off_canvas
        self.register_buffer("rows", rows.detach().contiguous())
        self.register_buffer("columns", columns.detach().contiguous())

    def forward(self, inputs: Tensor) -> Tensor:
        return self.rows @ self.off_canvas(inputs) @ self.columns


class _Streamed(nn.Module):
    """inputs (B, 3, H, W) -> logits (B, K), with prompt tokens that are made between the blocks of the baked form."""

    def __init__(self, model: PromptedModel) -> None:
        super().__init__()
        self.backbone, self.prompt, self.head = model.backbone.baked(), model.prompt, model.head

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(inputs, self.prompt.stream()))
        return logits


def deployed(model: PromptedModel, tokens: Tensor | None = None) -> nn.Module:
    """The model as it is exported: a static prompt baked in (`tokens` as deployed), one per image in the graph."""
    prompt, backbone = model.eval().prompt, model.merged()
    if not prompt.per_image:
        baked, matrices = backbone.baked(tokens, model.overlay(), prompt.keyed), prompt.resampling()
        first = [] if matrices is None else [_Resampled(model, *matrices)]
        return nn.Sequential(*first, baked, model.head).eval()
    if prompt.enters == "pixels":
        return nn.Sequential(_PerImage(model), backbone.baked(), model.head).eval()
    if prompt.enters == "layers":  # a transformer's lean blocks have no layers that anything could stand beside
        wide = model.widened()
        return nn.Sequential(wide if wide.site.depth else wide.baked(), model.head).eval()
    return _Streamed(model).eval()


def held_bytes(network: nn.Module) -> int:
    """Bytes of the weights and constants that a network holds, each storage once."""
    parts = {(t.untyped_storage().data_ptr(), t.storage_offset(), t.shape): t for t in network.state_dict().values()}
    return sum(t.numel() * t.element_size() for t in parts.values())


def bare(model: PromptedModel, *, lean: bool = False) -> nn.Module:
    """Backbone and head without a prompt: as timm's own modules are, or `lean`, in the form that baking gives them."""
    return nn.Sequential(model.backbone.baked() if lean else model.backbone, model.head).eval()
