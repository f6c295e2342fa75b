"""Runs the experiments behind RESULTS.md on one accelerator: many runs side by side on one frozen backbone.

The backbone is frozen and the same for all, so runs that differ in seed and rates share one batch: run k has its own
images, prompt and head, and the sum of all losses gives each its own gradients. Prompts, heads, backbones, noises, the
optimiser's settings and the schedule are the product's; the loop is this file's. So `neuroprompt train` with a row's
settings gives a comparable model, not the same bits: the order of images comes from another generator, the short last
batch of an epoch is left out, and final runs learn from training and validation images together.

A study (method, settings, data, backbone, size) is searched first: a grid of the prompt's rate times the head's, on
validation images (a fifth of the training images), the grid extended while the best is at its edge. The best pair is
then trained on all training images with every seed, and tested on the whole test split, clean and under the noises.
Noise depends on the image alone, so results are paired over methods. The test split chooses nothing. `logistic` is the
floor: a converged logistic regression on the frozen features, its C chosen on validation.

    python examples/evidence.py --assets assets --out results --seconds 480
    python examples/evidence.py --assets assets --out results --device cpu --tiny   # a rehearsal

Every result is one line of `results/evidence.jsonl`; the same command goes on where it stopped.
"""

import argparse
import copy
import dataclasses
import json
import math
import os
import time
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor
from torch.nn.functional import cross_entropy

import neuroprompt as npt
from neuroprompt.backbone import load_backbone
from neuroprompt.contracts import Stream
from neuroprompt.dataset import load_data
from neuroprompt.model import PromptedModel
from neuroprompt.noise import parse_noises
from neuroprompt.stepping import set_rate

WEIGHT_DECAY, BATCH = 1e-4, 64
LADDER = [float(f"{a}e{e}") for e in range(-6, 2) for a in (1, 3)]
"""Rates that a search may try, one step at a time."""

OOD = {
    "cifar10": {
        "caltech101": {
            **dict.fromkeys(("airplanes",), "airplane"),
            **dict.fromkeys(("car_side",), "automobile"),
            **dict.fromkeys(("emu", "flamingo", "ibis", "pigeon", "rooster"), "bird"),
            **dict.fromkeys(("dalmatian",), "dog"),
            **dict.fromkeys(("ferry", "ketch", "schooner"), "ship"),
        }
    }
}
"""Of a data set the sets from elsewhere, and which of its classes each of their classes is."""


@dataclass(frozen=True)
class Study:
    """One row of RESULTS.md: a method with settings on a data set; its rates are searched, then all seeds run."""

    name: str
    method: str
    data: str
    backbone: str
    px: int
    epochs: int
    rates: tuple[tuple[float, ...], tuple[float, ...]]
    seeds: tuple[int, ...]
    search_seeds: tuple[int, ...]
    side: int
    settings: dict[str, Any] = field(default_factory=dict)
    warm: tuple[float, float] | None = None

    @property
    def has_prompt(self) -> bool:
        """Whether there is a prompt whose rate can be searched."""
        return self.method not in ("linear", "logistic")

    def about(self) -> dict[str, Any]:
        """What a row says of its study."""
        keys = ("method", "settings", "data", "backbone", "px", "epochs", "warm")
        return {"study": self.name} | {key: getattr(self, key) for key in keys}


def studies(file: Path, tiny: bool) -> list[Study]:
    """The studies of a TOML file, in its order; `tiny` makes each a matter of seconds."""
    groups = tomllib.loads(file.read_text())
    defaults, made = groups.pop("defaults"), []
    for group, shared in groups.items():
        common = {key: value for key, value in shared.items() if key != "studies"}
        for name, own in shared["studies"].items():
            given = {"method": name, "rates": [[1.0], [1.0]], **defaults, **common, **own, "name": f"{group}/{name}"}
            if tiny:
                short = [rates[:2] for rates in given["rates"]]
                given |= {"epochs": 1, "seeds": given["seeds"][:2], "rates": short, "side": min(given["side"], 4)}
            given = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
            made.append(Study(**given))
    return made


# --- data: decoded, resized and made noisy once, then kept in the accelerator's memory --------------------------------


def prepare(assets: Path, folder: Path, job: tuple[str, int, int, int]) -> None:
    """Write one part of a data set's tensors: part 0 the images, the others a slice of the test images with noise.

    `job`: the data set, its size, the part and how many parts there are. The size is the backbone's, or less where the
    prompt puts a frame around the images.
    """
    torch.set_num_threads(1)
    data, size, part, parts = job
    there, images = (folder / f"{data}-{size}-{i}.pt" for i in (part, 0))
    if there.is_file():
        return
    if part == 0:
        labelled = read_images(assets, data, size)
        kept: dict[str, Any] = {"classes": labelled.classes}
        kept |= {name: _stacked(getattr(labelled, name)) for name in ("train", "val", "test")}
        for other, names in OOD.get(data, {}).items():
            if (assets / "data" / other).is_dir():
                kept["ood"] = _elsewhere(read_images(assets, other, size), labelled.classes, names)
    else:
        while not images.is_file():
            time.sleep(0.2)
        test = torch.load(images)["test"][0]
        mine = torch.arange(part - 1, len(test), parts - 1)
        kept = {"indices": mine, "noises": {}}
        for noise in parse_noises(["all"]):
            kept["noises"][str(noise)] = torch.stack([noise(test[i].float() / 255, int(i)) for i in mine])
    beside = there.with_suffix(f".{os.getpid()}")
    torch.save(kept, beside)
    beside.replace(there)


def read_images(assets: Path, data: str, size: int) -> Any:
    """A data set of the assets, its images at `size`."""
    return load_data(f"folder:{assets / 'data' / data}", (size, size), "bicubic", seed=0, limit=None)


def _elsewhere(other: Any, classes: Sequence[str], names: dict[str, str]) -> tuple[Tensor, Tensor]:
    """All images of another set whose class is one of `classes`, with its number there."""
    place = {other.classes.index(a): classes.index(b) for a, b in names.items()}
    images, labels = (torch.cat(parts) for parts in zip(*map(_stacked, (other.train, other.val, other.test)), strict=True))  # fmt: skip  # noqa: E501
    mine = torch.tensor([int(label) in place for label in labels])
    return images[mine], torch.tensor([place[int(label)] for label in labels[mine]])


def _stacked(pictures: Any) -> tuple[Tensor, Tensor]:
    pairs = [pictures[i] for i in range(len(pictures))]
    return torch.stack([image for image, _ in pairs]), torch.tensor([label for _, label in pairs])


@lru_cache(maxsize=2)
def tensors_of(folder: Path, data: str, size: int, parts: int, device: str) -> dict[str, Any]:
    """The prepared tensors on `device`; waits for them."""
    files = [folder / f"{data}-{size}-{part}.pt" for part in range(parts)]
    while not all(file.is_file() for file in files):
        time.sleep(0.2)
    kept, *noisy = (torch.load(file, map_location=device) for file in files)
    order = torch.cat([part["indices"] for part in noisy]).argsort()
    kept["noises"] = {n: torch.cat([part["noises"][n] for part in noisy])[order] for n in noisy[0]["noises"]}
    return dict(kept)


# --- runs side by side ------------------------------------------------------------------------------------------------


class Beside(Stream):
    """Prompt tokens of K runs for a batch of K b images: run k's tokens, or its own stream, for its b images."""

    def __init__(self, models: Sequence[PromptedModel], static: Tensor | None, each: int) -> None:
        self.static, self.each, self.k = static, each, len(models)
        self.streams: list[Any] = [] if static is not None else [model.prompt.stream() for model in models]
        if self.streams and self.streams[0].temperatures is not None:
            heat = torch.stack([stream.temperatures for stream in self.streams], dim=1)
            self.temperatures = heat.repeat_interleave(each, dim=1)[:, :, None, None, None]

    def _block(self, i: int) -> Tensor:
        assert self.static is not None
        return self.static[i].repeat_interleave(self.each, dim=0)

    def enter(self, patches: Tensor) -> Tensor:
        if self.static is not None:
            return self._block(0)
        return torch.cat([s.enter(p) for s, p in zip(self.streams, patches.chunk(self.k), strict=True)])

    def after(self, block: int, prompts: Tensor, patches: Tensor) -> Tensor:
        if self.static is not None:
            return self._block(block + 1) if len(self.static) > 1 else prompts
        parts = zip(self.streams, prompts.chunk(self.k), patches.chunk(self.k), strict=True)
        return torch.cat([stream.after(block, p, x) for stream, p, x in parts])


class Team:
    """K untrained models of one study that differ in seed and rates, on one backbone."""

    def __init__(self, study: Study, backbone: Any, classes: int, runs: Sequence[tuple[int, float, float]]) -> None:
        self.study, self.runs, self.models = study, runs, []
        self.device = next(backbone.parameters()).device
        for seed, _, _ in runs:
            torch.manual_seed(seed)  # as the product draws them: the prompt, then the head
            prompt = npt.Prompt.named(study.method, site=backbone.site, **study.settings)
            head = npt.Head.named("linear", features=backbone.features, classes=classes)
            own = copy.deepcopy(backbone) if prompt.tunes_backbone else backbone
            self.models.append(PromptedModel(own, prompt, head).to(self.device))
        self.backbone = self.models[0].backbone
        self.tokens: Tensor | None = None

    def train(self, mode: bool) -> None:
        self.tokens = None
        for model in self.models:
            model.train(mode)

    def logits(self, images: Tensor) -> Tensor:
        """Logits (K, b, classes) of images (K, b, 3, H, W) in [0, 1]."""
        models, (k, each) = self.models, images.shape[:2]
        if models[0].prompt.enters == "pixels":
            inputs = torch.cat([m.normalise(m.prompt.pixels(x)) for m, x in zip(models, images, strict=True)])
        else:
            inputs = models[0].normalise(images.flatten(0, 1))
        features = self.backbone(inputs, self._entering(each)).view(k, each, -1)
        return torch.stack([model.head(x) for model, x in zip(models, features, strict=True)])

    def _entering(self, each: int) -> Beside | None:
        prompt = self.models[0].prompt
        if prompt.enters != "tokens":
            return None
        if prompt.per_image:
            return Beside(self.models, None, each)
        tokens = self.tokens
        if tokens is None:
            tokens = torch.stack([m.prompt.tokens() for m in self.models], dim=1)  # type: ignore[misc]
            self.tokens = tokens if not prompt.training else None
        return Beside(self.models, tokens, each)

    def optimiser(self) -> Any:
        """The product's AdamW, with a peak for every run's prompt (and backbone, where it learns) and head."""
        groups = []
        for model, (_, prompt, head) in zip(self.models, self.runs, strict=True):
            learned = model.learned()
            for rate, mine in ((prompt, False), (head, True)):
                parameters = [p for name, p in learned.items() if name.startswith("head.") == mine]
                groups += [{"params": parameters, "peak": rate}] if parameters else []
        return torch.optim.AdamW(groups, lr=1.0, weight_decay=WEIGHT_DECAY, fused=self.device.type == "cuda")

    def fit(self, images: Tensor, labels: Tensor, *, steps: int | None = None) -> None:
        """Train all models on uint8 images; `steps` ends early, to measure time."""
        study, n = self.study, len(images)
        each, batch = max(1, n // BATCH), min(BATCH, n)
        config = npt.RunConfig(epochs=study.epochs, warmup=1.0)
        optimiser = self.optimiser()
        order = torch.stack([_orders(seed, study.epochs, n, each * batch) for seed, _, _ in self.runs])
        order = order.view(len(self.runs), study.epochs * each, batch).to(self.device)
        torch.manual_seed(self.runs[0][0])
        self.train(True)
        for step in range(min(steps or study.epochs * each, study.epochs * each)):
            set_rate(optimiser, config, step, each)
            rows = order[:, step]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                logits = self.logits(images[rows].float() / 255)
            losses = cross_entropy(logits.float().flatten(0, 1), labels[rows].flatten(), reduction="sum") / batch
            losses = losses + sum(m.prompt.penalty() for m in self.models)
            optimiser.zero_grad()
            losses.backward()
            optimiser.step()
        self.train(False)

    @torch.no_grad()
    def correct(self, images: Tensor, labels: Tensor, among: Tensor | None = None) -> list[float]:
        """The share of images that each model gets right, in float32; `among`: the classes that may be chosen."""
        right = torch.zeros(len(self.models), device=self.device)
        for x, y in zip(images.split(250), labels.split(250), strict=True):
            floats = x.float() / 255 if x.dtype == torch.uint8 else x
            logits = self.logits(floats.expand(len(self.models), *x.shape))
            if among is not None:
                logits = logits.masked_fill(~among, -math.inf)
            right += (logits.argmax(2) == y).sum(1)
        return [float(share) for share in (right / len(labels)).tolist()]

    def tested(self, tensors: dict[str, Any]) -> list[dict[str, Any]]:
        """Of every model its accuracies on the test split, and from elsewhere where there is such a set."""
        images, labels = tensors["test"]
        found: list[dict[str, Any]] = [{"clean": a, "noise": {}} for a in self.correct(images, labels)]
        for name, noisy in tensors["noises"].items():
            for one, share in zip(found, self.correct(noisy, labels), strict=True):
                one["noise"][name] = share
        if "ood" in tensors:
            images, labels = tensors["ood"]
            among = torch.zeros(len(tensors["classes"]), dtype=torch.bool, device=self.device)
            among[labels] = True
            for one, share in zip(found, self.correct(images, labels, among), strict=True):
                one["ood"] = share
        for one, model in zip(found, self.models, strict=True):
            density = getattr(model.prompt, "density", None)
            if density:
                one["density"] = density()
            one["finite"] = all(bool(p.isfinite().all()) for p in model.learned().values())
            sizes = [p.numel() for name, p in model.learned().items() if not name.startswith("head.")]
            one["prompt_parameters"] = sum(sizes)
        return found

    def warm_start(self, pictures: tuple[Tensor, Tensor], classes: int) -> None:
        """Begin from trained VPT-deep prompts: P = Vth (1/2 + p / (4 std p)), and its head."""
        assert self.study.warm is not None
        tokens = {"tokens": self.study.settings.get("tokens", 10)}
        teacher = dataclasses.replace(self.study, method="vpt-deep", settings=tokens, warm=None)
        seeds = [(seed, *self.study.warm) for seed, _, _ in self.runs]
        team = Team(teacher, self.backbone, classes, seeds)
        team.fit(*pictures)
        with torch.no_grad():
            for model, other in zip(self.models, team.models, strict=True):
                p = other.prompt.get_parameter("p")
                threshold = self.study.settings.get("threshold", 1.0)
                model.prompt.get_parameter("p").copy_(threshold * (0.5 + 0.25 * p / p.std()))
                model.head.load_state_dict(other.head.state_dict())


def _orders(seed: int, epochs: int, n: int, kept: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.cat([torch.randperm(n, generator=draw)[:kept] for _ in range(epochs)])


# --- the floor --------------------------------------------------------------------------------------------------------


def logistic(features: Tensor, labels: Tensor, classes: int, c: float) -> tuple[Tensor, Tensor, float]:
    """Weights and bias that minimise c sum of losses + |W|^2 / 2 (scikit-learn's objective), and the gradient's norm.

    L-BFGS in float64 to convergence. The norm is that of the objective over c n.
    """
    x = features.double()
    w = torch.zeros(classes, x.shape[1], dtype=x.dtype, device=x.device, requires_grad=True)
    b = torch.zeros(classes, dtype=x.dtype, device=x.device, requires_grad=True)
    solver = torch.optim.LBFGS([w, b], max_iter=3000, tolerance_grad=1e-7, tolerance_change=0.0, history_size=20,
                               line_search_fn="strong_wolfe")  # fmt: skip

    def loss() -> Any:
        solver.zero_grad()
        value = cross_entropy(x @ w.T + b, labels) + (w**2).sum() / (2 * c * len(x))
        value.backward()
        return value

    solver.step(loss)
    loss()
    assert w.grad is not None
    assert b.grad is not None
    return w.detach(), b.detach(), float(max(w.grad.abs().max(), b.grad.abs().max()))


def floor_row(backbone: Any, tensors: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row of the logistic regression: C chosen on validation, then fitted on all training images."""
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

    tried = {c: share(*logistic(train, y, classes, c)[:2], val, z) for c in (10.0**e for e in range(-4, 4))}
    best = max(tried, key=lambda c: tried[c])
    w, b, slope = logistic(torch.cat([train, val]), torch.cat([y, z]), classes, best)
    noise = {name: share(w, b, features(noisy), t) for name, noisy in tensors["noises"].items()}
    yield {"kind": "final", "seed": 0, "clean": share(w, b, test, t), "noise": noise, "val": tried[best], "C": best,
           "gradient": slope, "tried": {str(c): a for c, a in tried.items()}, "edge": best in (1e-4, 1e3)}  # fmt: skip


# --- one study --------------------------------------------------------------------------------------------------------


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
    found = team(runs)
    found.fit(*tensors["train"])
    for (seed, p, h), share in zip(runs, found.correct(*tensors["val"]), strict=True):
        known[seed, p, h] = share
        yield {"kind": "search", "seed": seed, "lr_prompt": p, "lr_head": h, "val": share,
               "seconds": round((time.monotonic() - began) / len(runs), 2)}  # fmt: skip


def run(study: Study, backbone: Any, tensors: dict[str, Any], done: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All rows of a study that are not done; `done` are its rows of an earlier call."""
    finals = {row["seed"] for row in done if row["kind"] == "final"}
    if study.method == "logistic":
        if not finals:
            yield from floor_row(backbone, tensors)
        return
    classes = len(tensors["classes"])
    both = tuple(torch.cat([tensors["train"][i], tensors["val"][i]]) for i in (0, 1))

    def team(runs: Sequence[tuple[int, float, float]], images: Any = None) -> Team:
        made = Team(study, backbone, classes, runs)
        if study.warm:
            made.warm_start(images or tensors["train"], classes)
        return made

    known = {(r["seed"], r["lr_prompt"], r["lr_head"]): r["val"] for r in done if r["kind"] == "search"}
    p, h, edge = yield from search(study, team, tensors, known)
    left = [(seed, p, h) for seed in study.seeds if seed not in finals]
    for i in range(0, len(left), study.side):
        began, mine = time.monotonic(), left[i : i + study.side]
        trained = team(mine, both)
        trained.fit(*both)
        fitted = time.monotonic() - began
        for (seed, _, _), tested in zip(mine, trained.tested(tensors), strict=True):
            yield {"kind": "final", "seed": seed, "lr_prompt": p, "lr_head": h, "edge": edge, **tested,
                   "val": sum(known[s, p, h] for s in study.search_seeds) / len(study.search_seeds),
                   "seconds": round(fitted / len(mine), 2), "train_images": len(both[0])}  # fmt: skip


# --- workers ----------------------------------------------------------------------------------------------------------


@cache
def backbone_of(assets: Path, name: str, px: int, device: str) -> Any:
    """The frozen backbone on `device`."""
    return load_backbone(npt.BackboneSpec(name, str(assets / "weights" / f"{name}.safetensors"), px)).to(device)


def size_of(study: Study, backbone: Any) -> int:
    """The side to which a study's images are resized: a frame leaves them less."""
    if study.method == "logistic":
        return study.px
    made = npt.Prompt.named(study.method, site=backbone.site, **study.settings).picture()
    return made[0] if made else study.px


def loaded(args: argparse.Namespace, study: Study) -> tuple[Any, dict[str, Any]]:
    """Backbone and tensors of a study; `--tiny` keeps few images."""
    backbone = backbone_of(args.assets, study.backbone, study.px, args.device)
    tensors = tensors_of(args.work, study.data, size_of(study, backbone), args.parts, args.device)
    if args.tiny:
        few = {name: (tensors[name][0][::13], tensors[name][1][::13]) for name in ("train", "val", "test")}
        noisy = {name: images[::13] for name, images in tensors["noises"].items()}
        tensors = {**tensors, **few, "noises": noisy}
    return backbone, tensors


def work(args: argparse.Namespace, todo: list[Study], turn: Any, stop: float) -> None:
    """One worker: takes the next study until none is left or the time is over."""
    torch.set_num_threads(1)
    exact()
    rows = read(args.results)
    device = torch.cuda.get_device_name() if args.device == "cuda" else args.device
    while time.time() < stop:
        with turn.get_lock():
            mine, turn.value = turn.value, turn.value + 1
        if mine >= len(todo):
            return
        study = todo[mine]
        about = {**study.about(), "batch": BATCH, "device": device}
        try:
            backbone, tensors = loaded(args, study)
            done = [row for row in rows if row.get("study") == study.name and row["kind"] != "error"]
            for row in run(study, backbone, tensors, done):
                write(args.results, {**about, **row})
                print(f"{time.strftime('%X')} {study.name} {row['kind']} {row['seed']} val {row.get('val', 0):.3f} "
                      f"{row.get('lr_prompt', 0):g}/{row.get('lr_head', 0):g} clean {row.get('clean', 0):.3f}", flush=True)  # fmt: skip  # noqa: E501
                if time.time() > stop and row["kind"] == "search":
                    return
        except Exception as error:  # one study's failure must not end the others
            traceback.print_exc()
            write(args.results, {**about, "kind": "error", "error": f"{type(error).__name__}: {error}"[:500]})
            if args.device == "cuda":
                torch.cuda.empty_cache()


def exact() -> None:
    """Float32 is float32: TF32 off."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def write(file: Path, row: dict[str, Any]) -> None:
    """Append one row, and see it onto the disk."""
    with file.open("a") as out:
        out.write(json.dumps(row) + "\n")
        out.flush()
        os.fsync(out.fileno())


def read(file: Path) -> list[dict[str, Any]]:
    """The rows so far; a line that a kill cut short is left out."""
    rows = []
    for line in file.read_text().splitlines() if file.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def smoke(args: argparse.Namespace, todo: list[Study]) -> None:
    """Time a training step of each kind of method, so that a mistake shows early."""
    for study in todo:
        try:
            backbone, tensors = loaded(args, study)
            for k in (1, study.side):
                team = Team(study, backbone, len(tensors["classes"]), [(s, 1e-2, 3e-3) for s in range(k)])
                team.fit(*tensors["train"], steps=3)
                times = []
                for call in (lambda: team.fit(*tensors["train"], steps=args.smoke), lambda: team.correct(*tensors["test"])):  # fmt: skip  # noqa: E501, B023
                    began = time.monotonic()
                    call()
                    if args.device == "cuda":
                        torch.cuda.synchronize()
                    times.append(time.monotonic() - began)
                step, tests = times[0] / args.smoke, times[1] / len(tensors["test"][0]) / k
                memory = torch.cuda.max_memory_allocated() / 2**30 if args.device == "cuda" else 0
                print(f"{study.name}: {k} side by side, {1e3 * step:.1f} ms a step, {1e6 * step / k / BATCH:.1f} us an "
                      f"image, {1e6 * tests:.1f} us an image tested, {memory:.1f} GiB", flush=True)  # fmt: skip
        except Exception:
            traceback.print_exc()


def main() -> None:
    """Prepare the data, start the workers, end them in time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True, help="a folder with weights/ and data/")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--work", type=Path, default=None, help="where prepared data are kept (OUT/prepared)")
    parser.add_argument("--studies", type=Path, default=Path(__file__).with_suffix(".toml"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=480.0, help="start nothing after so many seconds")
    parser.add_argument("--grace", type=float, default=45.0, help="end the workers so many seconds later")
    parser.add_argument("--only", default="", help="studies whose name holds one of these words, with commas between")
    parser.add_argument("--tiny", action="store_true", help="few images and epochs: a rehearsal")
    parser.add_argument("--smoke", type=int, default=0, metavar="STEPS", help="time so many steps of a few studies")
    args = parser.parse_args()
    began = time.time()
    args.out.mkdir(parents=True, exist_ok=True)
    args.work = args.work or args.out / "prepared"
    args.work.mkdir(parents=True, exist_ok=True)
    exact()
    args.results, args.parts = args.out / "evidence.jsonl", 1 + min(12, args.cores)
    words = [word for word in args.only.split(",") if word]
    there = (args.assets / "data", set(npt.Prompt.names()) | {"logistic"})
    todo = [s for s in studies(args.studies, args.tiny) if (there[0] / s.data).is_dir() and s.method in there[1]]
    todo = [s for s in todo if not words or any(word in s.name for word in words)]
    context = mp.get_context("spawn")
    sizes = dict.fromkeys((s.data, size_of(s, backbone_of(args.assets, s.backbone, s.px, "cpu"))) for s in todo)
    jobs = [(args.assets, args.work, (*of, part, args.parts)) for of in sizes for part in range(args.parts)]
    pool = context.Pool(args.cores)
    waiting = pool.starmap_async(prepare, jobs, chunksize=1)
    print(f"{len(todo)} studies, {len(jobs)} jobs of preparation", flush=True)
    if args.smoke:
        smoke(args, todo)
        waiting.get()
        return
    turn, stop = context.Value("i", 0), began + args.seconds
    team = [context.Process(target=work, args=(args, todo, turn, stop)) for _ in range(args.workers)]
    for process in team:
        process.start()
    while any(process.is_alive() for process in team) and time.time() < stop + args.grace:
        time.sleep(0.5)
        if waiting.ready() and not waiting.successful():
            waiting.get()
    for process in team:
        process.terminate()
    pool.terminate()
    rows = read(args.results)
    print(f"{len(rows)} rows, {sum(r['kind'] == 'final' for r in rows)} final, "
          f"{sum(r['kind'] == 'error' for r in rows)} errors, {time.time() - began:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
