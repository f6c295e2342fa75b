"""From what was trained to what is deployed: a spiking model in all its forms, and the tokens its integers make."""

from __future__ import annotations

import copy

import nir
import numpy as np
import snntorch
import torch
from torch import Tensor, nn

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.lower import lower, stimulus
from neuroprompt.contracts.deployment import Floats, SpikingTarget
from neuroprompt.contracts.learning import Generator, Prompt
from neuroprompt.errors import ParityError
from neuroprompt.spiking.chain import to_nir
from neuroprompt.spiking.neurons import IF, LIF, Current
from neuroprompt.spiking.program import SpikingModel


def spiking_model(generator: Generator, inputs: Floats | None = None, scale: float | None = None) -> SpikingModel:
    """The generator as NIR graph, float and integer program; `inputs` (T, n_in) and `scale` as in `quantise`."""
    return model_of_graph(to_nir(generator), inputs=inputs, scale=scale, largest=generator.largest)


def deployed_tokens(prompt: Prompt, model: SpikingModel | None = None) -> Tensor | None:
    """The tokens (L, N, D) that a static prompt has once deployed: quantise first, bake second.

    A spiking prompt's come from the spike counts of its integer generator (`model`, or a new one) on the Loihi
    emulator, so that chip and baked file agree by construction; any other prompt's are its own. None where it has
    none.
    """
    tokens = prompt.tokens()
    if tokens is None:
        return None
    generator = prompt.generator()
    if generator is None:
        return tokens.detach()
    model = spiking_model(generator) if model is None else model
    target = SpikingTarget.named("loihi")
    spikes = target.run(model, stimulus(model.fixed_program), "fixed").spikes
    counts = next(reversed(list(spikes.values()))).sum(axis=0)
    with torch.no_grad():
        return prompt.decode(torch.from_numpy(counts).to(tokens)).to(tokens)


def check_graph(graph: nir.NIRGraph, generator: Generator, inputs: Floats | None = None) -> dict[str, int]:
    """Hold the graph (on the reference target) to the torch modules in float64, spike by spike; raises ParityError.

    `inputs` (T, n_in), or (lanes, T, n_in) for runs of their own. Returns how many neurons (of one lane), steps and
    spikes were compared.
    """
    program = lower(graph, generator.steps)
    inputs = stimulus(program) if inputs is None else inputs
    target = SpikingTarget.named("reference")
    model, spikes = SpikingModel(graph, program, program), 0
    for lane in inputs if inputs.ndim == 3 else inputs[None]:
        theirs = target.run(model, lane, "float").spikes
        for (name, a), b in zip(theirs.items(), _module_spikes(generator, lane), strict=True):
            if not np.array_equal(a, b):
                step, neuron = (int(i) for i in np.argwhere(a != b)[0])
                got = f"node {name!r} and its module differ at step {step}, neuron {neuron}, in {(a != b).sum()} spikes"
                raise ParityError(got, "equal spikes", "a potential may lie on the threshold")
            spikes += int(a.sum())
    return {"neurons": sum(p.size for p in program.populations), "steps": generator.steps, "spikes": spikes}


@torch.no_grad()
def _module_spikes(generator: Generator, inputs: Floats) -> list[np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Spikes (T, n) of every neuron module, in float64 and eval mode."""
    chain = copy.deepcopy(generator.chain).cpu().double().eval()
    for module in chain:
        if isinstance(module, LIF):  # 1 - 1/tau was rounded to float32 when the module was made
            module.leaky.beta.fill_(1 - 1 / module.tau)
    neurons = [m for m in chain if isinstance(m, (IF, LIF, snntorch.Leaky))]
    v: dict[nn.Module, Tensor] = {}
    spikes: dict[nn.Module, list[Tensor]] = {m: [] for m in neurons}
    for x in torch.from_numpy(inputs.astype(np.float64)):
        signal = x
        for module in chain:
            if isinstance(module, Current):
                signal = module()
            elif module in spikes:
                fired, v[module] = module(signal, v.get(module, torch.zeros_like(signal)))
                signal = fired.double()
                spikes[module].append(signal)
            else:
                signal = module(signal)
    return [torch.stack(s).numpy() > 0 for s in spikes.values()]
