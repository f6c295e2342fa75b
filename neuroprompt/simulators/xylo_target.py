"""What targets with Xylo's integers share: how a net is fitted, once, and how a run becomes a Recording."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
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
    as searches are (`neuroprompt.compiler.kept`). A neuron that fires several times in a step is rejected.
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
        sent = program.encode(inputs)
        start = time.perf_counter()
        traces = self.traces(program, sent)
        for name, trace in traces.items():
            most = int(trace.counts.max(initial=0))
            if most > 1:
                got = f"node {name!r} fires {most} times in a step"
                fix = "smaller weights before it, or a higher threshold: v must stay below two thresholds"
                raise Unsupported(got, "once a step, as in the graph", fix)
        arrays = {f"spikes.{name}": trace.counts > 0 for name, trace in traces.items()}
        arrays |= {f"u.{name}": trace.i for name, trace in traces.items()}
        arrays |= {f"v.{name}": trace.v for name, trace in traces.items()}
        return recording(program, arrays, time.perf_counter() - start, states)

    def _fitted(self, model: SpikingModel, precision: str) -> tuple[Program, dict[str, Any]]:
        if precision != "fixed":
            raise Unsupported(f"precision {precision!r} for {self.name}", "fixed, the chip's integers")
        program, inputs = model.float_program, model.fitted_on
        self.refuse(program)
        if inputs is None or inputs.shape[1:] != (program.steps, program.inputs):
            inputs = stimulus(program)[None]
        if not is_spikes(inputs):
            got = "numbers on the input lines"
            raise Unsupported(got, "spikes, Xylo's only input", "send them as spikes (--encode)")
        fixed, report, _ = once(Search(program, inputs, (("chip", "xylo"),)), lambda: fitted(program, inputs))
        return fixed, report
