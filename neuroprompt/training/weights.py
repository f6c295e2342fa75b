"""Backbone weights from a safetensors file of any layout that timm knows, in timm's own names."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from neuroprompt.contracts.tensor_files import read_tensors
from neuroprompt.errors import BadWeights
from neuroprompt.progress import SILENT, Progress
from neuroprompt.workers import read_pickle

Weights = dict[str, Tensor]


PICKLES = {".pth", ".pt", ".bin", ".ckpt", ".pkl", ".tar"}
SECONDS = 120
"""What a checkpoint may take to read."""
SPARE_BYTES = 4 * 2**30
"""Memory that its reader may take beside four times the file: torch itself, and copies."""


WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Names of modules in torch.compile, FSDP and activation checkpoints, which may wrap any layer."""


def read_weights(file: Path) -> Weights:
    """The tensors of a safetensors file or of a PyTorch checkpoint, floats in float32; raises BadWeights."""
    if not file.is_file():
        fix = "give --weights FILE.safetensors, or --random-weights"
        raise BadWeights(f"there are no weights at {file}", "a safetensors file", fix)
    if file.suffix in PICKLES:
        with TemporaryDirectory() as folder:
            return read_weights(_converted(file, Path(folder) / "weights.safetensors"))
    try:
        return {
            key: value.float() if value.is_floating_point() else value for key, value in read_tensors(file)[0].items()
        }
    except ValueError as error:
        raise BadWeights(f"{file} cannot be read ({error})", "a safetensors file") from error


def _converted(file: Path, out: Path) -> Path:
    """The tensors of a PyTorch checkpoint as safetensors; a child process reads them and runs no code of the file."""
    fix = "convert it: safetensors.torch.save_file(state_dict, 'weights.safetensors')"
    most = 4 * file.stat().st_size + SPARE_BYTES
    command = [sys.executable, "-I", str(Path(read_pickle.__file__)), str(file), str(out), str(most), str(SECONDS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise BadWeights(f"{file} took more than {SECONDS} s to read", "a checkpoint of tensors", fix) from error
    if done.returncode:
        reason = done.stderr.strip() if done.returncode == 3 else f"its reader ended with code {done.returncode}"
        raise BadWeights(f"{file} cannot be read ({reason})", "a checkpoint of tensors alone", fix)
    return out


def weights_for(model: nn.Module, file: Path, progress: Progress = SILENT) -> Weights:
    """The weights of a timm model and its classifier, in timm's names; raises BadWeights.

    A wrapper's prefix (`module.`, `backbone.`, `model_ema.`, ...) is left out, and `progress` says so. Then timm's own
    filter for checkpoints of other layouts renames and resamples.
    """
    weights, names = read_weights(file), model.state_dict().keys()
    prefix = wrapper(weights, names)
    if not all(f"{prefix}{name}" in weights for name in names):
        weights = unwrapped(weights, file, progress)
        prefix = wrapper(weights, names)
    if prefix:
        under = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        others = len(weights) - len(under)
        rest = f"; {others} other tensors are left out" if others else ""
        progress.say(f"{file}: the weights are those under '{prefix}'{rest}")
        weights = under
    adapt: Callable[[Weights, Any], Weights] | None = getattr(
        sys.modules[type(model).__module__], "checkpoint_filter_fn", None
    )
    if adapt is not None:
        with fits(file, "this model"):
            weights = adapt(weights, model)
    floats = {key for key, value in model.state_dict().items() if value.is_floating_point()}
    for key, value in weights.items():
        if (key in floats or key.endswith((".weight", ".bias"))) and not value.is_floating_point():
            got = f"{file} holds {key} as {str(value.dtype).removeprefix('torch.')}, without what it is to be scaled by"
            raise BadWeights(got, "weights that are floats", "take the checkpoint from before quantisation")
        strange = int((~torch.isfinite(value)).sum()) if value.is_floating_point() else 0
        if strange:
            got = f"{file} holds {strange} of {value.numel()} values in {key} that are not finite (NaN or infinite)"
            raise BadWeights(got, "weights that are numbers", "take a checkpoint from before training diverged")
    return weights


def unwrapped(weights: Weights, file: Path, progress: Progress = SILENT) -> Weights:
    """The weights without the names that torch's wrappers of single layers put in the middle of others, saying so."""
    inside = [name for name in WRAPPERS if any(f".{name}." in key for key in weights)]
    if not inside:
        return weights
    progress.say(f"{file}: {' and '.join(inside)} left out of the names of weights")
    return {".".join(part for part in key.split(".") if part not in inside): value for key, value in weights.items()}


def wrapper(keys: Collection[str], names: Collection[str]) -> str:
    """What stands before a model's `names` in the `keys` of a file: the prefix of most, and of half of them at least.

    Empty where there is none. Of two prefixes with as many names an average of the weights comes first (EMA), as in
    timm.
    """
    wanted, count = set(names), Counter[str]()
    for key in keys:
        parts = key.split(".")
        for i in range(len(parts)):
            if ".".join(parts[i:]) in wanted:
                count[".".join([*parts[:i], ""]) if i else ""] += 1
    best = max(count, key=lambda prefix: (count[prefix], "ema" in prefix, -len(prefix)), default="")
    return best if 2 * count[best] >= len(wanted) else ""


@contextmanager
def fits(file: Path | str, name: str) -> Iterator[None]:
    """Whatever is raised within as BadWeights: the first key that does not fit, and both shapes."""
    try:
        yield
    except (RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        lines = str(error).replace("torch.Size(", "").replace("])", "]").splitlines() or [type(error).__name__]
        first = next((line for line in lines if "loading state_dict" not in line), lines[-1]).strip()
        first = first if len(first) < 200 else first[:200].rpartition(",")[0] + ", ..."
        raise BadWeights(f"weights {file} do not fit {name!r}: {first}", "weights of this model") from error
