"""What output mappings share: the backbone's frozen classifier, and which of its classes stand for the task's."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.contracts.learning import Head
from neuroprompt.errors import BadSetting


class SourceHead(Head):
    """A head on the logits (B, S) of the classes that the backbone was trained on.

    The classifier is frozen and comes with the backbone's weights or a file, so that a run does not store it. One with
    a `scale` (CLIP's text) compares directions: logits_s = scale cos(features, row s).
    """

    needs_classifier = True
    source_weight: Tensor
    source_bias: Tensor

    def __init__(self, features: int, classifier: nn.Linear) -> None:
        super().__init__()
        if classifier.in_features != features:
            got = f"a classifier of {classifier.in_features} features"
            raise BadSetting(got, f"the backbone's {features}", "choose the linear head")
        bias = torch.zeros(classifier.out_features) if classifier.bias is None else classifier.bias
        self.scale: float | None = getattr(classifier, "scale", None)
        self.register_buffer("source_weight", classifier.weight.detach().clone(), persistent=False)
        self.register_buffer("source_bias", bias.detach().clone(), persistent=False)

    def source(self, features: Tensor) -> Tensor:
        """Logits (B, S) of features (B, F)."""
        if self.scale is not None:  # the rows are of length 1 as they come
            return self.scale * F.linear(F.normalize(features, dim=-1), self.source_weight)
        return F.linear(features, self.source_weight, self.source_bias)


class FrequencyHead(SourceHead):
    """logits_k = mean over m of source logits[index[k, m]]: a constant index, of which nothing learns by gradient.

    `sources` (m) source classes stand for each target class, and each for one only. Until it is fitted, target class k
    has the source classes k m to k m + m - 1. Raises BadSetting where there are too few source classes.
    """

    index: Tensor

    def __init__(
        self,
        features: int,
        classes: int,
        classifier: nn.Linear,
        sources: Annotated[int, "source classes that each class of the task is read from"] = 1,
    ) -> None:
        super().__init__(features, classifier)
        if sources < 1:
            raise BadSetting(f"sources {sources}", "at least 1")
        if classes * sources > classifier.out_features:
            got = f"{classes} classes with sources={sources} need {classes * sources} classes of the backbone's own"
            fix = "choose the full or the linear head" + (", or fewer sources" if sources > 1 else "")
            raise BadSetting(got, f"at most the {classifier.out_features} that it has", fix)
        self.register_buffer("index", torch.arange(classes * sources).view(classes, sources))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, F)."""
        logits = self.source(features).index_select(1, self.index.flatten())
        classes, sources = self.index.shape
        return logits if sources == 1 else logits.unflatten(1, (classes, sources)).mean(2)

    def fit(self, counts: Tensor) -> None:
        """Map anew from counts (S, K); see `greedy`."""
        self.index.copy_(greedy(counts, self.index.shape[1]))


def greedy(counts: Tensor, sources: int) -> Tensor:
    """Source classes (K, sources), most frequent first, of counts (S, K).

    Again and again the largest cell s, k that is left: source s is given to target k and retired, and so is k when it
    has `sources` of them. Of equal cells the one with the smaller s, then the smaller k.
    """
    cells = counts.numpy()
    chosen: list[list[int]] = [[] for _ in range(cells.shape[1])]
    free = np.ones(len(cells), dtype=bool)
    rows, columns = np.nonzero(cells)  # in the order of s, then k, which a stable sort keeps among equals
    for cell in np.argsort(-cells[rows, columns], kind="stable"):
        s, k = int(rows[cell]), int(columns[cell])
        if free[s] and len(chosen[k]) < sources:
            chosen[k].append(s)
            free[s] = False
    # Then all cells are 0: the first free sources, to the first targets that lack some.
    left = iter(np.flatnonzero(free).tolist())
    for of_target in chosen:
        of_target.extend(next(left) for _ in range(sources - len(of_target)))
    return torch.tensor(chosen)
