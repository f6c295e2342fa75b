"""Run a neuroprompt program on Intel's Lava simulator of Loihi 2; needs only lava-nc 0.10.0 and numpy, on Python 3.10.

Lava's own LIF, Dense and Sparse processes, unchanged, are fed from files and spike into files: data moves row by row
through memory maps, because Lava's Var.get and RingBuffer read-out move it element by element.
"""

import argparse
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.proc.lif.process import LIF, LIFRefractory

sys.path.append(str(Path(__file__).resolve().parent))  # python -I leaves it out
from lava_net import Net, children_die_with_us
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

KINDS = ("spikes", "u", "v")


def build(program: dict[str, Any], sent: Any, folder: Path, states: bool) -> Net:
    """A program as Lava's processes, for inputs of the type of `sent`: spikes (bool), or numbers."""
    precision, populations = program["precision"], program["populations"]
    number, chip_steps = NUMBER[precision], program["steps"] + max(p["depth"] for p in populations)
    lifs, models, feeds, fed, kept = {}, {}, {}, {}, {}
    for i, p in enumerate(populations):
        late, kinds = p["depth"] > 0, recorded(p, states)
        kept |= {f"{kind}.{i}": (number if kind in "uv" else bool, (p["size"],)) for kind in kinds}
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
        lif.proc_params["record"] = {name: folder / f"{name}.{i}" for name in kinds if name in "uv"}
        models[lif] = (RECORDED_MODEL if len(kinds) > 1 else LIF_MODEL)["refractory" if rests else precision]
        lifs[p["name"]] = lif
        rows = from_host(p, precision, program["steps"])
        if rows is not None:
            feeds[f"bias{i}"], fed[f"bias{i}"] = (rows, rows.shape[1:], p["depth"]), lif.a_in
    kinds_sent = {port: rows.dtype.type for port, (rows, _, _) in feeds.items()}
    for i, p in enumerate(program["projections"]):
        bits = 24 if p["source"] == "input" and sent.dtype != bool else 0  # without, Lava takes any number for 1
        process = synapses(p, precision, bits)
        models[process] = SYNAPSES[precision][type(process)]
        process.a_out.connect(lifs[p["target"]].a_in)
        if p["source"] == "input":
            feeds[f"input{i}"], fed[f"input{i}"] = (folder / "sent", sent.shape[1:], 0), process.s_in
            kinds_sent[f"input{i}"] = sent.dtype.type
        else:
            lifs[p["source"]].s_out.connect(process.s_in)
    if feeds:
        source = Source(feeds, chip_steps)
        types = {port: LavaPyType(PyOutPort.VEC_DENSE, kind) for port, kind in kinds_sent.items()}
        models[source] = with_ports(SourceModel, Source, types)
        for port, target in fed.items():
            getattr(source, port).connect(target)
    sink = Sink({f"spikes{i}": (folder / f"spikes.{i}", (p["size"],)) for i, p in enumerate(populations)}, chip_steps)
    types = {f"spikes{i}": LavaPyType(PyInPort.VEC_DENSE, number) for i in range(len(populations))}
    models[sink] = with_ports(SinkModel, Sink, types)
    for i, p in enumerate(populations):
        lifs[p["name"]].s_out.connect(getattr(sink, f"spikes{i}"))
    return Net(sink, models, precision, chip_steps, kept, folder=folder)


def recorded(population: dict[str, Any], states: bool) -> tuple[str, ...]:
    """What is kept of a population: its spikes, its potential where that is what it gives, or all of it."""
    return KINDS if states else ("spikes", "v") if population["emits"] == "v" else KINDS[:1]


class Simulator:
    """A program on Lava, whose processes stay from one batch to the next."""

    def __init__(self, program: dict[str, Any], folder: Path, states: bool) -> None:
        self.program, self.folder, self.states = program, folder, states
        self.net: Any = None
        self.kind = ""
        self.seconds = 0.0

    def run(self, items: list[Any]) -> dict[str, Any]:
        """Run all items from rest: {"spikes.<population>", "u.<population>", "v.<population>"}, (B, steps, n).

        Rows are the trained model's steps. Spikes and numbers take other processes: items of a kind run together.
        """
        rows: dict[int, dict[str, Any]] = {}
        self.seconds = 0.0
        for kind in sorted({sent.dtype.name for sent in items}, key=lambda kind: kind != self.kind):
            if kind != self.kind:
                self.stop()
                like = next(sent for sent in items if sent.dtype.name == kind)
                self.net, self.kind = build(self.program, like, self.folder, self.states), kind
            chosen = [i for i, sent in enumerate(items) if sent.dtype.name == kind]
            rows |= dict(zip(chosen, self.net.run([items[i] for i in chosen]), strict=True))
            self.seconds += self.net.seconds
        steps = self.program["steps"]
        return {
            f"{kind}.{p['name']}": np.stack(
                [rows[k][f"{kind}.{i}"][p["depth"] : p["depth"] + steps] for k in range(len(items))]
            )
            for i, p in enumerate(self.program["populations"])
            for kind in recorded(p, self.states)
        }

    def stop(self) -> None:
        """End Lava's processes."""
        if self.net is not None:
            self.net.stop()


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
    children_die_with_us()
    start = time.perf_counter()
    several = isinstance(inputs, list)
    with tempfile.TemporaryDirectory(prefix="lava-") as folder:
        simulator = Simulator(program, Path(folder), arguments.states)
        batch = simulator.run(inputs if several else [inputs])
        print(f"run() took {simulator.seconds:.4f} s")
        simulator.stop()
    traces = batch if several else {key: rows[0] for key, rows in batch.items()}
    with arguments.out.open("wb") as file:
        np.savez(file, **traces)
    print(f"Lava {metadata.version('lava-nc')}, {arguments.precision} point, {time.perf_counter() - start:.1f} s")
    print(f"{'population':24} {'neurons':>10} {'spikes':>10}")
    for p in program["populations"]:
        print(f"{p['name']:24} {p['size']:10} {int(traces['spikes.' + p['name']].sum()):10}")
    print(f"spikes are in {arguments.out}")


if __name__ == "__main__":
    main()
