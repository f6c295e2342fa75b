"""What a small chip means: a Spike-NVPT generator on Xylo in pieces of 1,000 neurons, and why LoRSP's does not fit.

    python examples/xylo_pieces.py [xylo|xylosim]

The generators are those of a vit_small_patch16_224 before training; every neuron must fire as it does in float.
"""

import sys
from dataclasses import replace

import torch

from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.contracts.learning import Prompt, PromptSite
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.training.deploy import spiking_model

SITE = PromptSite(depth=12, width=384, image=(3, 224, 224), patch=16)
CHIP = 1000


def generator(method: str) -> SpikingModel:
    """Of that method, as it begins."""
    chain = Prompt.named(method, site=SITE).generator()
    assert chain is not None
    return spiking_model(chain)


def piece(model: SpikingModel, start: int) -> SpikingModel:
    """The neurons of a chip, from `start` on, of a generator in which none hears another."""
    (population,) = model.float_program.populations
    neurons = slice(start, start + CHIP)
    bias, currents = population.bias[neurons], tuple((onset, values[neurons]) for onset, values in population.currents)
    part = replace(population, size=len(bias), bias=bias, currents=currents)
    return replace(model, float_program=replace(model.float_program, populations=(part,)), fitted_on=None)


def main(name: str) -> None:
    torch.manual_seed(0)
    target, float_target = SpikingTarget.named(name), SpikingTarget.named("loihi")
    model = generator("spike-nvpt")
    program = model.float_program
    (population,) = program.populations
    inputs, spikes, wrong = stimulus(program), 0, 0
    starts = range(0, population.size, CHIP)
    for start in starts:
        part = piece(model, start)
        chip = target.run(part, inputs, "fixed").spikes[population.name]
        right = float_target.run(part, inputs, "float").spikes[population.name]
        spikes, wrong = spikes + int(right.sum()), wrong + int((chip != right).sum())
    print(f"spike-nvpt on {name}: {population.size:,} neurons, {program.steps} steps, {len(starts)} chips of {CHIP:,}")
    print(f"{spikes:,} spikes; {wrong:,} entries are not those of float")
    try:
        target.refuse(generator("lorsp").float_program)
    except Unsupported as reason:
        print(f"lorsp: {reason}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["xylo"]))
