"""Writes a bundle with a spiking model in C, which is compiled and run, where it can be, before it appears."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from neuroprompt.bundles.bundle import write_bundle
from neuroprompt.bundles.contents import GRAPH, write_inputs
from neuroprompt.bundles.of_graph import checked_programs, tuned_figures
from neuroprompt.contracts.deployment import Exported, Floats
from neuroprompt.csource.compiler import compiled
from neuroprompt.csource.cost import cost_of
from neuroprompt.csource.net import c_net
from neuroprompt.csource.readme import about_c, c_readme
from neuroprompt.csource.selftest import c_selftest
from neuroprompt.loihi.arithmetic import simulate_sent
from neuroprompt.progress import Progress
from neuroprompt.spiking.graph import write_graph
from neuroprompt.spiking.program import SpikingModel


def write_c(
    model: SpikingModel,
    inputs: Floats,
    out: Path | str,
    *,
    kind: str,
    precision: Literal["fixed", "float"],
    title: str,
    about: dict[str, Any],
    progress: Progress,
) -> Exported:
    """net.c, net.h, selftest.c, README.md, generator.nir and inputs.npy in a bundle of `kind` at `out`.

    The self-test is what our emulator does on `inputs` (T, n_in). `about` says what it was made of. Raises ParityError
    where the compiled net fails it, CannotWrite, and what Program.encode raises.
    """
    program = model.program(precision)
    sent = program.encode(inputs)
    traces = simulate_sent(program, sent)
    net = c_net(program)
    cost = cost_of(program, net, sent, traces)
    spikes = sum(int(traces[p.name].spikes.sum()) for p in program.populations if p.emits == "spikes")

    def fill(folder: Path) -> dict[str, Any]:
        write_graph(model.graph, folder / GRAPH)
        write_inputs(inputs, folder)
        (folder / "net.c").write_text(net.source)
        (folder / "net.h").write_text(net.header)
        (folder / "selftest.c").write_text(c_selftest(program, net, sent, traces))
        progress.say("compiling the net and running its self-test")
        built = compiled(folder, program.steps)
        checked = checked_programs(model, inputs, progress)
        exact = checked[f"loihi-{precision}"]["spike_exact"]
        lines = [f"- the emulator against the float reference: {exact:.4%} of all (step, neuron) entries match"]
        (folder / "README.md").write_text(c_readme(title, program, net, cost, built=built, checked=lines))
        names = {"identifiers": dict(net.names), "spikes": spikes, "precision": precision}
        return about | names | about_c(cost, built) | {"checked": checked}

    written = write_bundle(out, kind, fill)
    built, whole = written.about["compiled"], written.about["checked"]
    figures = {
        "steps": model.steps,
        "neurons": cost.updates,
        "spikes": spikes,
        f"{precision}_spike_exact": whole[f"loihi-{precision}"]["spike_exact"],
        "constant_bytes": cost.constant_bytes,
        "state_bytes": cost.state_bytes,
        "additions_a_step": round(cost.additions, 1),
        "updates_a_step": cost.updates,
        "instructions_a_step": round(built["instructions"])
        if built and built["instructions"]
        else "not counted: no valgrind",
        "selftest": built["said"] if built else "not run: no C compiler (cc, gcc or clang)",
    }
    return Exported(Path(out), figures | tuned_figures(model), written.about)
