"""What targets with Xylo's integers share: how a net is fitted, once, and how a run becomes a Recording."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from neuroprompt.compiler.kept import Search, once
from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.simulators.in_process import recording
from neuroprompt.spiking.program import Program, SpikingModel, is_spikes
from neuroprompt.xylo.arithmetic import Trace
from neuroprompt.xylo.fit import fitted
from neuroprompt.xylo.mapping import mapped


class XyloTarget(SpikingTarget):
    """Fits the float program to Xylo's integers (`neuroprompt.xylo.fit`) and runs those.

    They are fitted on the inputs that the model's own were fitted on, or on seeded spikes where it has none, and kept
    as searches are (`neuroprompt.compiler.kept`). Where a neuron fires several times in a step, the recording has one
    spike, and counts it as `several`.
    """

    precisions: ClassVar[tuple[Literal["float", "fixed"], ...]] = ("fixed",)
    integers: ClassVar[str] = "xylo"

    @abstractmethod
    def traces(self, program: Program, sent: NDArray[Any]) -> Mapping[str, Trace]:
        """What Xylo's integers do on spikes `sent` (B, T, n_in), by population; rows are the graph's steps."""

    def refuse(self, program: Program) -> None:
        """What does not fit a XyloAudio 2; raises Unsupported."""
        mapped(program)

    def program(self, model: SpikingModel, precision: str = "fixed") -> Program:
        """Xylo's integers for the model; raises Unsupported, naming the node."""
        return self._fitted(model, precision)[0]

    def scale_report(self, model: SpikingModel) -> Mapping[str, Any]:
        """The scale of each population, and what fitting changed."""
        return self._fitted(model, "fixed")[1]

    def run_batch(self, model: SpikingModel, inputs: NDArray[Any], precision: str, states: bool) -> Recording:
        """Run the integers on `inputs` (B, T, n_in); raises Unsupported, and what a child process raises."""
        program = self.program(model, precision)
        _check_spikes(inputs)
        sent = program.encode(inputs)
        start = time.perf_counter()
        traces = self.traces(program, sent)
        arrays = {f"spikes.{name}": trace.counts > 0 for name, trace in traces.items()}
        arrays |= {f"u.{name}": trace.i for name, trace in traces.items()}
        arrays |= {f"v.{name}": trace.v for name, trace in traces.items()}
        several = {name: (trace.counts > 1).sum(axis=(1, 2)) for name, trace in traces.items()}
        return replace(recording(program, arrays, time.perf_counter() - start, states), several=several)

    def _fitted(self, model: SpikingModel, precision: str) -> tuple[Program, dict[str, Any]]:
        if precision != "fixed":
            raise Unsupported(f"precision {precision!r} for {self.name}", "fixed, the chip's integers")
        program, inputs = model.float_program, model.fitted_on
        self.refuse(program)
        if inputs is None or inputs.shape[1:] != (program.steps, program.inputs):
            inputs = stimulus(program)[None]
        _check_spikes(inputs)
        fixed, report, _ = once(Search(program, inputs, (("chip", "xylo"),)), lambda: fitted(program, inputs))
        return fixed, report


def _check_spikes(inputs: NDArray[Any]) -> None:
    if not is_spikes(inputs):
        fix = "send 0 or 1 in each step, for example at a rate"
        raise Unsupported("numbers on the input lines", "spikes, Xylo's only input", fix)
