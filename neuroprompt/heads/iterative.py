"""Iterative label mapping: the frequency mapping, counted anew before every epoch with the prompt as it is then."""

from __future__ import annotations

from neuroprompt.heads._mapping import FrequencyHead


class Iterative(FrequencyHead):
    """logits_k = mean over m of source logits[index[k, m]], the index counted before every epoch; 0 parameters.

    As `frequency`, which see. The mapping of the last epoch is the run's.

    ILM-VP: Chen et al., CVPR 2023 (arXiv 2211.11635), section 4; `sources` as in AutoVP (arXiv 2310.08381).
    """

    refit = "epoch"
