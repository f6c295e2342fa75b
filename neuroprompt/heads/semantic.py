"""Semantic label mapping: each class of the task is read from those source classes whose names mean nearly the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.tensor_files import read_tensors
from neuroprompt.errors import BadSetting
from neuroprompt.heads._mapping import FrequencyHead

FIX = "safetensors.torch.save_file({'source': s, 'target': t}, FILE) and --head-set names=FILE"


class Semantic(FrequencyHead):
    """logits_k = mean over m of source logits[index[k, m]], the index found by the names of classes; 0 parameters.

    In each of m = `sources` rounds, the classes k in turn take the source class s that is free and of the largest
    cos(t_k, s_s), t and s being text embeddings of the names of the task's classes and of the backbone's own.

    `names` is a safetensors file of `target` (K, E) and `source` (S, E), rows in the order of the classes, by one text
    model; AutoVP takes CLIP's ViT-B/32 of the bare names. It is read when training begins; the run keeps the index.

    Tsao et al., ICLR 2024 (arXiv 2310.08381), section 3, and the released code.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        classifier: nn.Linear,
        names: Annotated[str, "safetensors file with embeddings of class names: source (S, E), target (K, E)"] = "",
        sources: Annotated[int, "source classes that each class of the task is read from"] = 1,
    ) -> None:
        super().__init__(features, classes, classifier, sources)
        if not names:
            raise BadSetting("the semantic mapping without names", "a file of text embeddings of class names", FIX)
        self.file = Path(names)

    def begin(self) -> None:
        """Map by the file of names; raises BadSetting."""
        target, source = self._embeddings()
        self.index.copy_(in_turn(F.normalize(target, dim=1) @ F.normalize(source, dim=1).T, self.index.shape[1]))

    def _embeddings(self) -> tuple[Tensor, Tensor]:
        """Embeddings (K, E) and (S, E), in float64."""
        try:
            tensors, _ = read_tensors(self.file)
        except ValueError as error:
            raise BadSetting(f"{self.file} cannot be read ({error})", "a safetensors file", FIX) from error
        target, source = (self._checked(tensors, *each) for each in self._rows().items())
        if target.shape[1] != source.shape[1]:
            got = f"{self.file} with embeddings of {target.shape[1]} and {source.shape[1]} numbers"
            raise BadSetting(got, "target and source by one text model", FIX)
        return target, source

    def _rows(self) -> dict[str, int]:
        return {"target": len(self.index), "source": len(self.source_weight)}

    def _checked(self, tensors: dict[str, Tensor], key: str, count: int) -> Tensor:
        tensor = tensors.get(key)
        if tensor is None or tensor.ndim != 2 or len(tensor) != count:
            got = f"{self.file} with {f'no {key}' if tensor is None else f'a {key} of shape {tuple(tensor.shape)}'}"
            raise BadSetting(got, f"{key} ({count}, E), a row for each class", FIX)
        if not bool((tensor.isfinite().all(1) & tensor.bool().any(1)).all()):
            raise BadSetting(f"{self.file} with a row of {key} without direction", "finite numbers, not all 0", FIX)
        return tensor.double()


def in_turn(likeness: Tensor, sources: int) -> Tensor:
    """Source classes (K, sources): in each round, every row k of likeness (K, S) takes its largest that is free."""
    left, rounds = likeness.clone(), []
    for _ in range(sources):
        chosen = []
        for k in range(len(left)):
            chosen.append(int(left[k].argmax()))
            left[:, chosen[-1]] = -torch.inf
        rounds.append(chosen)
    return torch.tensor(rounds).T
