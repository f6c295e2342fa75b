"""LoRSP: low-rank factors of every image, gated by spiking neurons, are added to it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Annotated

import torch
from snntorch import surrogate
from torch import Tensor, nn

from neuroprompt.contracts.learning import Gated, Generator, Prompt, PromptSite
from neuroprompt.prompts._init import need
from neuroprompt.spiking.neurons import ATAN_ALPHA, LIF

GATES = ("spike", "fixed", "mean", "topk", "dropout")


class LoRSP(Prompt):
    """X' = X + (1/T) sum_t S_t * P_t, no clipping; P_t = B_t A per colour channel, B_1 .. B_T = split(X W), rank r.

    X (B, C, H, W) in [0, 1]; W (W, T r) is split on its last dimension; A (C, r, W): W r (T + C) parameters, which are
    6,272 (T = r = 4) and 2,240 (T = r = 2) at 224 pixels. S_t are the spikes of one LIF neuron for each value of the
    image, with I[t] = P_t. At threshold 0 the prompt is nowhere negative: a spike leaves v = 0, so v <= 0 between steps
    and the next spike needs P_t > 0.

    `gate` sets what stands in the place of S_t (the paper's ablations; `ratio` is the share that is KEPT: ours, the
    paper does not say): "spike"; "fixed", 1[P_t > threshold], without a potential and thus no neuron (the control of
    leak and reset: ours); "mean", everything (LPF); "topk", the share `ratio` of largest |P_t| of every image and step;
    "dropout", a random share `ratio`, over `ratio`, in training, and everything after it.

    Both W and A ~ N(0, deviation^2): with W = 0 or A = 0 nothing ever fires at strict v > 0, and both terms of d(S P)
    vanish, so nothing would ever learn. Raises BadSetting.

    Zhao et al. 2026 (arXiv 2606.01945), equations 1-15. The mean over t (not the sum), the init and the surrogate
    (ATan(2)) stand nowhere in it: ours.
    """

    enters = "pixels"
    per_image = True
    spiking = True

    def __init__(
        self,
        site: PromptSite,
        *,
        steps: Annotated[int, "time steps of the neurons"] = 4,
        rank: Annotated[int, "rank of the factors, per colour channel"] = 4,
        tau: Annotated[float, "time constant of the neurons in steps"] = 4.0,
        threshold: Annotated[float, "threshold of the neurons"] = 0.0,
        gate: Annotated[str, "what lets a factor pass: spike, or the ablations fixed, mean, topk, dropout"] = "spike",
        ratio: Annotated[float, "share that topk and dropout keep"] = 0.5,
        deviation: Annotated[float, "standard deviation of the initial weights"] = 0.01,
    ) -> None:
        super().__init__()
        channels, height, width = site.image
        need(steps >= 1, "steps", steps, "at least 1")
        need(1 <= rank <= min(height, width), "rank", rank, f"from 1 to {min(height, width)}")
        need(1 <= tau < math.inf, "tau", tau, "a time constant of at least 1 step")
        need(0 <= threshold < math.inf, "threshold", threshold, "a number of at least 0")
        need(gate in GATES, "gate", gate, f"one of {', '.join(GATES)}")
        need(0 < ratio <= 1, "ratio", ratio, "a share in (0, 1]")
        need(0 < deviation < math.inf, "deviation", deviation, "a number above 0: zeros would never learn")
        self.steps, self.rank, self.gate, self.ratio, self.image = steps, rank, gate, ratio, site.image
        self.spiking = gate == "spike"
        self.neurons = LIF(tau, threshold)
        self.w = nn.Parameter(deviation * torch.randn(width, steps * rank))
        self.a = nn.Parameter(deviation * torch.randn(channels, rank, width))

    def pixels(self, images: Tensor) -> Tensor:
        """X + (1/T) sum_t S_t * P_t, (B, C, H, W)."""
        return images + self.prompts(images).to(images.dtype)

    def prompts(self, images: Tensor) -> Tensor:
        """(1/T) sum_t S_t * P_t, (B, C, H, W), of images (B, C, H, W) in [0, 1]."""
        total = torch.zeros_like(images)
        for part in self._gated(self._factors(images)):
            total = total + part
        return total / self.steps

    def factors(self, images: Tensor) -> Tensor:
        """P (B, T, C, H, W) of images (B, C, H, W) in [0, 1], as the neurons get them."""
        return torch.stack(self._factors(images), dim=1)

    def spikes(self, images: Tensor) -> Tensor:
        """S (B, T, C, H, W), 0 and 1, whatever `gate` says."""
        return torch.stack([s for s, _ in self._fired(self._factors(images))], dim=1)

    @torch.no_grad()
    def report(self, images: Tensor) -> dict[str, float]:
        """What the gate does on these images: numbers between 0 and 1, and ranks.

        spike_density  spikes of all neurons and steps ("spike" only)
        exact_zeros    values of the prompt that are 0
        rank           numerical rank of the prompt's channels, mean over channels and images
        rank_factors   the same of the factors P_t, at most r
        """
        prompts, factors = self.prompts(images), self.factors(images)
        density = {"spike_density": float(self.spikes(images).mean())} if self.gate == "spike" else {}
        return density | {
            "exact_zeros": float((prompts == 0).double().mean()),
            "rank": _rank(prompts),
            "rank_factors": _rank(factors),
        }

    # --- deployment ---------------------------------------------------------------------------------------------------

    def generator(self) -> Generator | None:
        """One row of the image a run: Input (C T W) -> Linear (C r) -> Linear (C W) -> LIF (C W).

        W differs from step to step and a graph's weights do not, so the input is time-multiplexed; see
        `generator_inputs`.
        """
        if self.gate != "spike":
            return None
        channels, _, width = self.image
        steps, rank = self.steps, self.rank
        first = nn.Linear(channels * steps * width, channels * rank, bias=False)
        second = nn.Linear(channels * rank, channels * width, bias=False)
        with torch.no_grad():
            by_step = self.w.detach().cpu().float().reshape(width, steps, rank).permute(2, 1, 0).reshape(rank, -1)
            first.weight.copy_(torch.block_diag(*[by_step] * channels))
            second.weight.copy_(torch.block_diag(*self.a.detach().cpu().float().mT))
        return Generator(nn.Sequential(first, second, self._neurons()), steps)

    def generator_inputs(self, images: Tensor) -> Tensor:
        """Inputs (B H, T, C T W): lane h is row h of an image; at step t block t of every channel holds the row."""
        batch, channels, height, width = images.shape
        rows = images.permute(0, 2, 1, 3).reshape(batch * height, 1, channels, 1, width)
        at_step = torch.eye(self.steps, dtype=images.dtype).view(1, self.steps, 1, self.steps, 1)
        return (rows * at_step).flatten(2)

    def gated(self) -> Gated | None:
        """The neurons alone, one for each value of the image, and the factors that drive them."""
        if self.gate != "spike":
            return None
        values = math.prod(self.image)
        generator = Generator(nn.Sequential(self._neurons()), self.steps, inputs=values, largest=self._largest())
        return Gated(_Factors(self), generator)

    def _neurons(self) -> LIF:
        return LIF(self.neurons.tau, self.neurons.threshold)

    @torch.no_grad()
    def _largest(self) -> float:
        """No |P| of an image in [0, 1] is beyond this: the sum of what is positive, or negative, in its weights."""
        w = self.w.detach().cpu().double().reshape(-1, self.steps, self.rank)
        weights = torch.einsum("vtr,crw->tcvw", w, self.a.detach().cpu().double())
        return float(torch.maximum(weights.clamp(min=0).sum(2), (-weights).clamp(min=0).sum(2)).max())

    # --- how they are made --------------------------------------------------------------------------------------------

    def _factors(self, images: Tensor) -> list[Tensor]:
        """P_1 .. P_T, each (B, C, H, W).

        In eval mode they are made in float64 and rounded to float32, and the neurons run in float64. A potential within
        rounding of the threshold may fire here and not there, and that is no small thing after the first step: v_(t-1)
        may be below 0 by some -P_t / (tau - 1), so the value of a pixel jumps by P_t / T (then both potentials are 0
        within rounding, so nothing follows from it). Float32 sums in another order differ by some 1e-7, which 600,000
        potentials per image (224 pixels) meet now and then. In float64 they differ by 1e-16; PyTorch, ONNX Runtime and
        the target then get the same float32 factors, and are equal spike by spike.
        """
        wide = torch.float32 if self.training or images.device.type == "mps" else torch.float64  # Apple's has none
        with torch.autocast(images.device.type, enabled=False) if self.training else nullcontext():
            basis = images.to(wide) @ self.w.to(wide)
            return [(b @ self.a.to(wide)).float() for b in basis.split(self.rank, dim=-1)]

    def _gated(self, factors: list[Tensor]) -> Iterator[Tensor]:
        """S_t * P_t, or what the ablations have in its place."""
        if self.gate == "spike":
            yield from (s * p for s, p in self._fired(factors))
        elif self.gate == "fixed":
            for p in factors:
                over = p - self.neurons.threshold
                yield p * (_spike(over) if self.training else (over > 0).to(p.dtype))
        elif self.gate == "topk":
            keep = max(1, round(self.ratio * math.prod(self.image)))
            for p in factors:
                least = p.abs().flatten(1).topk(keep).values[:, -1].view(-1, 1, 1, 1)
                yield p * (p.abs() >= least)
        elif self.gate == "dropout":
            yield from (nn.functional.dropout(p, 1 - self.ratio, self.training) for p in factors)
        else:
            yield from factors

    def _fired(self, factors: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """(S_t, P_t) for every step: what `LIF` does, in a third of its passes over 600,000 values an image."""
        tau, threshold = self.neurons.tau, self.neurons.threshold
        v: Tensor | None = None
        for p in factors:
            current = p if self.training or p.device.type == "mps" else p.double()
            u = current / tau if v is None else torch.add(current / tau, v, alpha=1 - 1 / tau)
            over = u - threshold if threshold else u
            s = _spike(over) if self.training else (over > 0).to(u.dtype)
            v = u - s * u
            yield s, current


_spike = surrogate.atan(alpha=ATAN_ALPHA)


class _Factors(nn.Module):
    """images (B, C, H, W) in [0, 1] -> P (B, T, C, H, W)."""

    def __init__(self, prompt: LoRSP) -> None:
        super().__init__()
        self.prompt = prompt

    def forward(self, images: Tensor) -> Tensor:
        return self.prompt.factors(images)


def _rank(matrices: Tensor) -> float:
    return float(torch.linalg.matrix_rank(matrices.float()).double().mean())
