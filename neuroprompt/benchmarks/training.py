"""Times a training step of every method beside a plain loop and linear probing, in one run and in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn.functional import cross_entropy

from neuroprompt.benchmarks.decoding import Decoding, bench_decoding
from neuroprompt.benchmarks.memory import peak_bytes
from neuroprompt.benchmarks.rounds import Middles, in_turn, medians, middle, quartiles, ratio
from neuroprompt.contracts.learning import BackboneSpec, Head, Prompt
from neuroprompt.errors import BadSetting, Unsupported
from neuroprompt.progress import SILENT, Progress
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.cast import KINDS
from neuroprompt.training.devices import launch, warn_of_bf16
from neuroprompt.training.model import PromptedModel

BASE, GENERATOR, PLAIN, CLASSES = "linear", " generator", " plain", 100


@dataclass(frozen=True)
class TrainingBenchmark:
    """Training steps of several methods on one backbone.

    images_per_second  of the median step, by method
    over_linear        a step's time over that of linear probing, by method
    over_plain         a step's time over that of a plain loop, by method: timm's own modules, with prompts as ordinary
                       tokens, as the methods' authors published them; the same gradients
    peak_bytes         the most memory that a step holds at once, weights and optimiser included, by method
    generator_share    the time of the generator alone over that of the step, where neurons make the prompt
    refused            methods that do not fit the backbone, with the reason
    decoded            from JPEG files to batches, by the number of worker processes, where asked for
    device, precision  where the steps ran, and in which precision; "32-true" is all of 32 bits

    `plain_images_per_second` and `plain_peak_bytes` are the plain loop's, on the same device and always in 32 bits.
    """

    images_per_second: Mapping[str, float]
    plain_images_per_second: Mapping[str, float]
    over_linear: Middles
    over_plain: Middles
    peak_bytes: Mapping[str, int]
    plain_peak_bytes: Mapping[str, int]
    generator_share: Mapping[str, float]
    refused: Mapping[str, str]
    batch: int
    rounds: int
    threads: int
    decoded: Mapping[str, Decoding] = field(default_factory=dict)
    device: str = "cpu"
    precision: str = "32-true"

    @property
    def workers_needed(self) -> dict[str, int]:
        """Workers that decode as fast as each method's step learns, as the fastest worker timed here does."""
        each = max((timed.images_per_second / int(n) for n, timed in self.decoded.items() if n != "0"), default=0.0)
        return {name: math.ceil(speed / each) for name, speed in self.images_per_second.items()} if each else {}

    def json(self) -> dict[str, object]:
        """The figures, quartiles beside medians."""
        return {
            "images_per_second": dict(self.images_per_second),
            "plain_images_per_second": dict(self.plain_images_per_second),
            "over_linear": medians(self.over_linear),
            "over_linear_quartiles": quartiles(self.over_linear),
            "over_plain": medians(self.over_plain),
            "over_plain_quartiles": quartiles(self.over_plain),
            "peak_bytes": dict(self.peak_bytes),
            "plain_peak_bytes": dict(self.plain_peak_bytes),
            "generator_share": dict(self.generator_share),
            "refused": dict(self.refused),
            "batch": self.batch,
            "rounds": self.rounds,
            "threads": self.threads,
            "device": self.device,
            "precision": self.precision,
            "decoded_images_per_second": {n: timed.images_per_second for n, timed in self.decoded.items()},
            "first_batch_seconds": {n: timed.first_seconds for n, timed in self.decoded.items()},
            "workers_needed": self.workers_needed,
        }


def bench_training(
    spec: BackboneSpec,
    methods: Sequence[str] = (),
    *,
    tokens: int = 10,
    batch: int = 16,
    rounds: int = 10,
    workers: Sequence[int] = (),
    device: str = "cpu",
    precision: str = "auto",
    progress: Progress = SILENT,
) -> TrainingBenchmark:
    """Training images a second of each of `methods` (all that fit, by default), beside a plain loop of the same.

    A step is forward, backward and AdamW on `batch` random images, as `train` takes it; the plain one has none of what
    `Backbone.for_training` leaves out. A backbone that learns has no form for training: there both are alike. Prompts
    have `tokens` tokens (a block) where the method has such a setting. Linear probing has the backbone in the loop
    here, as where images are augmented. The generator's share, forward and backward, is given where neurons outside of
    the blocks make the prompt. Every round runs all, in an order drawn anew. `workers`: how many processes decode, each
    number timed on its own (`bench_decoding`). `device` and `precision` are those of `train`; "auto" is bf16-mixed on
    a GPU of CUDA, where memory is what PyTorch's allocator gave out. Raises BadSetting, UnknownName.
    """
    if batch < 1 or rounds < 1:
        raise BadSetting(f"batch {batch}, rounds {rounds}", "each at least 1")
    fabric = launch(device, 1, "auto", precision)
    warn_of_bf16(fabric, progress)
    backbone = load_backbone(spec)
    runs: dict[str, Callable[[], None]] = {}
    peaks: dict[str, int] = {}
    refused: dict[str, str] = {}
    for method in dict.fromkeys([BASE, *(methods or Prompt.names())]):
        try:
            # Full fine-tuning needs a backbone of its own: its weights change.
            own = load_backbone(spec) if Prompt.part(method).tunes_backbone else backbone
            prompt = Prompt.named(method, site=own.site, **_settings(method, tokens))
        except Unsupported as error:
            if methods:
                raise
            refused[method] = str(error)
            continue
        head = Head.named("linear", features=own.features, classes=CLASSES)
        for name, fast in ((method, True), (method + PLAIN, False)):
            model = PromptedModel(own, prompt, head).train().to(fabric.device)
            drawn = torch.rand(batch, 3, *model.preprocess.size, generator=torch.Generator().manual_seed(0))
            images = drawn.to(fabric.device)
            step, optimiser = _step(fabric, model, images, fast=fast)
            runs[name] = _whole(step, fabric.device)
            peaks[name] = _peak(runs[name], model, optimiser)
        if prompt.spiking and prompt.stream() is None and prompt.enters != "layers":
            runs[method + GENERATOR] = _whole(_generator(prompt, images), fabric.device)
    seconds = in_turn(runs, rounds, progress)
    steps = [name for name in runs if not name.endswith((GENERATOR, PLAIN))]
    return TrainingBenchmark(
        images_per_second={name: batch / middle(seconds[name]).median for name in steps},
        plain_images_per_second={name: batch / middle(seconds[name + PLAIN]).median for name in steps},
        over_plain={name: ratio(seconds[name], seconds[name + PLAIN]) for name in steps},
        peak_bytes={name: peaks[name] for name in steps},
        plain_peak_bytes={name: peaks[name + PLAIN] for name in steps},
        over_linear={name: ratio(seconds[name], seconds[BASE]) for name in steps if name != BASE},
        generator_share={
            name: ratio(seconds[name + GENERATOR], seconds[name]).median for name in steps if name + GENERATOR in runs
        },
        refused=refused,
        batch=batch,
        rounds=rounds,
        threads=torch.get_num_threads(),
        decoded=bench_decoding(backbone.preprocess, workers, batch=batch, progress=progress) if workers else {},
        device=torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else fabric.device.type,
        precision=str(fabric.strategy.precision.precision),
    )


def _settings(method: str, tokens: int) -> dict[str, int]:
    return {"tokens": tokens} if "tokens" in Prompt.part(method).settings() else {}


def _step(
    fabric: Fabric, model: PromptedModel, images: Tensor, *, fast: bool
) -> tuple[Callable[[], None], torch.optim.Optimizer]:
    """A step as `train` takes it, in Fabric's precision (`fast`), or of a plain loop in 32 bits; and its optimiser."""
    labels = torch.arange(len(images), device=images.device) % CLASSES
    optimiser = torch.optim.AdamW(model.learned().values(), lr=1e-4, fused=fast)
    learner, learning = fabric.setup(model, optimiser) if fast else (model, optimiser)
    if fast or model.prompt.keyed:  # timm's own attention takes no keys: there both are alike
        model.quicken(KINDS.get(str(fabric.strategy.precision.precision)) if fast else None)

    def step() -> None:
        learning.zero_grad()
        loss = cross_entropy(learner(images).float(), labels) + model.prompt.penalty()
        fabric.backward(loss) if fast else loss.backward()
        learning.step()

    return step, optimiser


def _whole(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The step to its end, also on a device that works on after the call."""
    if device.type == "cpu":
        return step

    def run() -> None:
        step()
        torch.accelerator.synchronize(device)

    return run


def _peak(step: Callable[[], None], model: PromptedModel, optimiser: torch.optim.Optimizer) -> int:
    """The peak of the second step, in which the optimiser has its state."""
    step()
    state = [value for each in optimiser.state.values() for value in each.values()]
    optimiser.zero_grad()
    held = [*model.held(), *state]
    if model.mean.device.type != "cuda":
        return peak_bytes(step, held)
    before = torch.cuda.memory_allocated()  # other methods' models are in it
    torch.cuda.reset_peak_memory_stats()
    step()
    storages = [tensor.untyped_storage() for tensor in held]
    sizes: dict[int, int] = {storage.data_ptr(): storage.nbytes() for storage in storages}
    return torch.cuda.max_memory_allocated() - before + sum(sizes.values())


def _generator(prompt: Prompt, images: Tensor) -> Callable[[], None]:
    """Forward and backward of what makes the prompt, and nothing of the backbone."""

    def step() -> None:
        tokens = prompt.tokens()
        output = prompt.pixels(images) if tokens is None else tokens
        output.backward(torch.ones_like(output))
        prompt.zero_grad()

    return step
