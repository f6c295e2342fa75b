"""Sweeps: a grid of training runs over seeds, on any engine, and the paired table of what they reach."""
