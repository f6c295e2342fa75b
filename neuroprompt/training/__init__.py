"""Training a prompt: configuration, run folder, training loop, evaluation, and quantisation-aware training."""
