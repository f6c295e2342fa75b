"""Loihi's integer arithmetic: the step of neurons and synapses, and the ranges that the chip can hold."""
