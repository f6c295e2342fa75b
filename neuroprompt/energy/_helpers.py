"""What the price lists from Horowitz's figure share: the figure's name and what it leaves out."""

from __future__ import annotations

FIGURE = "Horowitz, Computing's Energy Problem (and what we can do about it), ISSCC 2014, Fig. 1.1.9"
TECHNOLOGY = "45 nm, 0.9 V"
LEAVES_OUT = (
    "memory traffic (the same figure has 10 to 100 pJ per 64 bits of cache and 1.3 to 2.6 nJ of DRAM), control, wires, "
    "static power, softmax and normalisation; the figure has no price for a neuron update or a spike"
)
