"""What a small chip means: the generators of Spike-NVPT and LoRSP on Xylo, in pieces of at most 1,000 neurons.

    python examples/xylo_pieces.py [xylo|xylosim]     (half a minute)

Both are those of a vit_small_patch16_224 before training. Each of Spike-NVPT's neurons fires as in float.
LoRSP's do not fit, so the example makes the changes that the chip asks for, one after the other:

    LoRSP  v <- 3/4 v + P / 4, P = A B, B = W_t x for a row x of the image;  a spike if v > 0;  v <- 0
    near   u <- u / 2 + A n b / 8, n the spikes of lines that fire at rates |B| / b, one for each sign;
           v <- 3/4 v + u;  a spike if v > threshold;  v <- v - threshold

Those are other neurons. They are compared with themselves in float, and a prompt would have to be trained with them.
"""

import sys
from dataclasses import replace

import torch
from torch import Tensor

from neuroprompt.compiler.encode import encoded
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.contracts.learning import Data, Preprocess, Prompt, PromptSite
from neuroprompt.errors import Unsupported
from neuroprompt.prompts.lorsp import LoRSP
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.spiking.weights import Weights
from neuroprompt.training.deploy import spiking_model

SITE = PromptSite(depth=12, width=384, image=(3, 224, 224), patch=16)
CHIP = 1000
ROWS, TICKS = 2, 8
"""Rows of a channel that share a chip's 16 lines, and the steps in which a rate is sent for each step of LoRSP."""


def generator(prompt: Prompt) -> SpikingModel:
    """Of that prompt, as it begins."""
    chain = prompt.generator()
    assert chain is not None
    return spiking_model(chain)


def piece(model: SpikingModel, start: int) -> SpikingModel:
    """The neurons of a chip, from `start` on, of a generator in which none hears another."""
    (population,) = model.float_program.populations
    neurons = slice(start, start + CHIP)
    bias, currents = population.bias[neurons], tuple((onset, values[neurons]) for onset, values in population.currents)
    part = replace(population, size=len(bias), bias=bias, currents=currents)
    return replace(model, float_program=replace(model.float_program, populations=(part,)), fitted_on=None)


def spike_nvpt(target: SpikingTarget) -> None:
    """A constant current into each neuron: exact."""
    model = generator(Prompt.named("spike-nvpt", site=SITE))
    program = model.float_program
    (population,) = program.populations
    inputs, spikes, wrong = stimulus(program), 0, 0
    starts = range(0, population.size, CHIP)
    for start in starts:
        part = piece(model, start)
        chip = target.run(part, inputs, "fixed").spikes[population.name]
        right = SpikingTarget.named("loihi").run(part, inputs, "float").spikes[population.name]
        spikes, wrong = spikes + int(right.sum()), wrong + int((chip != right).sum())
    print(f"spike-nvpt on {target.name}: {population.size:,} neurons, {program.steps} steps, ", end="")
    print(f"{len(starts)} chips of {CHIP:,}")
    print(f"{spikes:,} spikes; {wrong:,} entries are not those of float")


def neurons(model: SpikingModel, **numbers: float | str) -> SpikingModel:
    """The model with other numbers of its neurons."""
    (population,) = model.float_program.populations
    population = replace(population, **numbers)  # type: ignore[arg-type]
    return replace(model, float_program=replace(model.float_program, populations=(population,)))


def behind(model: SpikingModel, weights: Tensor, runs: Tensor) -> SpikingModel:
    """As many of its neurons as there are rows of `weights` (n, lines), behind those lines, fitted on `runs`."""
    program = model.float_program
    (population,), (projection,) = program.populations, program.projections
    population = replace(population, size=len(weights), bias=population.bias[: len(weights)])
    projections = (replace(projection, weights=Weights(weights.numpy())),)
    _, steps, lines = runs.shape
    program = replace(program, steps=steps, inputs=lines, populations=(population,), projections=projections)
    return replace(model, float_program=program, fitted_on=runs.numpy())


def rates(factors: Tensor, largest: float) -> Tensor:
    """B (rows, T, r) as rates, with a line for each sign: (chips, T TICKS, ROWS 2 r)."""
    signs = torch.cat([factors, -factors], dim=-1).clamp(min=0) / largest
    chips: Tensor = signs.unflatten(0, (-1, ROWS)).transpose(1, 2).flatten(2)
    return chips.repeat_interleave(TICKS, dim=1)


def tried(target: SpikingTarget, what: str, model: SpikingModel, inputs: Tensor) -> None:
    """Print why the target rejects a model."""
    try:
        target.run(model, inputs.numpy())
        print(f"  {what}: runs")
    except Unsupported as reason:
        print(f"  {what}: {reason}")


@torch.no_grad()
def lorsp(target: SpikingTarget) -> None:
    """Rejected, and changed until it runs; fitted on some rows of one image, and compared with float on another."""
    prompt = Prompt.named("lorsp", site=SITE)
    assert isinstance(prompt, LoRSP)
    model = generator(prompt)
    program, (channels, height, _) = model.float_program, SITE.image
    (population,) = program.populations
    row = torch.zeros(program.steps, program.inputs)
    print(f"lorsp on {target.name}: {height * population.size:,} neurons, {program.steps} steps, ", end="")
    print(f"{height} chips, a row of the image on each: {population.size} neurons, {program.inputs:,} lines")
    images = Data.named("digits", limit=10).load(Preprocess(size=SITE.image[1:]), seed=0).test
    pixels = torch.stack([images[i][0] for i in range(2)]).double() / 255
    threshold = float(prompt.factors(pixels).std()) / 2
    tried(target, "as it is", model, row)
    model = neurons(model, reset="subtract")
    tried(target, "with a reset that subtracts", model, row)
    model = neurons(model, vth=threshold)
    tried(target, f"and a threshold of {threshold:.1e}", model, row)
    model = neurons(model, du=0.5)
    tried(target, "and a current that halves", model, row)

    factors = (pixels @ prompt.w.double()).unflatten(-1, (program.steps, -1))  # (2, C, H, T, r)
    largest, lines = float(factors.abs().max()), ROWS * 2 * prompt.rank
    ours = theirs = both = several = 0
    for channel, matrix in enumerate(prompt.a.double()):
        weights = torch.block_diag(*[torch.cat([matrix.mT, -matrix.mT], dim=1) * largest / 8] * ROWS)
        numbers = [rates(image[channel], largest) for image in factors]
        fit, runs = (torch.from_numpy(encoded(each.numpy(), "rate", channel)) for each in numbers)
        near = behind(model, weights, fit[:: len(fit) // 8])
        if channel == 0:
            tried(target, f"and {lines} lines, for {ROWS} rows of a channel, with B from outside", near, numbers[1])
        recording = target.run(near, runs.numpy())
        chip = recording.spikes[population.name]
        right = SpikingTarget.named("loihi").run(near, runs.numpy(), "float").spikes[population.name]
        ours, theirs, both = ours + int(chip.sum()), theirs + int(right.sum()), both + int((chip & right).sum())
        several += int(recording.several[population.name].sum())
    print(f"  and spikes at those rates: {channels * len(runs)} chips of {len(weights)} neurons, {runs.shape[1]} steps")
    print(f"{ours / 1e3:.0f} thousand spikes, {theirs / 1e3:.0f} in float; ", end="")
    print(f"{both / (ours + theirs - both):.1%} of all are the same; ", end="")
    print(f"{several / 1e3:.0f} thousand entries have several on the chip, and count as one")


def main(name: str) -> None:
    """Both on the target of that name."""
    torch.manual_seed(0)
    target = SpikingTarget.named(name)
    spike_nvpt(target)
    lorsp(target)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["xylo"]))
