"""Xylo: the integers of SynSense's chip, what of a program fits it, and the search for the scales."""
