"""Run a float program with the neurons of packages in a folder of their own: side_packages.py PACKAGES NEURONS WORK.

PACKAGES is searched first. NEURONS is a Python file with `make(population)` for `stepwise.run`, or with a `run(program,
inputs)` of its own that gives the same; where it says ALONE = True, items of a batch run one after the other.

WORK holds program.npz and inputs.npy (B, T, n_in); out.NAME and v.NAME of every population, (B, T, n) each, are written
to its recorded.npz. What stands in WORK as KEY.json is the program's KEY.
"""

import importlib.util
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """The command line."""
    packages, neurons, work = sys.argv[1:]
    sys.path.insert(0, packages)
    stepwise, program_file = (load(Path(__file__).with_name(name)) for name in ("stepwise.py", "program_file.py"))
    inputs = np.load(Path(work, "inputs.npy"), allow_pickle=False)
    program, simulator = program_file.read_program_file(Path(work, "program.npz")), load(Path(neurons))
    program |= {file.stem: json.loads(file.read_text()) for file in Path(work).glob("*.json")}
    run = getattr(simulator, "run", None) or partial(stepwise.run, make=simulator.make)
    traces = one_by_one(run, program, inputs) if getattr(simulator, "ALONE", False) else run(program, inputs)
    arrays = {f"{kind}.{name}": values for kind, of in traces.items() for name, values in of.items()}
    np.savez(Path(work, "recorded.npz"), allow_pickle=False, **arrays)


def one_by_one(run: Any, program: dict[str, Any], inputs: Any) -> dict[str, dict[str, Any]]:
    """What `run` gives for each item of inputs (B, T, n_in), as a batch."""
    runs = [run(program, each) for each in inputs]
    return {kind: {name: np.stack([r[kind][name] for r in runs]) for name in of} for kind, of in runs[0].items()}


def load(file: Path) -> Any:
    """A module by its file: a name like `sinabs` would hide the package that it imports."""
    spec = importlib.util.spec_from_file_location(f"_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
