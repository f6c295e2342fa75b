"""Run a neuroprompt program on Intel's Lava simulator of Loihi 2; needs only lava-nc 0.10.0 and numpy, on Python 3.10.

Lava's own LIF, Dense and Sparse processes, unchanged, are fed from files and spike into files: data moves row by row
through memory maps, because Lava's Var.get and RingBuffer read-out move it element by element.
"""

import argparse
import ctypes
import json
import multiprocessing as mp
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from importlib import metadata
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.models import PyDenseModelBitAcc, PyDenseModelFloat
from lava.proc.dense.process import Dense
from lava.proc.lif.models import PyLifModelBitAcc, PyLifModelFloat
from lava.proc.lif.process import LIF
from lava.proc.sparse.models import PySparseModelBitAcc, PySparseModelFloat
from lava.proc.sparse.process import Sparse
from scipy.sparse import diags

FORMAT = "neuroprompt-program-1"
NUMBER: dict[str, Any] = {"float": float, "fixed": np.int32}
TAG = {"float": "floating_pt", "fixed": "fixed_pt"}
KINDS = ("spikes", "u", "v")
NO_MEMORY = {"float": 1.0, "fixed": 4095}
LIMITS = {"vth": (0, 2**17 - 1), "du": (0, 4095), "dv": (0, 4095), "bias_exp": (0, 7), "bias": (-4096, 4095)}


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


LIF_MODEL = {"float": PyLifModelFloat, "fixed": PyLifModelBitAcc}
RECORDED_MODEL = {key: type(f"Recorded{model.__name__}", (Recorded, model), {}) for key, model in LIF_MODEL.items()}
SYNAPSES = {"float": (PyDenseModelFloat, PySparseModelFloat), "fixed": (PyDenseModelBitAcc, PySparseModelBitAcc)}


def read_program(path: Path, precision: str) -> dict[str, Any]:
    """The header of a program `.npz`, with `bias` and `weights` put into its populations and projections."""
    try:
        with np.load(path, allow_pickle=False) as file:
            program: dict[str, Any] = json.loads(file["header"].tobytes())
            for key, parts in (("bias", "populations"), ("weights", "projections")):
                for i, part in enumerate(program[parts]):
                    part[key] = file[f"{key}.{i}"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise SystemExit(f"{path} is not a program ({error})") from error
    if (program["precision"], program["format"]) != (precision, FORMAT):
        raise SystemExit(f"{path} is {program['precision']} {program['format']}; expected {precision} {FORMAT}")
    for population in program["populations"]:
        check(population, precision)
    for projection in program["projections"]:
        if precision == "fixed" and not within(projection["weights"], -256, 255):
            raise SystemExit(f"weights into {projection['target']} must be integers from -256 to 255")
    return program


def check(population: dict[str, Any], precision: str) -> None:
    """Refuse what Lava would take without a word and compute otherwise than the chip."""
    name, late = population["name"], population["depth"] > 0 and np.any(population["bias"])
    if precision == "fixed":
        for key, (low, high) in LIMITS.items():
            if not within(population[key], low, high):
                raise SystemExit(f"population {name}: {key} must hold integers from {low} to {high}")
        if late and np.any(bias_of(population) % 64):
            raise SystemExit(f"population {name}: a bias that begins late must be a multiple of 64")
    if late and population["du"] != NO_MEMORY[precision]:
        raise SystemExit(f"population {name}: a bias that begins late needs du = {NO_MEMORY[precision]}")


def within(values: Any, low: int, high: int) -> bool:
    """Whether all values are integers from low to high."""
    return bool(np.all((np.asarray(values) >= low) & (np.asarray(values) <= high) & (values == np.rint(values))))


def bias_of(population: dict[str, Any]) -> Any:
    """What the bias adds to v at every step, in fixed point."""
    return np.asarray(population["bias"]).astype(np.int64) << population["bias_exp"]


def read_inputs(program: dict[str, Any], path: Any) -> Any:
    """What is sent, (steps, inputs): spikes as bool, or numbers where every neuron has a line of its own."""
    expected = (program["steps"], program["inputs"])
    heard = [p["weights"] for p in program["projections"] if p["source"] == "input"]
    if path is None and heard:
        raise SystemExit(f"this program needs --inputs, an .npy of {expected}: steps, lines")
    inputs = np.zeros(expected) if path is None else np.load(path, allow_pickle=False)
    fixed, scale = program["precision"] == "fixed", program.get("input_scale", 0)
    numbers, spikes = bool(scale) if fixed else all(w.ndim == 1 for w in heard), within(inputs, 0, 1)
    if inputs.shape != expected or not (numbers or spikes):
        raise SystemExit(f"{path} holds {inputs.shape}; expected {'' if numbers else 'spikes of 0 and 1, '}{expected}")
    if not scale:
        return inputs.astype(bool if spikes else float)
    sent = np.rint(inputs * scale)
    if max(np.abs(w).max() for w in heard) * np.abs(sent).max() > LIMITS["vth"][1]:
        raise SystemExit(f"{path} holds {np.abs(inputs).max()}, too large for the chip: more than its factors can be")
    return sent.astype(np.int32)


def build(program: dict[str, Any], inputs: Any, folder: Path, states: bool) -> tuple[Any, dict[Any, Any], int]:
    """The sink, which all others hang together with; which process model runs each process; chip steps."""
    precision, populations = program["precision"], program["populations"]
    number, chip_steps = NUMBER[precision], program["steps"] + max(p["depth"] for p in populations)
    lifs, models, feeds, fed = {}, {}, {}, {}
    for i, p in enumerate(populations):
        late, shape = p["depth"] > 0, (chip_steps, p["size"])
        for kind in KINDS if states else KINDS[:1]:
            np.lib.format.open_memmap(folder / f"{kind}.{i}.npy", "w+", number if kind in "uv" else bool, shape).flush()
        lif = LIF(
            shape=(p["size"],),
            du=p["du"],
            dv=p["dv"],
            vth=p["vth"],
            bias_mant=0 if late else np.asarray(p["bias"], number),
            bias_exp=0 if late else p["bias_exp"],
            record={kind: folder / f"{kind}.{i}.npy" for kind in "uv"},
        )
        lifs[p["name"]], models[lif] = lif, (RECORDED_MODEL if states else LIF_MODEL)[precision]
        if late and np.any(p["bias"]):
            # LIF's own bias would begin at chip step 0. Synaptic input is shifted by 6, so the bias is sent without.
            row = np.asarray(bias_of(p) >> 6 if precision == "fixed" else p["bias"], number)
            feeds[f"bias{i}"] = (np.broadcast_to(row, (program["steps"], p["size"])), p["depth"])
            fed[f"bias{i}"] = lif.a_in
    for i, p in enumerate(program["projections"]):
        weights, one_to_one = np.asarray(p["weights"], number), p["weights"].ndim == 1
        bits = 24 if p["source"] == "input" and inputs.dtype != bool else 0  # without, Lava takes any number for 1
        dense = Sparse(weights=diags(weights).tocsr(), num_message_bits=bits) if one_to_one else Dense(weights=weights)
        models[dense] = SYNAPSES[precision][one_to_one]
        dense.a_out.connect(lifs[p["target"]].a_in)
        if p["source"] == "input":
            feeds[f"input{i}"], fed[f"input{i}"] = (inputs, 0), dense.s_in
        else:
            lifs[p["source"]].s_out.connect(dense.s_in)
    if feeds:
        source = Source(feeds)
        types = {port: LavaPyType(PyOutPort.VEC_DENSE, rows.dtype.type) for port, (rows, _) in feeds.items()}
        models[source] = with_ports(SourceModel, Source, types)
        for port, target in fed.items():
            getattr(source, port).connect(target)
    sink = Sink({f"spikes{i}": folder / f"spikes.{i}.npy" for i in range(len(populations))})
    types = {f"spikes{i}": LavaPyType(PyInPort.VEC_DENSE, number) for i in range(len(populations))}
    models[sink] = with_ports(SinkModel, Sink, types)
    for i, p in enumerate(populations):
        lifs[p["name"]].s_out.connect(getattr(sink, f"spikes{i}"))
    return sink, models, chip_steps


def simulate(program: dict[str, Any], inputs: Any, folder: Path, states: bool) -> dict[str, Any]:
    """Run a program: {"spikes.<population>", "u.<population>", "v.<population>"}, rows in the trained model's steps."""
    sink, models, chip_steps = build(program, inputs, folder, states)
    # The model of every process is named: else Lava runs every Python file beside this script to find one.
    config = Loihi2SimCfg(select_tag=TAG[program["precision"]], exception_proc_model_map=models)
    done = threading.Event()
    watcher = threading.Thread(target=abort_when_one_dies, args=(sink, done, folder), daemon=True)
    watcher.start()
    # Lava keeps 64 rows of shared memory for each connection by default; processes move in step, so 2 are enough.
    sink.run(RunSteps(chip_steps), config, {"pypy_channel_size": 2})
    done.set()
    watcher.join()
    sink.stop()
    return {
        f"{kind}.{p['name']}": np.load(folder / f"{kind}.{i}.npy")[p["depth"] : p["depth"] + program["steps"]]
        for kind in (KINDS if states else KINDS[:1])
        for i, p in enumerate(program["populations"])
    }


def abort_when_one_dies(sink: Any, done: threading.Event, folder: Path) -> None:
    """Lava waits for ever when one of its processes is killed: end everything with one line instead."""
    sentinels: dict[Any, int] = {}
    while not done.wait(0.1):
        started = getattr(sink.runtime, "_messaging_infrastructure", None)
        sentinels |= {a: a.sentinel for a in (started.actors if started else ()) if a not in sentinels}
        # A process that ended by an error of its own is told by Lava, within this second.
        if wait(sentinels.values(), timeout=0) and not done.wait(1.0):
            for child in mp.active_children():
                child.kill()
            shutil.rmtree(folder, ignore_errors=True)
            print("a process of the Lava simulator died", file=sys.stderr, flush=True)
            os._exit(1)


def die_with_parent() -> None:
    """Have Linux kill this process when the one that forked it is gone, so that no Lava process stays behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Run the spiking part of a prompt on Intel's Lava simulator of Loihi 2.",
        epilog="The output holds, for every population, spikes.<name> (steps, neurons), and with --states u.<name> and "
        "v.<name> (after the reset). Rows are the steps of the trained model: the delay of Loihi's synapses is already "
        "taken out. Example: python run_lava.py --precision fixed --out spikes.npz",
    )
    add = parser.add_argument
    add("--precision", choices=("fixed", "float"), default="fixed", help="the chip's integers (default), or float")
    add("--program", type=Path, help="a program (default: program.PRECISION.npz beside this script)")
    add("--inputs", type=Path, help="an .npy (steps, lines): spikes, or factors; none where the drive is constant")
    add("--states", action="store_true", help="also write currents u and voltages v")
    add("--out", type=Path, default=Path("spikes.npz"), help="where the spikes go (default: spikes.npz)")
    given = parser.parse_args()
    beside = Path(__file__).resolve().parent / f"program.{given.precision}.npz"
    program = read_program(given.program or beside, given.precision)
    inputs = read_inputs(program, given.inputs)
    os.register_at_fork(after_in_child=die_with_parent)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lava-") as folder:
        found = simulate(program, inputs, Path(folder), given.states)
    with given.out.open("wb") as file:
        np.savez(file, **found)
    print(f"Lava {metadata.version('lava-nc')}, {given.precision} point, {time.perf_counter() - start:.1f} s")
    print(f"{'population':24} {'neurons':>10} {'spikes':>10}")
    for p in program["populations"]:
        print(f"{p['name']:24} {p['size']:10} {int(found['spikes.' + p['name']].sum()):10}")
    print(f"spikes are in {given.out}")


if __name__ == "__main__":
    main()
