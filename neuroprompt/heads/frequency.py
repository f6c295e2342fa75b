"""Frequency label mapping: each class of the task is read from those source classes that it is most often taken for."""

from __future__ import annotations

from neuroprompt.heads._mapping import FrequencyHead


class Frequency(FrequencyHead):
    """logits_k = mean over m of source logits[index[k, m]], the index counted once, before training; 0 parameters.

    On the training images, with the prompt as it is drawn, count which source class s the backbone calls those of
    class k; then, greedily, the largest cell first, one to one. `sources` (m) more of them are averaged.

    FLM of ILM-VP (Chen et al., CVPR 2023, arXiv 2211.11635); `sources` is AutoVP's out_map_num (Tsao et al., ICLR
    2024, arXiv 2310.08381).
    """

    refit = "once"
