"""Linear probing: no prompt at all, only the head learns; the baseline that every prompt must beat."""

from __future__ import annotations

from neuroprompt.contracts.learning import Prompt, PromptSite


class Linear(Prompt):
    """No prompt: logits = W backbone(x) + b.  No parameters of its own."""

    enters = "nowhere"

    def __init__(self, site: PromptSite) -> None:
        super().__init__()
