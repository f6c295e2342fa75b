"""What is deployed: the bundle and its contents, predictions, the hybrid pipeline, and the way to a hub and back."""
