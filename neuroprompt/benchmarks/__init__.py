"""Timing, one file for each thing that is timed; always ratios within one run."""
