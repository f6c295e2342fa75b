"""The spiking model, its sample inputs and the prompt's bits inside a bundle: written, and read back."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuroprompt.bundles.bundle import MANIFEST, Bundle
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import BadBundle
from neuroprompt.files import json_of
from neuroprompt.spiking.graph import write_graph
from neuroprompt.spiking.program import Program, SpikingModel
from neuroprompt.workers.program_file import UNREADABLE

GRAPH, REPORT, TOKENS = "generator.nir", "scale_report.json", "tokens.npy"
PROGRAMS = {"float": "program.float.npz", "fixed": "program.fixed.npz"}
SAMPLE, INPUTS = "factors.{}.npy", "inputs.npy"


def write_model(model: SpikingModel, folder: Path) -> None:
    """Write graph, both programs and the scale report into `folder`; raises CannotWrite, OSError."""
    write_graph(model.graph, folder / GRAPH)
    for precision, name in PROGRAMS.items():
        (folder / name).write_bytes(model.program(precision).to_bytes())
    (folder / REPORT).write_text(json.dumps(model.scale_report, indent=1) + "\n")


def read_model(folder: Path) -> SpikingModel:
    """Read what `write_model` wrote; raises BadBundle, BadGraph."""
    graph = read_graph(folder / GRAPH)
    try:
        programs = {key: Program.from_bytes((folder / name).read_bytes()) for key, name in PROGRAMS.items()}
        report: dict[str, Any] = json_of((folder / REPORT).read_bytes())
    except (OSError, ValueError) as error:
        raise BadBundle(f"{folder} holds no whole model ({error})", "its own files", "export it again") from error
    return SpikingModel(graph, programs["float"], programs["fixed"], report)


def load_model(bundle: Bundle) -> SpikingModel:
    """The spiking model of an opened bundle; raises BadBundle where it holds none."""
    if not (bundle.folder / GRAPH).is_file() or not (bundle.folder / PROGRAMS["fixed"]).is_file():
        raise BadBundle(f"{bundle.folder}, a bundle for {bundle.kind!r}, holds no spiking model", "one for 'lava'")
    return read_model(bundle.folder)


def write_samples(factors: Floats, folder: Path) -> None:
    """Write what drives the neurons for a few images, (k, T, n), a float32 file each."""
    for i, sample in enumerate(factors):
        _write_array(sample.astype(np.float32), folder / SAMPLE.format(i))


def write_inputs(inputs: Floats, folder: Path) -> None:
    """Write what a graph's integers were fitted on, (T, n_in)."""
    _write_array(inputs, folder / INPUTS)


def load_tried(bundle: Bundle) -> tuple[SpikingModel, Floats | None, int]:
    """The spiking model of an opened bundle, inputs to try it with, and how many images those are of.

    A generator whose inputs depend on the image is tried on the bundle's own samples, in as many lanes; a graph on the
    inputs that the bundle carries; any other on what `stimulus` gives: None and 1.
    """
    model, count = load_model(bundle), bundle.about.get("samples", 0)
    if (bundle.folder / INPUTS).is_file():
        return model, read_array(bundle, INPUTS), 1
    if type(count) is not int or count < 0:
        raise BadBundle(f"samples {count!r} in {bundle.folder / MANIFEST}", "how many there are", "export it again")
    if not count:
        return model, None, 1
    samples = [read_array(bundle, SAMPLE.format(i)) for i in range(count)]
    if any(sample.ndim != 2 or sample.shape != samples[0].shape for sample in samples):
        got = f"samples of unequal shapes in {bundle.folder}"
        raise BadBundle(got, "(steps, neurons), all alike", "export it again")
    return model.lanes(count), side_by_side(np.stack(samples)), count


def read_array(bundle: Bundle, name: str) -> NDArray[Any]:
    """The array of plain, finite numbers in an .npy file of an opened bundle; raises BadBundle."""
    file = bundle.folder / name
    try:
        values: NDArray[Any] = np.load(file, allow_pickle=False)
        if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
            raise ValueError("not all of it is finite numbers")
    except UNREADABLE as error:
        raise BadBundle(f"{file} cannot be read ({error})", "an .npy file of numbers", "export it again") from error
    return values


def side_by_side(factors: NDArray[Any]) -> Floats:
    """(k, T, n) as the inputs (T, k n) of k lanes; float64."""
    count, steps, lines = factors.shape
    lanes: Floats = factors.astype(np.float64).transpose(1, 0, 2).reshape(steps, count * lines)
    return lanes


def write_bits(tokens: Floats, file: Path) -> None:
    """Write the bits of binary tokens s B (L, N, D) as `.npy`, 0 and 1.

    Raises OSError with its number, which np.save to a full disk does not.
    """
    _write_array(_bits_of(tokens), file)


def bits_sha256(tokens: Floats) -> str:
    """SHA-256 of the bits, one byte each in C order; of the float32 values where tokens (L, N, D) are not binary.

    Equal where two exports carry the same prompt.
    """
    binary = all(np.unique(block[block != 0]).size <= 1 for block in tokens)
    values = _bits_of(tokens) if binary else tokens.astype(np.float32)
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def _bits_of(tokens: Floats) -> NDArray[np.uint8]:
    bits: NDArray[np.uint8] = (tokens != 0).astype(np.uint8)
    return bits


def _write_array(values: NDArray[Any], file: Path) -> None:
    data = io.BytesIO()
    np.save(data, values, allow_pickle=False)
    file.write_bytes(data.getvalue())
