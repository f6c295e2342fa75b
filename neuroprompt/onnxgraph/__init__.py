"""ONNX files: written, checked against PyTorch, and counted."""
