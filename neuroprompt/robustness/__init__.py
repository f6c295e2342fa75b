"""Noise and corruption of images, for tests of robustness."""
