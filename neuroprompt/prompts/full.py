"""Full fine-tuning: no prompt, the whole backbone learns; the costly line that prompts are held against."""

from __future__ import annotations

from neuroprompt.contracts.learning import Prompt, PromptSite


class Full(Prompt):
    """No prompt: logits = W backbone(x) + b, and the backbone's parameters learn with W and b.

    Norms keep their running statistics and dropout stays off: the backbone is in eval mode, as it is deployed.
    """

    enters = "nowhere"
    tunes_backbone = True

    def __init__(self, site: PromptSite) -> None:
        super().__init__()
