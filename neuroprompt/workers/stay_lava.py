"""Run batches of one program on Lava, as they come: stay_lava.py PROGRAM PRECISION IDLE [--states]; see serving.py.

A folder's inputs.npy (B, T, lines) are run from rest each; its spikes.npz gets what `run_lava.Simulator.run` gives.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent))  # python -I leaves it out
from lava_net import children_die_with_us
from lava_program import read_inputs, read_program
from run_lava import Simulator
from serving import serve


def main() -> None:
    """The command line."""
    file, precision, idle, *options = sys.argv[1:]
    program = read_program(Path(file), precision)
    children_die_with_us()
    with tempfile.TemporaryDirectory(prefix="lava-") as name:
        simulator = Simulator(program, Path(name), "--states" in options)

        def run(folder: Path) -> None:
            traces = simulator.run(read_inputs(program, folder / "inputs.npy"))
            with (folder / "spikes.npz").open("wb") as out:
                np.savez(out, **traces)

        serve(run, float(idle))
        simulator.stop()


if __name__ == "__main__":
    main()
