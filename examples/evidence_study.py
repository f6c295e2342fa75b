"""One study of evidence.py from its search to its tests, and the floor: a converged logistic regression."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from evidence_data import Study
from evidence_runs import Team
from torch import Tensor
from torch.nn.functional import cross_entropy

import neuroprompt as npt
from neuroprompt.training.model import PromptedModel

LADDER = [float(f"{a}e{e}") for e in range(-6, 2) for a in (1, 3)]
"""Rates that a search may try, one step at a time."""


def logistic(features: Tensor, labels: Tensor, classes: int, c: float) -> tuple[Tensor, Tensor, float]:
    """Weights and bias that minimise c sum of losses + |W|^2 / 2 (scikit-learn's objective), and the gradient's norm.

    Newton's method in float64 on the objective over c n; the norm is that of its gradient. A step is found by conjugate
    gradients with the mean of the classes' own blocks of the Hessian as their preconditioner. L-BFGS, which only knew
    the Hessian at equal probabilities, did not arrive in 3,000 steps where there are 1,280 features.
    """
    x = features.double()
    n, width = x.shape
    shift = x.mean(0)
    rows = torch.cat([x - shift, torch.ones(n, 1, dtype=x.dtype, device=x.device)], 1)  # the last column is the bias's
    decay = torch.full((width + 1,), 1 / (c * n), dtype=x.dtype, device=x.device)
    decay[width] = 0.0
    one_hot = torch.nn.functional.one_hot(labels, classes).double()

    def at(v: Tensor) -> tuple[float, Tensor, Tensor]:
        """Loss, gradient and probabilities at weights with their bias, (classes, width + 1)."""
        logits = rows @ v.T
        shares = logits.softmax(1)
        loss = cross_entropy(logits, labels) + (v**2 * decay).sum() / 2
        return float(loss), (shares - one_hot).T @ rows / n + v * decay, shares

    v = torch.zeros(classes, width + 1, dtype=x.dtype, device=x.device)
    loss, gradient, shares = at(v)
    for _ in range(100):
        if float(gradient.abs().max()) <= 1e-9:
            break
        step, by = _newton_step(rows, shares, decay, gradient), 1.0
        slope = float((step * gradient).sum())
        tried = at(v + step)
        # Near the minimum the loss is too round to tell steps apart; there the gradient falls.
        while tried[0] > loss + 1e-4 * by * slope and tried[1].norm() >= gradient.norm() and by > 1e-6:
            by /= 2
            tried = at(v + by * step)
        v, (loss, gradient, shares) = v + by * step, tried
    w = v[:, :width]
    return w, v[:, width] - w @ shift, float(gradient.abs().max())


def _newton_step(rows: Tensor, shares: Tensor, decay: Tensor, gradient: Tensor) -> Tensor:
    """What the Hessian takes to -gradient, but for a hundredth of it or less."""
    n = len(rows)
    weights = (shares * (1 - shares)).mean(1, keepdim=True) / n
    block = torch.linalg.cholesky((rows * weights).T @ rows + decay.clamp(min=1e-12).diag())
    step, left, along, square = torch.zeros_like(gradient), -gradient, torch.zeros_like(gradient), 1.0
    for _ in range(500):
        better = torch.cholesky_solve(left.T, block).T
        before, square = square, float((left * better).sum())
        along = better + square / before * along
        moved = rows @ along.T
        moved = shares * (moved - (shares * moved).sum(1, keepdim=True))
        curved = moved.T @ rows / n + along * decay
        by = square / float((along * curved).sum())
        step, left = step + by * along, left - by * curved
        if left.norm() <= 1e-2 * gradient.norm():
            break
    return step


def floor_row(study: Study, backbone: Any, tensors: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row of the logistic regression: C chosen on validation, then fitted on all training images."""
    began = time.monotonic()
    classes = len(tensors["classes"])
    normalise = PromptedModel(backbone, npt.Prompt.named("linear", site=backbone.site),
                              npt.Head.named("linear", features=backbone.features, classes=classes))  # fmt: skip
    normalise.to(next(backbone.parameters()).device)

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        parts = (x.float() / 255 if x.dtype == torch.uint8 else x for x in images.split(500))
        return torch.cat([normalise.features(x) for x in parts])

    (train, y), (val, z), (test, t) = ((features(tensors[s][0]), tensors[s][1]) for s in ("train", "val", "test"))

    def share(w: Tensor, b: Tensor, x: Tensor, labels: Tensor) -> float:
        return float(((x.double() @ w.T + b).argmax(1) == labels).double().mean())

    tried, todo = dict[int, float](), list(range(-4, 4))
    while todo and len(tried) < 14:  # further while the best is at an end
        tried |= {e: share(*logistic(train, y, classes, 10.0**e)[:2], val, z) for e in todo}
        best = max(tried, key=lambda e: tried[e])
        todo = [e for e in (best - 1, best + 1) if e not in tried]
    w, b, slope = logistic(torch.cat([train, val]), torch.cat([y, z]), classes, 10.0**best)
    noise = {name: share(w, b, features(noisy), t) for name, noisy in tensors["noises"].items() if study.noisy}
    yield {"kind": "final", "seed": 0, "clean": share(w, b, test, t), "noise": noise, "val": tried[best],
           "C": 10.0**best, "gradient": slope, "tried": {str(10.0**e): a for e, a in tried.items()}, "edge": bool(todo),
           "seconds": round(time.monotonic() - began, 2), "train_images": len(train) + len(val)}  # fmt: skip


def search(study: Study, team: Any, tensors: dict[str, Any], known: dict[tuple[int, float, float], float]) -> Any:
    """Yields rows, and ends with the best (prompt, head) and whether it is at an edge.

    `team(runs)` gives an untrained Team; `known` has what an earlier call measured, and is added to.
    """
    wanted = [(p, h) for p in study.rates[0] for h in study.rates[1]]
    p = h = 0.0
    for _ in range(5):
        new = [(s, p, h) for p, h in wanted for s in study.search_seeds if (s, p, h) not in known]
        for i in range(0, len(new), study.side):
            yield from _measured(study, team, tensors, new[i : i + study.side], known)
        first = study.search_seeds[0]
        means = {(p, h): sum(known[s, p, h] for s in study.search_seeds) for s, p, h in known if s == first}
        p, h = max(sorted(means), key=lambda pair: means[pair])
        prompts, heads = sorted({q for q, _ in means}), sorted({g for _, g in means})
        wanted = [(q, g) for q in beyond(prompts, p) for g in around(heads, h)] if study.has_prompt else []
        wanted += [(q, g) for g in beyond(heads, h) for q in (around(prompts, p) if study.has_prompt else prompts)]
        if not wanted:
            break
    edge = (study.has_prompt and p in (prompts[0], prompts[-1])) or h in (heads[0], heads[-1])
    return p, h, edge


def beyond(rates: Sequence[float], best: float) -> list[float]:
    """The next rate of the ladder, where the best is the least or the largest that was tried."""
    i = LADDER.index(best)
    ends = ([i - 1] if best == rates[0] else []) + ([i + 1] if best == rates[-1] else [])
    return [LADDER[j] for j in ends if 0 <= j < len(LADDER)]


def around(rates: Sequence[float], best: float) -> list[float]:
    """The best rate and its neighbours, of those that were tried."""
    i = rates.index(best)
    return list(rates[max(0, i - 1) : i + 2])


def _measured(study: Study, team: Any, tensors: dict[str, Any], runs: Any, known: Any) -> Iterator[dict[str, Any]]:
    began = time.monotonic()
    trained = team(runs)
    trained.fit(*tensors["train"])
    for (seed, p, h), share in zip(runs, trained.correct(*tensors["val"]), strict=True):
        known[seed, p, h] = share
        yield {"kind": "search", "seed": seed, "lr_prompt": p, "lr_head": h, "val": share,
               "seconds": round((time.monotonic() - began) / len(runs), 2)}  # fmt: skip


def run(study: Study, backbone: Any, tensors: dict[str, Any], done: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All rows of a study that are not done; `done` are its rows of an earlier call."""
    finals = {row["seed"]: row for row in done if row["kind"] == "final"}
    if finals and set(study.seeds) <= finals.keys():
        return
    if study.method == "logistic":
        if not finals:
            yield from floor_row(study, backbone, tensors)
        return
    classes = len(tensors["classes"])
    both = tuple(torch.cat([tensors["train"][i], tensors["val"][i]]) for i in (0, 1))

    def team(runs: Sequence[tuple[int, float, float]], images: Any = None) -> Team:
        untrained = Team(study, backbone, classes, runs)
        if study.warm:
            untrained.warm_start(images or tensors["train"], classes)
        return untrained

    known = {(r["seed"], r["lr_prompt"], r["lr_head"]): r["val"] for r in done if r["kind"] == "search"}
    if finals:  # the other seeds get the same rates
        earlier = next(iter(finals.values()))
        p, h, edge = earlier["lr_prompt"], earlier["lr_head"], earlier["edge"]
    elif study.fixed:
        p, h, edge = study.rates[0][0], study.rates[1][0], False
    else:
        p, h, edge = yield from search(study, team, tensors, known)
    left = [(seed, p, h) for seed in study.seeds if seed not in finals]
    for i in range(0, len(left), study.side):
        began, mine = time.monotonic(), left[i : i + study.side]
        trained = team(mine, both)
        trained.fit(*both)
        fitted = time.monotonic() - began
        for (seed, _, _), tested in zip(mine, trained.tested(tensors), strict=True):
            searched = [known[s, p, h] for s in study.search_seeds if (s, p, h) in known]
            val = {"val": sum(searched) / len(searched)} if searched else {}
            yield {"kind": "final", "seed": seed, "lr_prompt": p, "lr_head": h, "edge": edge, **tested, **val,
                   "seconds": round(fitted / len(mine), 2), "train_images": len(both[0])}  # fmt: skip
