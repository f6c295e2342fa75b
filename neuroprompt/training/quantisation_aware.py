"""Quantisation-aware training: a spiking chain whose forward pass is Loihi's integer arithmetic, bit by bit.

What is trained then is what the chip runs: nothing is left to round, and spikes and potentials are equal by
construction.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from snntorch import surrogate
from torch import Tensor, nn
from torch.nn import functional as F

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.fit import integer_decays
from neuroprompt.compiler.lists import ANY, MIXED, ONE_SIGN, integer_lists
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.schedule import check_reset
from neuroprompt.compiler.shares import Share, shares
from neuroprompt.compiler.tasks import Tasks
from neuroprompt.contracts.learning import Generator
from neuroprompt.errors import BadSetting, OutOfRange, Unsupported
from neuroprompt.loihi.arithmetic import DECAY_ONE, HALF, MANTISSA, SHIFT, VTH_MAX, simulate
from neuroprompt.loihi.neurons import Trace
from neuroprompt.spiking.chain import to_nir
from neuroprompt.spiking.neurons import ATAN_ALPHA, leaky
from neuroprompt.spiking.program import GRADED, Population, Program, Projection, SpikingModel

Matrix = NDArray[np.float64]


class IntegerLinear(nn.Linear):
    """Synapses in the chip's integers: x (..., in) -> what they deliver (..., out), in weight units.

    spikes    a = W x + b
    numbers   a = floor(W X / 2^shift) + b,  X = round(x input_scale), where `input_scale` is above 0

    W = round(w c), even where signs are mixed, within 8 bits and a sign, and b = round(b s); c = s of spikes, and of
    numbers s 2^shift / input_scale. `weight` and `bias` are floats, in the float model's units, and learn straight
    through the rounding. Raises Unsupported for x that are neither.
    """

    scale: Tensor
    input_scale: Tensor
    shift: Tensor

    def __init__(
        self, weight: Tensor, bias: Tensor | None, scale: float, *, input_scale: float = 0.0, shift: int = 0
    ) -> None:
        super().__init__(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)  # type: ignore[assignment]
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))
        self.register_buffer("input_scale", torch.tensor(input_scale, dtype=torch.float64))
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float64))

    def integers(self) -> tuple[Tensor, Tensor | None]:
        """(W, b) as the chip has them, whole numbers in float64, with gradients; raises BadSetting for NaN."""
        numbers = bool(self.input_scale)
        exact = self.weight.double() * (self.scale * 2**self.shift / self.input_scale if numbers else self.scale)
        bias = None if self.bias is None else self.bias.double() * self.scale
        if not torch.isfinite(exact).all() or (bias is not None and not torch.isfinite(bias).all()):
            raise BadSetting("weights that are not finite", "numbers", "train with a smaller learning rate")
        if exact.min() < 0 < exact.max():
            whole = (2 * torch.round(exact / 2)).clamp(-MIXED - 2 * (not numbers), MIXED)
        else:
            whole = torch.round(exact).clamp(-ONE_SIGN, ONE_SIGN)
        if bias is None:
            return _through(whole, exact), None
        limits = (-GRADED, GRADED) if numbers else MANTISSA
        return _through(whole, exact), _through(torch.round(bias).clamp(*limits), bias)

    def forward(self, x: Tensor) -> Tensor:
        """One step; exact, because sums of integers below 2^53 are."""
        weight, bias = self.integers()
        if self.input_scale:
            exact = x.double() * self.input_scale
            summed = F.linear(_through(torch.round(exact), exact), weight) / 2**self.shift
            delivered = _through(torch.floor(summed), summed)
            return delivered if bias is None else delivered + bias
        if not ((x == 0) | (x == 1)).all():
            raise Unsupported("inputs other than 0 and 1", "spikes", "give loihi_aware such inputs, or code them")
        return F.linear(x.double(), weight, bias)

    def floats(self) -> nn.Linear:
        """The same as nn.Linear in weight units, for x as they are: nothing of them is rounded."""
        weight, bias = self.integers()
        if self.input_scale:
            weight = weight * self.input_scale / 2**self.shift
        linear = nn.Linear(self.in_features, self.out_features, bias=bias is not None, dtype=torch.float64)
        linear.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
        return linear


class IntegerNeurons(nn.Module):
    """IF and LIF neurons in the chip's integers, on whole numbers in float64, which holds all of them exactly.

    u = wrap24(a << 6);  v = clip24(trunc0(v (4096 - dv) / 4096) + u);  s = 1[v > (vth << 6)];  v <- v (1 - s).
    Gradients go straight through trunc0, and through ATan(2) of (v - (vth << 6)) / (64 s), the float model's units.
    """

    dv: Tensor
    vth: Tensor
    scale: Tensor

    def __init__(self, dv: Tensor, vth: int, scale: float) -> None:
        super().__init__()
        self.register_buffer("dv", dv.double())
        self.register_buffer("vth", torch.tensor(vth, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))
        self.fires = surrogate.atan(alpha=ATAN_ALPHA)

    def forward(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """One step: (current in weight units, v in 64ths of one) -> (spikes of 0 and 1, v after reset)."""
        one = 2**SHIFT
        u = current * one
        u = u - 2 * HALF * (u > HALF) + 2 * HALF * (u <= -HALF)
        kept = v * (DECAY_ONE - self.dv) / DECAY_ONE
        v = (_through(torch.trunc(kept), kept) + u).clamp(-HALF + 1, HALF - 1)
        spikes = self.fires((v - self.vth * one) / (self.scale * one)).double()
        return spikes, v - spikes * v  # not detached: snnTorch's reset has a gradient, too


class LoihiChain(nn.Sequential):
    """IntegerLinear and IntegerNeurons in turn, stepped as the float chain is; `neuroprompt.loihi_aware` makes one."""

    def floats(self) -> nn.Sequential:
        """The same chain as nn.Linear and snnTorch Leaky in weight units: its numbers are the chip's integers."""
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        for name, module in self.named_children():
            if isinstance(module, IntegerLinear):
                modules[name] = module.floats()
            elif isinstance(module, IntegerNeurons):
                modules[name] = leaky(1 - module.dv / DECAY_ONE, module.vth)
        return nn.Sequential(modules)

    @property
    def input_scale(self) -> float | None:
        """What numbers on the input lines are multiplied by before they are rounded; None where the inputs are spikes.

        A chain of one layer or more begins with its synapses.
        """
        first = self[0]
        assert isinstance(first, IntegerLinear)
        return float(first.input_scale) or None

    def graph(self, steps: int) -> nir.NIRGraph:
        """`floats` as a NIR graph; `model` finds these integers in it."""
        return to_nir(Generator(self.floats(), steps))

    def model(self, steps: int) -> SpikingModel:
        """What targets run; spikes and potentials of its fixed program are this chain's, bit by bit.

        Its float program leaves out trunc0, overflow, and what rounding numbers on the lines changes. Raises BadSetting
        for weights that are not finite.
        """
        return model_of_graph(self.graph(steps), scale=1.0, input_scale=self.input_scale)


def loihi_aware(
    chain: nn.Sequential, scales: Sequence[float] | None = None, inputs: Tensor | None = None
) -> LoihiChain:
    """A trained chain (nn.Linear and IF, LIF or snnTorch Leaky in turn) in Loihi's integers, to be trained on.

    Layer i has `scales[i]` weight units per unit of the float model; by default the largest at which weights, bias and
    threshold fit. A LIF's gain 1/tau is folded into its weights and bias.
    A step is that of the float chain: IntegerLinear x -> current, IntegerNeurons (current, v) -> (spikes, v), v from 0.

        aware = loihi_aware(chain)      # train it as before, for a few epochs
        model = aware.model(steps)      # its fixed program fires as `aware` does, spike by spike

    Where the first layer takes numbers, such as pixels, `inputs` (T, n_in) or (T, N, n_in) are some of them, N runs of
    T steps: their range decides how the numbers are rounded, with room for others of up to twice their size.

    Raises Unsupported, naming the module, for other chains, and OutOfRange for a scale at which something is clipped.
    """
    program = lower(to_nir(Generator(chain, 1)), 1)
    check_reset(program, "Loihi's neurons")
    if scales is not None and len(scales) != len(program.populations):
        raise BadSetting(f"{len(scales)} scales", f"{len(program.populations)}, one for each layer of neurons")
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for i, p in enumerate(program.populations):
        weights = _weights(program, p)
        numbers = _share(program, inputs) if i == 0 and inputs is not None else None
        largest = _largest_scale(p, weights) if numbers is None else numbers.scales[p.name]
        scale = largest if scales is None else float(scales[i])
        if not 0 < scale <= largest:
            raise OutOfRange(f"a scale of {scale:g} for {p.name}", f"above 0 and at most {largest:g}")
        bias = torch.from_numpy(p.bias).float() if p.bias.any() else None
        input_scale = numbers.input_scale if numbers else 0.0
        shift = _shift(program.into(p.name)[0], scale / input_scale) if numbers else 0
        linear = IntegerLinear(torch.from_numpy(weights).float(), bias, scale, input_scale=input_scale, shift=shift)
        modules[f"into_{p.name}"] = linear
        decay = torch.as_tensor(np.asarray(integer_decays(p).dv))
        modules[p.name] = IntegerNeurons(decay, round(float(p.vth) * scale), scale)
    return LoihiChain(modules)


def _shift(projection: Projection, factor: float) -> int:
    """The bits by which sums are shifted right, so that the heaviest weight times `factor` takes all 8."""
    (part,) = integer_lists(projection, factor, ANY).projections
    return -part.exponent


def _share(program: Program, inputs: Tensor) -> Share:
    """How numbers on the lines and 8-bit weights share the bits of the first layer."""
    runs = inputs.detach().cpu().double().numpy()
    runs = runs[:, None] if runs.ndim == 2 else runs
    program = replace(program, steps=len(runs))
    first = program.populations[0].name
    traces = [simulate(program, run)[first] for run in runs.swapaxes(0, 1)]
    spikes, u, v = (np.concatenate([getattr(trace, key) for trace in traces]) for key in ("spikes", "u", "v"))
    tasks = Tasks(program, runs.swapaxes(0, 1).reshape(-1, runs.shape[-1]), {first: Trace(spikes, u, v)})
    return next(shares([tasks.of(program.populations[0])], tasks.inputs, 0.0))


def _weights(program: Program, population: Population) -> Matrix:
    """The weights into a population, (out, in)."""
    incoming = program.into(population.name)
    if not incoming or population.emits != "spikes":
        got = f"{population.name} does not follow an nn.Linear, or never fires"
        raise Unsupported(got, "nn.Linear and spiking neurons in turn")
    if np.ndim(population.vth):
        got = f"{population.name} has thresholds from {np.min(population.vth):g} to {np.max(population.vth):g}"
        raise Unsupported(got, "one: the chip has one for a population", "scale the rows of its weights instead")
    (projection,) = incoming
    return projection.weights.dense()


def _largest_scale(population: Population, weights: Matrix) -> float:
    """The largest scale at which nothing is clipped."""
    most = MIXED if weights.min() < 0 < weights.max() else ONE_SIGN
    values = ((most, weights), (MANTISSA[1], population.bias), (VTH_MAX, population.vth))
    scales = [limit / float(np.abs(value).max()) for limit, value in values if np.any(value)]
    return min(scales, default=1.0)


def _through(whole: Tensor, exact: Tensor) -> Tensor:
    """`whole`, exactly, with the gradient of `exact`."""
    return whole.detach() + (exact - exact.detach())
