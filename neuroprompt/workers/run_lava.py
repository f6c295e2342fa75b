"""Run a neuroprompt program on Intel's Lava simulator of Loihi 2; needs only lava-nc 0.10.0 and numpy, on Python 3.10.

Lava's own LIF, Dense and Sparse processes, unchanged, are fed from files and spike into files: data moves row by row
through memory maps, because Lava's Var.get and RingBuffer read-out move it element by element.
"""

import argparse
import ctypes
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

import numpy as np
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.lif.process import LIF, LIFRefractory

sys.path.append(str(Path(__file__).resolve().parent))  # python -I leaves it out
from lava_processes import (
    LIF_MODEL,
    NUMBER,
    RECORDED_MODEL,
    SYNAPSES,
    Sink,
    SinkModel,
    Source,
    SourceModel,
    synapses,
    with_ports,
)
from lava_program import from_host, read_inputs, read_program

TAG = {"float": "floating_pt", "fixed": "fixed_pt"}
KINDS = ("spikes", "u", "v")


def build(program: dict[str, Any], inputs: Any, folder: Path, states: bool) -> tuple[Any, dict[Any, Any], int]:
    """The sink, which all others hang together with; which process model runs each process; chip steps."""
    precision, populations = program["precision"], program["populations"]
    number, chip_steps = NUMBER[precision], program["steps"] + max(p["depth"] for p in populations)
    lifs, models, feeds, fed = {}, {}, {}, {}
    for i, p in enumerate(populations):
        late, shape, kinds = p["depth"] > 0, (chip_steps, p["size"]), recorded(p, states)
        for kind in kinds:
            np.lib.format.open_memmap(folder / f"{kind}.{i}.npy", "w+", number if kind in "uv" else bool, shape).flush()
        # A period of 1 keeps v in the step after a spike; older programs do not say "hold".
        rests = bool(p.get("hold"))
        lif = (LIFRefractory if rests else LIF)(
            shape=(p["size"],),
            du=p["du"],
            dv=p["dv"],
            vth=p["vth"],
            bias_mant=0 if late else np.asarray(p["bias"], number),
            bias_exp=0 if late else p["bias_exp"],
            **({"refractory_period": 1} if rests else {}),
        )
        lif.proc_params["record"] = {name: folder / f"{name}.{i}.npy" for name in kinds if name in "uv"}
        models[lif] = (RECORDED_MODEL if len(kinds) > 1 else LIF_MODEL)["refractory" if rests else precision]
        lifs[p["name"]] = lif
        rows = from_host(p, precision, program["steps"])
        if rows is not None:
            feeds[f"bias{i}"], fed[f"bias{i}"] = (rows, p["depth"]), lif.a_in
    for i, p in enumerate(program["projections"]):
        bits = 24 if p["source"] == "input" and inputs.dtype != bool else 0  # without, Lava takes any number for 1
        process = synapses(p, precision, bits)
        models[process] = SYNAPSES[precision][type(process)]
        process.a_out.connect(lifs[p["target"]].a_in)
        if p["source"] == "input":
            feeds[f"input{i}"], fed[f"input{i}"] = (inputs, 0), process.s_in
        else:
            lifs[p["source"]].s_out.connect(process.s_in)
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


def recorded(population: dict[str, Any], states: bool) -> tuple[str, ...]:
    """What is kept of a population: its spikes, its potential where that is what it gives, or all of it."""
    return KINDS if states else ("spikes", "v") if population["emits"] == "v" else KINDS[:1]


def simulate(program: dict[str, Any], inputs: Any, folder: Path, states: bool) -> dict[str, Any]:
    """Run a program: {"spikes.<population>", "u.<population>", "v.<population>"}, rows in the trained model's steps."""
    sink, models, chip_steps = build(program, inputs, folder, states)
    # The model of every process is named: else Lava runs every Python file beside this script to find one.
    config = Loihi2SimCfg(select_tag=TAG[program["precision"]], exception_proc_model_map=models)
    done = threading.Event()
    watcher = threading.Thread(target=abort_when_one_dies, args=(sink, done, folder), daemon=True)
    watcher.start()
    # Lava keeps 64 rows of shared memory for each connection by default; processes move in step, so 2 are enough.
    start = time.perf_counter()
    sink.run(RunSteps(chip_steps), config, {"pypy_channel_size": 2})
    print(f"run() took {time.perf_counter() - start:.4f} s")
    done.set()
    watcher.join()
    sink.stop()
    return {
        f"{kind}.{p['name']}": np.load(folder / f"{kind}.{i}.npy")[p["depth"] : p["depth"] + program["steps"]]
        for i, p in enumerate(program["populations"])
        for kind in recorded(p, states)
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
    add(
        "--inputs",
        type=Path,
        help="an .npy (steps, lines), or (runs, steps, lines): spikes, or numbers; none where it drives itself",
    )
    add("--states", action="store_true", help="also write currents u and voltages v")
    add("--out", type=Path, default=Path("spikes.npz"), help="where the spikes go (default: spikes.npz)")
    arguments = parser.parse_args()
    beside = Path(__file__).resolve().parent / f"program.{arguments.precision}.npz"
    program = read_program(arguments.program or beside, arguments.precision)
    inputs = read_inputs(program, arguments.inputs)
    os.register_at_fork(after_in_child=die_with_parent)
    start = time.perf_counter()
    several = isinstance(inputs, list)
    runs = []
    for each in inputs if several else [inputs]:
        with tempfile.TemporaryDirectory(prefix="lava-") as folder:
            runs.append(simulate(program, each, Path(folder), arguments.states))
    traces = {key: np.stack([run[key] for run in runs]) for key in runs[0]} if several else runs[0]
    with arguments.out.open("wb") as file:
        np.savez(file, **traces)
    print(f"Lava {metadata.version('lava-nc')}, {arguments.precision} point, {time.perf_counter() - start:.1f} s")
    print(f"{'population':24} {'neurons':>10} {'spikes':>10}")
    for p in program["populations"]:
        print(f"{p['name']:24} {p['size']:10} {int(traces['spikes.' + p['name']].sum()):10}")
    print(f"spikes are in {arguments.out}")


if __name__ == "__main__":
    main()
