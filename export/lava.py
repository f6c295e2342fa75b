"""A spiking part as a bundle for Intel's Lava: graph, integers, and a script that needs lava-nc alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir

from neuroprompt.bundles.bundle import write_bundle
from neuroprompt.bundles.contents import read_model, write_inputs, write_model
from neuroprompt.bundles.lava_readme import add_script, figures_of, graph_readme
from neuroprompt.bundles.neurons import GraphNeurons, Neurons
from neuroprompt.bundles.of_graph import about_graph, checked_programs, tuned_figures
from neuroprompt.bundles.pipeline import Hybrid
from neuroprompt.compiler.compile import calibrated
from neuroprompt.compiler.mapping import mapped
from neuroprompt.compiler.place import place
from neuroprompt.compiler.report import number_bits
from neuroprompt.compiler.widths import width_words
from neuroprompt.contracts.deployment import Exported, Exporter, Floats
from neuroprompt.contracts.tuning import Tuning
from neuroprompt.contracts.wide import Wide
from neuroprompt.energy.chip_events import chip_events
from neuroprompt.energy.latency import latency
from neuroprompt.loihi.arithmetic import simulate_sent
from neuroprompt.progress import SILENT, Progress
from neuroprompt.spiking.program import Program

if TYPE_CHECKING:
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.training.run_folder import Run


class Lava(Exporter):
    """generator.nir, program.fixed.npz, program.float.npz, scale_report.json, run_lava.py, README.md; tokens.npy.

    The files are read back and run before the bundle appears: the graph against the torch modules, which must be equal
    spike by spike, and the emulator's float and fixed programs against the reference, which is reported. Of a prompt
    that depends on the image also factors.onnx and backbone.onnx, the parts around its neurons: all three together
    must agree with the model in PyTorch, with the float program; what the integers change is reported.

    Neurons beside a backbone's layers are a bundle of their graph, one neuron for each number of an image, and carry
    what drives them on a test image. The backbone is not in it: a layer's neurons wait for those of layers before.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> Exported:
        """Write the bundle at `out`; raises Unsupported where the prompt has no neurons, ParityError, CannotWrite."""
        from neuroprompt.bundles.spiking_prompt import CHECKED, write_spiking_prompt

        if run.model.prompt.enters == "layers":
            from neuroprompt.spiking.chain import to_nir
            from neuroprompt.training.sample_images import sample_images

            generator = run.model.generator()
            assert generator is not None
            images, _ = sample_images(run, CHECKED)
            inputs = run.model.generator_inputs(images).double().numpy()
            return self.export_graph(to_nir(generator), out, inputs, name=run.config.method, progress=progress)
        return write_spiking_prompt(run, out, progress)

    def export_graph(
        self,
        graph: nir.NIRGraph,
        out: Path | str,
        inputs: Floats,
        *,
        name: str = "",
        split_signs: bool = False,
        wide: Wide | None = None,
        tuning: Tuning | None = None,
        encoding: str = "",
        progress: Progress = SILENT,
    ) -> Exported:
        """The same bundle for a NIR graph, its integers fitted on `inputs` (T, n_in), which it carries as inputs.npy.

        Of a batch (B, T, n_in) it carries the first run.

        Raises Unsupported, naming the node and what would have to change, for what the chip cannot hold.
        """
        model, tried = calibrated(graph, inputs, split_signs=split_signs, wide=wide, tuning=tuning, progress=progress)
        source = {"encoding": encoding} if encoding else {}

        def fill(folder: Path) -> dict[str, Any]:
            write_model(model, folder)
            write_inputs(tried, folder)
            written = read_model(folder)
            about = about_graph(graph, name, model) | source | {"placement": place(model.fixed_program)}
            if wide is not None:
                about["placement"]["widths"] = width_words(model)
            about["placement"]["loihi1"] = _on_loihi1(model.fixed_program, tried)
            about |= {"checked": checked_programs(written, tried, progress)}
            add_script(folder, graph_readme(about, written))
            return about

        about = write_bundle(out, "lava", fill).about
        figures = figures_of(about) | {"bits": number_bits(model.scale_report)} | tuned_figures(model)
        return Exported(Path(out), figures, about)

    def opened(self, bundle: Bundle) -> Neurons:
        """Neurons of a graph or of a prompt; of a prompt that depends on the image with the parts around them."""
        if "graph" in bundle.about:
            return GraphNeurons(bundle)
        return Hybrid(bundle) if bundle.about.get("per_image") else Neurons(bundle)


def _on_loihi1(program: Program, inputs: Floats) -> dict[str, Any]:
    """Where the neurons would be on a Loihi 1, what they send each other there, and how long a step would take."""
    sent = program.encode(inputs)
    traces = simulate_sent(program, sent)
    emitted = {"input": sent} | {name: trace.spikes for name, trace in traces.items()}
    placement = mapped(program, emitted)
    if placement.too_large:
        return placement.json()
    events = chip_events(program, emitted, {name: trace.v for name, trace in traces.items()}, placement)
    return placement.json() | {"latency": latency(events).json()}
