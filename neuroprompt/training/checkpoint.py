"""The tensors of a run folder: prompt and head, and the state from which training goes on; safetensors only."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from neuroprompt.contracts.tensor_files import read_tensors
from neuroprompt.errors import BadCheckpoint
from neuroprompt.files import beside, json_of, remove, write_whole
from neuroprompt.training.config import RunConfig
from neuroprompt.training.model import PromptedModel
from neuroprompt.training.run_files import PROMPT, RUN, STATE


def save_prompt(folder: Path, config: RunConfig, tensors: Mapping[str, Tensor], name: str = PROMPT) -> None:
    """Write prompt.safetensors, or the file called `name`; raises CannotWrite."""
    about = {"method": config.method, "config": config.digest()}
    write_whole(folder / name, _bytes_of(tensors, about))


def load_prompt(folder: Path, config: RunConfig, name: str = PROMPT) -> dict[str, Tensor]:
    """What `save_prompt` wrote; raises BadCheckpoint where it is of another run."""
    file = folder / name
    if not file.is_file():
        fix = "train it (again)" if name == PROMPT else "train it with --best"
        raise BadCheckpoint(f"{folder} has no {name}", "a run that was trained", fix)
    tensors, about = _read(file)
    if about.get("method") != config.method:
        got = f"{file} is a prompt of method {about.get('method')!r}"
        raise BadCheckpoint(got, f"{config.method!r} as in {RUN}", "put the run's own file back, or train again")
    _check_digest(file, about, config, "put the run's own files back, or train again")
    return tensors


def save_state(folder: Path, config: RunConfig, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Write state.safetensors: tensors and numbers in one file, so that they can only appear together."""
    about = {"config": config.digest(), "info": json.dumps(info)}
    write_whole(folder / STATE, _bytes_of(tensors, about))


def load_state(folder: Path, config: RunConfig) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `save_state` wrote, None where it wrote nothing; raises BadCheckpoint."""
    file = folder / STATE
    if not file.is_file():
        return None
    tensors, about = _read(file)
    _check_digest(file, about, config, f"delete {file} to start this run again")
    try:
        info: dict[str, Any] = dict(json_of(about["info"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadCheckpoint(f"{file} does not say where it stopped", "its own metadata", f"delete {file}") from error
    return tensors, info


def drop_state(folder: Path) -> None:
    """Remove state.safetensors, where training has ended."""
    for file in (folder / STATE, beside(folder / STATE)):
        remove(file)


def load_tensors(model: PromptedModel, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Copy tensors into all that training changes; raises BadCheckpoint unless names and shapes are exactly theirs."""
    kept = model.kept()
    for name in sorted(kept.keys() | tensors.keys()):
        got = tuple(tensors[name].shape) if name in tensors else None
        expected = tuple(kept[name].shape) if name in kept else None
        if got != expected:
            raise BadCheckpoint(
                f"{file} holds {name} of shape {got}" if got is not None else f"{file} lacks {name}",
                f"shape {expected}" if expected is not None else f"only {', '.join(kept)}",
                "train again, or put the run's own file back",
            )
    with torch.no_grad():
        for name, value in kept.items():
            value.copy_(tensors[name])


def _check_digest(file: Path, about: Mapping[str, str], config: RunConfig, fix: str) -> None:
    if about.get("config") != config.digest():
        raise BadCheckpoint(f"{file} belongs to another run than {RUN} beside it", "files of one run", fix)


def _bytes_of(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """A safetensors file, its header sorted: the library orders metadata anew each time."""
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    data = safetensors.torch.save(plain, dict(about))
    (length,) = struct.unpack_from("<Q", data)
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        return read_tensors(file)
    except ValueError as error:
        got = f"{file} is truncated or no safetensors file ({error})"
        raise BadCheckpoint(got, "a whole file", "train again, or put the run's own file back") from error
