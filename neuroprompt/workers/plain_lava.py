"""Run a fixed program on Lava as tutorials and converters do: ring buffers at both ends, read by get(); needs lava-nc.

It is what `run_lava.py` is timed against: stock processes, their read-out element by element, Lava's default settings.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF

sys.path.append(str(Path(__file__).resolve().parent))  # python -I leaves it out
from lava_program import read_inputs, read_program


def main() -> None:
    """Program and inputs from files; spikes of every population, and a line with the seconds of run()."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("program", "inputs", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    program = read_program(arguments.program, "fixed")
    inputs = read_inputs(program, arguments.inputs)
    populations = program["populations"]
    chip_steps = program["steps"] + max(p["depth"] for p in populations)
    late = np.zeros((chip_steps - program["steps"], program["inputs"]), inputs.dtype)
    source = Source(data=np.concatenate([inputs, late]).T.astype(np.int32))
    lifs, sinks = {}, {}
    for p in populations:
        lifs[p["name"]] = LIF(shape=(p["size"],), du=int(p["du"]), dv=int(p["dv"]), vth=int(p["vth"]))
        sinks[p["name"]] = Sink(shape=(p["size"],), buffer=chip_steps)
        lifs[p["name"]].s_out.connect(sinks[p["name"]].a_in)
    for q in program["projections"]:
        dense = Dense(weights=np.asarray(q["weights"], np.int32), weight_exp=q["exponent"])
        (source if q["source"] == "input" else lifs[q["source"]]).s_out.connect(dense.s_in)
        dense.a_out.connect(lifs[q["target"]].a_in)
    first = lifs[populations[0]["name"]]
    start = time.perf_counter()
    first.run(RunSteps(num_steps=chip_steps), Loihi2SimCfg(select_tag="fixed_pt"))
    print(f"run() took {time.perf_counter() - start:.4f} s")
    spikes = {
        f"spikes.{p['name']}": sinks[p["name"]].data.get().T[p["depth"] : p["depth"] + program["steps"]] > 0
        for p in populations
    }
    first.stop()
    with arguments.out.open("wb") as file:
        np.savez(file, **spikes)


if __name__ == "__main__":
    main()
