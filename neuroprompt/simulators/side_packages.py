"""Simulators that our Python can hold beside our packages, but not among them: in a folder that a child searches first.

Their pins do not fit ours (another nir), or break what stands beside them (nengo's pytest plugin); torch, numpy and
scipy, which are large, are ours. So the folder is small, and nothing of it is ever imported by this process.
"""

from __future__ import annotations

import sys
import tempfile
import time
from abc import abstractmethod
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from neuroprompt.contracts.deployment import Availability, Recording
from neuroprompt.errors import RuntimeMissing
from neuroprompt.extras import install
from neuroprompt.simulators.in_process import check_hold, check_lines, recorded
from neuroprompt.simulators.own_runtime import OwnRuntimeTarget
from neuroprompt.simulators.runtime import EXACTLY, WORKERS, Runtime
from neuroprompt.spiking.program import Population, Program, SpikingModel


@dataclass(frozen=True)
class SidePackages(Runtime):
    """Packages with exact pins, without their requirements, in a folder of the cache, for a child of our own Python."""

    python: str = field(init=False, default=f"{sys.version_info.major}.{sys.version_info.minor}")

    @property
    def executable(self) -> Path:
        """Our own Python."""
        return Path(sys.executable)

    @property
    def how(self) -> str:
        """How its packages come, for a person."""
        return "own packages"

    @property
    def options(self) -> tuple[str, ...]:
        """None: our own Python shares its bytecode."""
        return ()

    @property
    def built(self) -> bool:
        """Whether it stands; it is whole then, because it is moved in place when it is."""
        return self.folder.is_dir()

    def interpreter(self, install: bool = False) -> Path:
        """Our own Python."""
        return self.executable

    def _fill(self, new: Path, python: Path) -> None:
        target = ("--target", str(new), "--python", str(python))
        self._uv("pip", "install", *EXACTLY, *target, "-r", str(self.requirements))


class SidePackagesTarget(OwnRuntimeTarget):
    """A simulator in an overlay: a part says what it is, and refuses what its neurons cannot do.

    Its pins are `neuroprompt/workers/NAME.txt`, its neurons `neuroprompt/workers/NAME_neurons.py`: a function `make`
    for `neuroprompt.workers.stepwise.run`. `needs` are the modules that it takes from packages of the extra `train`.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def available(cls) -> Availability:
        """Whether its packages are there, and ours that it needs; if not, what to type."""
        if all(map(find_spec, cls.needs)):
            return super().available()
        return Availability(False, cls.runtime.how, fix=install("train"))

    @classmethod
    def install(cls) -> None:
        """Put its packages in a folder of the cache; raises RuntimeMissing, also where ours that it needs are not."""
        for module in cls.needs:
            if find_spec(module) is None:
                raise RuntimeMissing(f"{cls.runtime.name} needs {module}", "the extra 'train'", install("train"))
        super().install()

    @abstractmethod
    def check(self, population: Population) -> None:
        """Raise Unsupported where the simulator's neurons cannot do what `population` does."""

    def refuse(self, program: Program) -> None:
        """What `check` says of any population; raises Unsupported."""
        check_hold(program)
        for population in program.populations:
            self.check(population)

    def run_batch(self, model: SpikingModel, inputs: NDArray[Any], precision: str, states: bool) -> Recording:
        """Run the program on `inputs` (B, T, n_in) in one child; raises Unsupported, RuntimeMissing, WorkerFailed."""
        program = model.float_program
        check_lines(program, inputs)
        self.refuse(program)
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="np-") as name:
            folder = Path(name)
            (folder / "program.npz").write_bytes(program.to_bytes())
            np.save(folder / "inputs.npy", inputs, allow_pickle=False)
            neurons = WORKERS / f"{self.runtime.name}_neurons.py"
            self.runtime.run(
                WORKERS / "side_packages.py", [str(self.runtime.folder), str(neurons), name], self.time_limit
            )
            with np.load(folder / "recorded.npz", allow_pickle=False) as file:
                traces: dict[str, dict[str, Any]] = {
                    kind: {p.name: file[f"{kind}.{p.name}"] for p in program.populations} for kind in ("out", "v")
                }
        return recorded(program, traces, time.perf_counter() - start, states)
