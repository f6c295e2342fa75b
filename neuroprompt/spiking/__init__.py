"""Neurons, the program that every simulator runs, its weights, and what a run counts."""
