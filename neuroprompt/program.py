"""What runs on Loihi or its simulators: populations of LIF neurons and dense projections between them.

A float program says what was trained; a fixed program holds the chip's integers. Both are plain arrays (`.npz`,
never pickle), so that a machine without neuroprompt can run them.

Loihi's clock: a projection delivers one step late. `depth` of a population is how many steps its first input from
outside lags; a program runs `steps + max depth` chip steps, and its bias begins at chip step `depth`, so that chip step
`t + depth` of a population is step t of the NIR graph.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any, Literal
from zipfile import BadZipFile

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import BadBundle

FORMAT = "neuroprompt-program-1"
Array = NDArray[Any]


@dataclass(frozen=True)
class Population:
    """`size` LIF neurons with one threshold and one decay each, as Lava's LIF has them.

    float: u = u (1 - du) + a;  v = v (1 - dv) + u + bias;  spike if v > vth;  v <- 0.
    fixed: u = trunc0(u (4096 - du - 1) / 4096) + (a << 6);  v = trunc0(v (4096 - dv) / 4096) + u + (bias << bias_exp);
           spike if v > (vth << 6);  v <- 0. du = 4095: no memory in u.
    """

    name: str
    size: int
    du: float | int
    dv: float | int
    vth: float | int
    bias: Array
    bias_exp: int = 0
    depth: int = 0


@dataclass(frozen=True)
class Projection:
    """Dense weights (out, in) from `source` ("input" or a population) to `target`; arrives one step later."""

    source: str
    target: str
    weights: Array


@dataclass(frozen=True)
class Program:
    """Populations in topological order, projections between them, for `steps` steps of `inputs` input lines."""

    precision: Literal["float", "fixed"]
    steps: int
    inputs: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]

    def into(self, name: str) -> list[Projection]:
        """The projections that end at population `name`."""
        return [p for p in self.projections if p.target == name]

    @property
    def depth(self) -> int:
        """How many chip steps the last population lags behind the input."""
        return max((p.depth for p in self.populations), default=0)

    def to_bytes(self) -> bytes:
        """The program as an `.npz` file: `header` (JSON as bytes) and the arrays `bias.<i>`, `weights.<i>`."""
        header = {
            "format": FORMAT,
            "precision": self.precision,
            "steps": self.steps,
            "inputs": self.inputs,
            "populations": [{k: _plain(v) for k, v in vars(p).items() if k != "bias"} for p in self.populations],
            "projections": [{"source": p.source, "target": p.target} for p in self.projections],
        }
        arrays: dict[str, Array] = {"header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)}
        arrays |= {f"bias.{i}": p.bias for i, p in enumerate(self.populations)}
        arrays |= {f"weights.{i}": p.weights for i, p in enumerate(self.projections)}
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Read what `to_bytes` wrote; raises BadBundle."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                header = json.loads(file["header"].tobytes())
                if header["format"] != FORMAT:
                    raise BadBundle(f"a program of format {header['format']!r}", FORMAT, "export it again")
                populations = tuple(
                    Population(bias=file[f"bias.{i}"], **p) for i, p in enumerate(header["populations"])
                )
                projections = tuple(
                    Projection(weights=file[f"weights.{i}"], **p) for i, p in enumerate(header["projections"])
                )
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
            got = f"the program cannot be read ({error})"
            raise BadBundle(got, "an .npz of neuroprompt", "export it again") from error
        return cls(header["precision"], header["steps"], header["inputs"], populations, projections)


@dataclass(frozen=True)
class Model:
    """One spiking model in the forms that targets run: the NIR graph, its float program, its integer program."""

    graph: nir.NIRGraph
    float_program: Program
    fixed_program: Program
    scale_report: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Time steps of one run."""
        return self.fixed_program.steps

    def program(self, precision: str) -> Program:
        """The program for "float" or "fixed"."""
        return self.fixed_program if precision == "fixed" else self.float_program


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
