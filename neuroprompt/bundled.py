"""The spiking model and the prompt's bits inside a bundle: written, and read back."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from neuroprompt.bundle import Bundle
from neuroprompt.errors import BadBundle
from neuroprompt.graph import read_graph, write_graph
from neuroprompt.program import Model, Program

GRAPH, REPORT, TOKENS = "generator.nir", "scale_report.json", "tokens.npy"
PROGRAMS = {"float": "program.float.npz", "fixed": "program.fixed.npz"}


def write_model(model: Model, folder: Path) -> None:
    """Write graph, both programs and the scale report into `folder`; raises CannotWrite, OSError."""
    write_graph(model.graph, folder / GRAPH)
    for precision, name in PROGRAMS.items():
        (folder / name).write_bytes(model.program(precision).to_bytes())
    (folder / REPORT).write_text(json.dumps(model.scale_report, indent=1) + "\n")


def read_model(folder: Path) -> Model:
    """Read what `write_model` wrote; raises BadBundle, BadGraph."""
    graph = read_graph(folder / GRAPH)
    try:
        programs = {key: Program.from_bytes((folder / name).read_bytes()) for key, name in PROGRAMS.items()}
        report: dict[str, Any] = json.loads((folder / REPORT).read_text())
    except (OSError, ValueError) as error:
        raise BadBundle(f"{folder} holds no whole model ({error})", "its own files", "export it again") from error
    return Model(graph, programs["float"], programs["fixed"], report)


def load_model(bundle: Bundle) -> Model:
    """The spiking model of an opened bundle; raises BadBundle where it holds none."""
    if not (bundle.folder / GRAPH).is_file() or not (bundle.folder / PROGRAMS["fixed"]).is_file():
        raise BadBundle(f"{bundle.folder}, a bundle for {bundle.kind!r}, holds no spiking model", "one for 'lava'")
    return read_model(bundle.folder)


def bits_of(tokens: Tensor) -> NDArray[np.uint8]:
    """B of binary tokens s B (L, N, D), as 0 and 1."""
    return (tokens.detach().cpu() != 0).numpy().astype(np.uint8)


def write_bits(tokens: Tensor, file: Path) -> None:
    """Write the bits as `.npy`; raises OSError with its number, which np.save to a full disk does not."""
    data = io.BytesIO()
    np.save(data, bits_of(tokens), allow_pickle=False)
    file.write_bytes(data.getvalue())


def bits_sha256(tokens: Tensor) -> str:
    """SHA-256 of the bits, one byte each in C order; of the float32 values where tokens (L, N, D) are not binary.

    Equal where two exports carry the same prompt.
    """
    values = tokens.detach().cpu().float()
    binary = all(block[block != 0].unique().numel() <= 1 for block in values)
    data = bits_of(values) if binary else values.numpy()
    return hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()
