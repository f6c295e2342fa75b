"""The one intermediate form that every simulator and chip runs: populations of neurons, and projections between them.

A float program says what a graph means; a fixed program holds the chip's integers. Both are plain arrays (`.npz`,
never pickle), so that a machine without neuroprompt can run them.

Loihi's clock: a projection delivers one step late. `depth` of a population is how many chip steps it lags behind the
graph: chip step `t + depth` of a population is step t of the NIR graph, a program runs `steps + max depth` chip steps,
and its bias and currents begin at chip step `depth`.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import nir
import numpy as np
from numpy.typing import NDArray

from neuroprompt.errors import BadBundle, OutOfRange, Unsupported
from neuroprompt.spiking.sound import check_sound
from neuroprompt.spiking.tuned import Tuned
from neuroprompt.spiking.weights import Weights, as_rows
from neuroprompt.workers.program_file import FORMAT, UNREADABLE, VECTORS, read_program_file

GRADED = 2**17 - 1
"""The largest number of a graded line: shifted by 6 bits it must fit the 24 bits of u."""

Array = NDArray[Any]
Number = float | int | Array
"""One number for a whole population, or one for each neuron (n,)."""


@dataclass(frozen=True)
class Population:
    """`size` leaky integrate-and-fire neurons with a synaptic current u and a potential v, as Lava's LIF has them.

    float: u = u (1 - du) + a;  v = v (1 - dv) + u + bias;  spike if v > vth;  v <- v_reset.
    fixed: u = trunc0(u (4096 - du - 1) / 4096) + (a << 6);  v = trunc0(v (4096 - dv) / 4096) + u + (bias << bias_exp);
           spike if v > (vth << 6);  v <- 0. du = 4095: no memory in u.

    a is what projections deliver, plus `currents`: (onset, values (n,)), each from step `onset` of the graph on. Where
    `emits` is "v" the neurons never fire (vth is infinite, or the chip's largest) and give their potential instead: v
    over `unit`, the chip's units for one of the graph's. With `hold` v also stays at its reset value in the step after
    a spike, whatever arrives: a refractory period of one step, in which u goes on. In float `reset` may also be
    "subtract", v <- v - vth at a spike, or "late", in the next step and after the leak.
    """

    name: str
    size: int
    du: Number
    dv: Number
    vth: Number
    bias: Array
    bias_exp: int = 0
    depth: int = 0
    v_reset: Number = 0.0
    currents: tuple[tuple[int, Array], ...] = ()
    emits: Literal["spikes", "v"] = "spikes"
    unit: float = 1.0
    hold: bool = False
    reset: Literal["value", "subtract", "late"] = "value"


@dataclass(frozen=True)
class Projection:
    """Weights from `source` ("input" or a population) to `target`; several may join the same two, and then add up.

    What the source emits in step t reaches the target in step t + lag. On the chip it arrives 1 + delay steps later,
    and sums of fixed weights are shifted left by `exponent` bits, or right where it is below 0, as Lava's weight_exp.
    """

    source: str
    target: str
    weights: Weights
    lag: int = 0
    delay: int = 0
    exponent: int = 0


@dataclass(frozen=True)
class Program:
    """Populations in topological order, projections between them, for `steps` steps of `inputs` input lines.

    Lines may carry spikes, 0 and 1, or any number. In a fixed program a number x of such a line is the whole number
    round(x input_scale), and times its weight must lie within GRADED; where input_scale is 0 it takes spikes only.

    `chip` says whose rules integers follow where the chips differ: Loihi 2's, as Lava has them, or Loihi 1's, as
    nengo-loihi has them (`neuroprompt.loihi.loihi1`). Those of "xylo" are in `neuroprompt.xylo.arithmetic`.
    """

    precision: Literal["float", "fixed"]
    steps: int
    inputs: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    input_scale: float = 0.0
    chip: Literal["loihi1", "loihi2", "xylo"] = "loihi2"

    def encode(self, inputs: Array) -> Array:
        """What is sent for `inputs` (T, n_in), or a batch (B, T, n_in): themselves in float.

        In a fixed program they are spikes, or the whole numbers of its lines.
        Raises Unsupported where shape or kind do not fit, OutOfRange where a number is too large.
        """
        if inputs.ndim not in (2, 3) or inputs.shape[-2:] != (self.steps, self.inputs):
            raise Unsupported(
                f"inputs of shape {inputs.shape[-2:]}", f"{(self.steps, self.inputs)}: steps, input lines"
            )
        if self.precision == "float":
            return inputs
        if not self.input_scale:
            spikes = inputs.astype(bool, copy=False)
            if inputs.dtype == bool or np.array_equal(spikes, inputs):
                return spikes
            got = "inputs with values other than 0 and 1"
            raise Unsupported(got, "spikes, the only input of this integer program", 'use precision "float"')
        sent = inputs * self.input_scale
        np.rint(sent, out=sent)
        rows = as_rows(sent)
        most = np.maximum(rows.max(axis=0, initial=0), -rows.min(axis=0, initial=0))
        for population in self.populations:
            reach = _reach([q for q in self.into(population.name) if q.source == "input"], sent, most)
            if reach > GRADED:
                beyond = f"inputs of up to {np.abs(inputs).max():g} add up to {reach:.0f} in node {population.name!r}"
                raise OutOfRange(
                    beyond, f"at most {GRADED} on the chip", "fit the integers on inputs as large as these"
                )
        # A line of weight 0 may carry any number.
        return sent.astype(np.int32 if most.max(initial=0) < 2**31 else np.int64)

    def into(self, name: str) -> list[Projection]:
        """The projections that end at population `name`."""
        return [p for p in self.projections if p.target == name]

    @property
    def depth(self) -> int:
        """How many chip steps the last population lags behind the input."""
        return max((p.depth for p in self.populations), default=0)

    def spec(self) -> dict[str, Any]:
        """The program as plain values, as `neuroprompt.workers.stepwise` takes it."""
        fields = ("steps", "inputs", "precision", "input_scale", "chip")
        return {name: getattr(self, name) for name in fields} | {
            "populations": [dict(vars(p)) for p in self.populations],
            "projections": [vars(p) | {"weights": p.weights.raw} for p in self.projections],
        }

    def to_bytes(self) -> bytes:
        """The program as an `.npz` file: `header` (JSON as bytes), and arrays such as `bias.<i>` and `weights.<i>`."""
        arrays: dict[str, Array] = {}
        populations, projections = [], []
        for i, p in enumerate(self.populations):
            arrays |= {f"{key}.{i}": np.asarray(getattr(p, key)) for key in VECTORS}
            arrays |= {f"current.{i}.{onset}": values for onset, values in p.currents}
            plain = {"name": p.name, "size": int(p.size), "bias_exp": int(p.bias_exp), "depth": int(p.depth)}
            plain |= {"emits": p.emits, "unit": float(p.unit), "hold": bool(p.hold)}
            plain |= {} if p.reset == "value" else {"reset": p.reset}  # else the bytes are those of older versions
            populations.append({**plain, "onsets": [int(onset) for onset, _ in p.currents]})
        for i, q in enumerate(self.projections):
            if q.weights.is_sparse:
                arrays |= {f"weights.{i}.{key}": getattr(q.weights.raw, key) for key in ("data", "indices", "indptr")}
                arrays[f"weights.{i}.shape"] = np.array(q.weights.shape)
            else:
                arrays[f"weights.{i}"] = q.weights.raw
            plain = {"source": q.source, "target": q.target, "lag": int(q.lag), "delay": int(q.delay)}
            projections.append({**plain, "exponent": int(q.exponent), "sparse": q.weights.is_sparse})
        header = {
            "format": FORMAT,
            "precision": self.precision,
            "steps": int(self.steps),
            "inputs": int(self.inputs),
            "input_scale": float(self.input_scale),
            "chip": self.chip,
            "populations": populations,
            "projections": projections,
        }
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Program:
        """Read what `to_bytes` wrote; raises BadBundle."""
        try:
            spec = read_program_file(io.BytesIO(data))
            populations = tuple(
                Population(**p | {key: _scalar(p[key]) for key in VECTORS[:-1]} | {"currents": tuple(p["currents"])})
                for p in spec.pop("populations")
            )
            projections = tuple(Projection(**p | {"weights": Weights(p["weights"])}) for p in spec.pop("projections"))
            program = cls(populations=populations, projections=projections, **spec)
            check_sound(program)
            return program
        except UNREADABLE as error:
            got = f"the program cannot be read ({error})"
            raise BadBundle(got, "an .npz of neuroprompt", "export it again") from error


@dataclass(frozen=True)
class SpikingModel:
    """One spiking model in the forms that targets run: the NIR graph, its float program, its integer program.

    `quantisation_error` says why no integers fit; then `fixed_program` is the float one, and asking for "fixed" raises.
    `tuned` says what tuning changed; `fitted_on` (R, T, n_in) is what integers are fitted on.
    """

    graph: nir.NIRGraph
    float_program: Program
    fixed_program: Program
    scale_report: dict[str, Any] = field(default_factory=dict)
    quantisation_error: Unsupported | None = None
    tuned: Tuned | None = None
    fitted_on: Array | None = field(default=None, repr=False, compare=False)

    @property
    def steps(self) -> int:
        """Time steps of one run."""
        return self.fixed_program.steps

    def program(self, precision: str) -> Program:
        """The program for "float" or "fixed"; raises Unsupported where there are no integers."""
        if precision == "fixed" and self.quantisation_error is not None:
            raise self.quantisation_error
        return self.fixed_program if precision == "fixed" else self.float_program

    def on(self, chip: Literal["loihi1", "loihi2"]) -> SpikingModel:
        """The same integers by the rules of that chip; the search of the scales is the same for both."""
        return replace(self, fixed_program=replace(self.fixed_program, chip=chip))

    def lanes(self, count: int) -> SpikingModel:
        """`count` copies side by side, as more neurons of the same populations; their inputs follow one another.

        Only for one-to-one programs; raises Unsupported for others, whose weights would grow with the square.
        """
        if not all(p.weights.is_one_to_one for p in self.float_program.projections):
            raise Unsupported("lanes of a program with dense weights", "projections that are all one to one")
        graph = nir.NIRGraph(
            {name: _repeated(node, count) for name, node in self.graph.nodes.items()},
            self.graph.edges,
            metadata=self.graph.metadata,
        )
        floats, fixed = (_wide(program, count) for program in (self.float_program, self.fixed_program))
        return replace(self, graph=graph, float_program=floats, fixed_program=fixed, fitted_on=None)


def is_spikes(inputs: Array) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.all((inputs == 0) | (inputs == 1)))


def _reach(listening: list[Projection], sent: Array, most: Array) -> float:
    """The largest magnitude that whole numbers (..., T, n_in) add up to; `most` are those of each line, (n_in,).

    Infinite where the sum of one list leaves 32 bits, in which it is made before it is shifted.
    """
    if len(listening) == 1 and listening[0].weights.is_one_to_one:  # no sum: the largest number has the largest product
        return float(np.abs(listening[0].weights.raw * most).max(initial=0)) * 2.0 ** listening[0].exponent
    total: Any = 0.0
    for q in listening:
        steps = sent.shape[-2]
        late = np.zeros((*sent.shape[:-1], q.weights.shape[0]))
        late[..., q.lag :, :] = q.weights.apply(sent[..., : max(0, steps - q.lag), :])
        if np.abs(late).max(initial=0) >= 2**31:
            return np.inf
        total = total + late * 2.0**q.exponent
    return float(np.abs(total).max(initial=0))


def _wide(program: Program, count: int) -> Program:
    def tiled(p: Population) -> Population:
        vectors: dict[str, Any] = {key: np.tile(v, count) for key in VECTORS if np.ndim(v := getattr(p, key))}
        currents = tuple((onset, np.tile(values, count)) for onset, values in p.currents)
        return replace(p, size=p.size * count, currents=currents, **vectors)

    populations = (tiled(p) for p in program.populations)
    projections = (replace(p, weights=Weights(np.tile(p.weights.raw, count))) for p in program.projections)
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


def _scalar(values: Array) -> Number:
    number: Number = values.item() if values.ndim == 0 else values
    return number
