"""Scripts that run in a target's own runtime; they import nothing of neuroprompt."""
