"""What runs on Loihi or its simulators: populations of LIF neurons, and projections between them.

A float program says what was trained; a fixed program holds the chip's integers. Both are plain arrays (`.npz`,
never pickle), so that a machine without neuroprompt can run them.

Loihi's clock: a projection delivers one step late. `depth` of a population is how many steps its first input from
outside lags; a program runs `steps + max depth` chip steps, and its bias begins at chip step `depth`, so that chip step
`t + depth` of a population is step t of the NIR graph.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from zipfile import BadZipFile

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import BadBundle, OutOfRange, Unsupported

FORMAT = "neuroprompt-program-1"
GRADED = 2**17 - 1
"""The largest number of a graded line: shifted by 6 bits it must fit the 24 bits of u."""

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
    """Weights from `source` ("input" or a population) to `target`: dense (out, in), or one to one (n,).

    One to one, neuron i gets weights[i] times line i. Either arrives one step later.
    """

    source: str
    target: str
    weights: Array

    @property
    def one_to_one(self) -> bool:
        """Whether every neuron has the one line of its own number."""
        return self.weights.ndim == 1


@dataclass(frozen=True)
class Program:
    """Populations in topological order, projections between them, for `steps` steps of `inputs` input lines.

    Lines that drive neurons one to one may carry any number, all others spikes, 0 and 1. In a fixed program a number x
    of such a line is the whole number round(x input_scale), and times its weight must lie within GRADED; where
    input_scale is 0 it takes spikes only.
    """

    precision: Literal["float", "fixed"]
    steps: int
    inputs: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    input_scale: float = 0.0

    def encode(self, inputs: Array) -> Array:
        """What is sent for `inputs` (T, n_in): themselves, or the whole numbers of a fixed program's graded lines.

        Raises Unsupported where shape or kind do not fit, OutOfRange where a number is too large.
        """
        if inputs.shape != (self.steps, self.inputs):
            raise Unsupported(f"inputs of shape {inputs.shape}", f"{(self.steps, self.inputs)}: steps, input lines")
        if self.precision == "float" or (is_spikes(inputs) and not self.input_scale):
            return inputs
        if not self.input_scale:
            got = "inputs with values other than 0 and 1"
            raise Unsupported(got, "spikes, the only input of this integer program", 'use precision "float"')
        sent = np.rint(inputs * self.input_scale)
        heaviest = max(int(np.abs(p.weights).max()) for p in self.projections if p.source == "input")
        if np.abs(sent).max(initial=0) * heaviest > GRADED:
            beyond = f"an input of {np.abs(inputs).max():g} becomes {np.abs(sent).max() * heaviest:g}"
            raise OutOfRange(beyond, f"at most {GRADED} on the chip", "fit the integers on inputs as large as these")
        return sent.astype(np.int64)

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
            "input_scale": float(self.input_scale),
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
        scale = header.get("input_scale", 0.0)  # older programs take spikes only
        return cls(header["precision"], header["steps"], header["inputs"], populations, projections, scale)


@dataclass(frozen=True)
class Model:
    """One spiking model in the forms that targets run: the NIR graph, its float program, its integer program.

    `unfit` says why no integers could be fitted; then `fixed_program` is the float one, and asking for "fixed" raises.
    """

    graph: nir.NIRGraph
    float_program: Program
    fixed_program: Program
    scale_report: dict[str, Any] = field(default_factory=dict)
    unfit: Unsupported | None = None

    @property
    def steps(self) -> int:
        """Time steps of one run."""
        return self.fixed_program.steps

    def program(self, precision: str) -> Program:
        """The program for "float" or "fixed"; raises Unsupported where there are no integers."""
        if precision == "fixed" and self.unfit is not None:
            raise self.unfit
        return self.fixed_program if precision == "fixed" else self.float_program

    def lanes(self, count: int) -> Model:
        """`count` copies side by side, as more neurons of the same populations; their inputs follow one another.

        Only for one-to-one programs; raises Unsupported for others, whose weights would grow with the square.
        """
        if not all(p.one_to_one for p in self.float_program.projections):
            raise Unsupported("lanes of a program with dense weights", "projections that are all one to one")
        graph = nir.NIRGraph(
            {name: _repeated(node, count) for name, node in self.graph.nodes.items()},
            self.graph.edges,
            metadata=self.graph.metadata,
        )
        floats, fixed = (_wide(program, count) for program in (self.float_program, self.fixed_program))
        return replace(self, graph=graph, float_program=floats, fixed_program=fixed)


def is_spikes(inputs: Array) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.all((inputs == 0) | (inputs == 1)))


def _wide(program: Program, count: int) -> Program:
    populations = (replace(p, size=p.size * count, bias=np.tile(p.bias, count)) for p in program.populations)
    projections = (replace(p, weights=np.tile(p.weights, count)) for p in program.projections)
    return replace(
        program,
        inputs=program.inputs * count,
        populations=tuple(populations),
        projections=tuple(projections),
    )


def _repeated(node: Any, count: int) -> Any:
    if isinstance(node, nir.Input):
        return nir.Input({"input": np.array([int(np.prod(node.input_type["input"])) * count])})
    if isinstance(node, nir.Output):
        return nir.Output({"output": np.array([int(np.prod(node.output_type["output"])) * count])})
    names = ("r", "v_threshold", "v_reset", *(("tau", "v_leak") if isinstance(node, nir.LIF) else ()))
    return type(node)(**{name: np.tile(getattr(node, name).reshape(-1), count) for name in names})


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
