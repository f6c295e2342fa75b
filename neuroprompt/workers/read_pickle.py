"""Read the tensors of a PyTorch checkpoint and write them as safetensors: read_pickle.py FILE OUT BYTES SECONDS.

A process of its own, with limits: torch.load(weights_only=True) runs no code of the file's own, but a hostile file may
ask for any amount of memory or time. Needs torch and safetensors. Exit code 3: what is on stderr says why not.
"""

import argparse
import pathlib
import pickle
import sys
import warnings
from collections.abc import Iterator
from typing import Any

SETTINGS: list[Any] = [argparse.Namespace, pathlib.PosixPath, pathlib.WindowsPath, pathlib.Path]
"""What training scripts store beside the tensors, and which runs nothing: timm too lets the first in."""
MOST_DEPTH = 8
"""Mappings in mappings: state_dict, model, ..."""


def tensors(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every tensor in nested mappings, with the keys on the way to it joined by dots; whatever else is left out."""
    import torch

    if isinstance(value, torch.Tensor):
        yield place, value
    elif isinstance(value, dict) and depth < MOST_DEPTH:
        for key, inner in value.items():
            yield from tensors(inner, f"{place}.{key}" if place else str(key), depth + 1)


def limit(most_bytes: int, seconds: int) -> None:
    """Bound what this process may take, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))


def main(file: str, out: str, most_bytes: int, seconds: int) -> int:
    """Convert one file."""
    import torch
    from safetensors.torch import save_file

    limit(most_bytes, seconds)
    warnings.simplefilter("ignore")  # stderr is for the reason
    torch.serialization.add_safe_globals(SETTINGS)
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
        plain = {name: value.detach().clone().contiguous() for name, value in tensors(loaded)}
        save_file({name: value for name, value in plain.items() if value.layout is torch.strided}, out)
    except pickle.UnpicklingError:  # torch's own words advise to run the code
        sys.stderr.write("it is damaged, or holds more than tensors, which would run code of its own")
        return 3
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        sys.stderr.write(lines[0])
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
