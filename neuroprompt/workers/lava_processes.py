"""Lava's own processes, with a source and a sink that read and write files; needs lava-nc 0.10.0 and numpy."""

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.models import (
    PyDelayDenseModelBitAcc,
    PyDelayDenseModelFloat,
    PyDenseModelBitAcc,
    PyDenseModelFloat,
)
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.lif.models import PyLifModelBitAcc, PyLifModelFloat, PyLifRefractoryModelFloat
from lava.proc.sparse.models import (
    PyDelaySparseModelBitAcc,
    PyDelaySparseModelFloat,
    PySparseModelBitAcc,
    PySparseModelFloat,
)
from lava.proc.sparse.process import DelaySparse, Sparse
from scipy.sparse import csr_matrix, diags

NUMBER: dict[str, Any] = {"float": float, "fixed": np.int32}


class Source(AbstractProcess):
    """Sends rows[step - first] at every port, and zeros where there is no such row; feeds: {port: (rows, first)}."""

    def __init__(self, feeds: dict[str, Any]) -> None:
        super().__init__(feeds=feeds)
        for port, (rows, _) in feeds.items():
            setattr(self, port, OutPort(shape=rows.shape[1:]))


class SourceModel(PyLoihiProcessModel):
    """Behaviour of Source; `with_ports` adds the ports."""

    def run_spk(self) -> None:
        """One step; Lava counts from 1."""
        for port, (rows, first) in self.proc_params["feeds"].items():
            step = self.time_step - 1 - first
            row = rows[step] if 0 <= step < len(rows) else np.zeros(rows.shape[1:], rows.dtype)
            getattr(self, port).send(row)


class Sink(AbstractProcess):
    """Writes what arrives at every port to the next row of its file; files: {port: .npy (steps, n)}."""

    def __init__(self, files: dict[str, Path]) -> None:
        super().__init__(files=files)
        for port, file in files.items():
            setattr(self, port, InPort(shape=np.load(file, mmap_mode="r").shape[1:]))


class SinkModel(PyLoihiProcessModel):
    """Behaviour of Sink; `with_ports` adds the ports."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.files = {port: np.load(file, mmap_mode="r+") for port, file in proc_params["files"].items()}

    def run_spk(self) -> None:
        """One step."""
        for port, rows in self.files.items():
            rows[self.time_step - 1] = getattr(self, port).recv() != 0


def with_ports(model: Any, process: Any, ports: dict[str, Any]) -> Any:
    """The process model `model` of `process` with these ports: {name: LavaPyType}."""
    return implements(process, protocol=LoihiProtocol)(requires(CPU)(type(model.__name__, (model,), ports)))


class Recorded:
    """Mixed into a stock LIF model: after its own, unchanged step a row of u and v (after reset) goes to a file."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.files = {name: np.load(file, mmap_mode="r+") for name, file in proc_params["record"].items()}

    def run_spk(self) -> None:
        """One step."""
        super().run_spk()
        for name, rows in self.files.items():
            rows[self.time_step - 1] = getattr(self, name)


LIF_MODEL = {"float": PyLifModelFloat, "fixed": PyLifModelBitAcc, "refractory": PyLifRefractoryModelFloat}
RECORDED_MODEL = {key: type(f"Recorded{model.__name__}", (Recorded, model), {}) for key, model in LIF_MODEL.items()}
SYNAPSES = {
    "float": {
        Dense: PyDenseModelFloat,
        Sparse: PySparseModelFloat,
        DelayDense: PyDelayDenseModelFloat,
        DelaySparse: PyDelaySparseModelFloat,
    },
    "fixed": {
        Dense: PyDenseModelBitAcc,
        Sparse: PySparseModelBitAcc,
        DelayDense: PyDelayDenseModelBitAcc,
        DelaySparse: PyDelaySparseModelBitAcc,
    },
}


def synapses(projection: dict[str, Any], precision: str, bits: int) -> Any:
    """The process of a projection: Dense, or Sparse where it is one to one or sparse, with a delay where it has one."""
    weights = projection["weights"]
    delay, kind = projection["delay"], NUMBER[precision]
    options = {"num_message_bits": bits, "weight_exp": projection["exponent"]}
    if isinstance(weights, np.ndarray) and weights.ndim == 2:
        weights = np.asarray(weights, kind)
        if not delay:
            return Dense(weights=weights, **options)
        return DelayDense(weights=weights, delays=np.full(weights.shape, delay), **options)
    rows = diags(weights).tocsr() if isinstance(weights, np.ndarray) else weights
    rows = rows.astype(kind)
    if not delay:
        return Sparse(weights=rows, **options)
    delays = csr_matrix((np.full(rows.nnz, delay), rows.indices, rows.indptr), shape=rows.shape)
    return DelaySparse(weights=rows, delays=delays, max_delay=delay, **options)
