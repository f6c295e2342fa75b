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
    """Sends rows[step - first] at every port, and zeros where there is none; feeds: {port: (rows, shape, first)}.

    Steps are counted from the start of an item, which takes `every` of them. Rows are the same for all items, or the
    start of the names of files, one for each item: ROWS.0.npy, ROWS.1.npy, ...
    """

    def __init__(self, feeds: dict[str, Any], every: int) -> None:
        super().__init__(feeds=feeds, every=every)
        for port, (_, shape, _) in feeds.items():
            setattr(self, port, OutPort(shape=shape))


class SourceModel(PyLoihiProcessModel):
    """Behaviour of Source; `with_ports` adds the ports."""

    def run_spk(self) -> None:
        """One step; Lava counts from 1."""
        item, step = divmod(self.time_step - 1, self.proc_params["every"])
        feeds = self.proc_params["feeds"]
        if not step:
            self.rows = {
                port: np.load(f"{rows}.{item}.npy", mmap_mode="r") if isinstance(rows, Path) else rows
                for port, (rows, _, _) in feeds.items()
            }
        for port, rows in self.rows.items():
            at = step - feeds[port][2]
            row = rows[at] if 0 <= at < len(rows) else np.zeros(rows.shape[1:], rows.dtype)
            getattr(self, port).send(row)


class Sink(AbstractProcess):
    """Writes what arrives at every port in a step to that row of the item's file; files: {port: (stem, shape)}.

    An item takes `every` steps, and its file is STEM.0.npy, STEM.1.npy, ..., each (every, *shape).
    """

    def __init__(self, files: dict[str, Any], every: int) -> None:
        super().__init__(files=files, every=every)
        for port, (_, shape) in files.items():
            setattr(self, port, InPort(shape=shape))


class SinkModel(PyLoihiProcessModel):
    """Behaviour of Sink; `with_ports` adds the ports."""

    def run_spk(self) -> None:
        """One step."""
        item, step = divmod(self.time_step - 1, self.proc_params["every"])
        if not step:
            self.files = {
                port: np.load(f"{stem}.{item}.npy", mmap_mode="r+")
                for port, (stem, _) in self.proc_params["files"].items()
            }
        for port, rows in self.files.items():
            rows[step] = getattr(self, port).recv() != 0


def with_ports(model: Any, process: Any, ports: dict[str, Any]) -> Any:
    """The process model `model` of `process` with these ports: {name: LavaPyType}."""
    return implements(process, protocol=LoihiProtocol)(requires(CPU)(type(model.__name__, (model,), ports)))


STATE = ("u", "v", "a_buff", "refractory_period_end")
"""What the stock models here carry from step to step."""


class FromRest:
    """Mixed into a stock model: every `every` steps, when an item begins, its state is what it was at first."""

    def run_spk(self) -> None:
        """One step of the model, itself unchanged."""
        if self.time_step == 1:
            self.rest = {name: np.copy(getattr(self, name)) for name in STATE if hasattr(self, name)}
        elif not (self.time_step - 1) % self.proc_params["every"]:
            for name, value in self.rest.items():
                setattr(self, name, value.copy())
        super().run_spk()


class ByColumns(FromRest):
    """Mixed into Dense on integers: its weights, column by column in memory.

    A step of spikes adds up the columns of the lines that fired. Lava keeps rows together, and so reads a cache line
    for each number: 13 ms instead of .2 for 2048 x 2048 weights of which a tenth is read. Integers add up alike in any
    order.
    """

    def run_spk(self) -> None:
        """One step of the model, itself unchanged."""
        super().run_spk()
        if self.time_step == 1 and not self.num_message_bits.item():  # the first step clips them into a new array
            self.weights = np.asfortranarray(self.weights)


class Recorded(FromRest):
    """The same, and after each step a row of u and v (after reset) goes to the item's file."""

    def run_spk(self) -> None:
        """One step."""
        super().run_spk()
        item, step = divmod(self.time_step - 1, self.proc_params["every"])
        if not step:
            stems = self.proc_params["record"].items()
            self.files = {name: np.load(f"{stem}.{item}.npy", mmap_mode="r+") for name, stem in stems}
        for name, rows in self.files.items():
            rows[step] = getattr(self, name)


def mixed(mixin: Any, model: Any) -> Any:
    """A stock model with `mixin` before it."""
    return type(f"{mixin.__name__}{model.__name__}", (mixin, model), {})


STOCK = {"float": PyLifModelFloat, "fixed": PyLifModelBitAcc, "refractory": PyLifRefractoryModelFloat}
LIF_MODEL = {key: mixed(FromRest, model) for key, model in STOCK.items()}
RECORDED_MODEL = {key: mixed(Recorded, model) for key, model in STOCK.items()}
SYNAPSES = {
    precision: {
        process: mixed(ByColumns if model is PyDenseModelBitAcc else FromRest, model)
        for process, model in models.items()
    }
    for precision, models in {
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
    }.items()
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
