"""A run's spiking part as a bundle for Intel's Lava: graph, integers, and a script that needs lava-nc alone."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir
import torch
from torch import Tensor

from neuroprompt.bundles.bundle import Bundle, writing
from neuroprompt.bundles.contents import TOKENS, bits_sha256, read_model, write_bits, write_inputs, write_model
from neuroprompt.bundles.hybrid import check_hybrid, write_hybrid
from neuroprompt.bundles.lava_readme import BESIDE_SCRIPT, PINS, SCRIPT, graph_readme, lava_readme
from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.flatten import dt_of
from neuroprompt.compiler.place import place
from neuroprompt.contracts.deployment import Exporter, Floats
from neuroprompt.contracts.learning import Gated, Prompt
from neuroprompt.errors import ParityError, Unsupported
from neuroprompt.onnxgraph.deployable import deployed
from neuroprompt.onnxgraph.macs import count_macs
from neuroprompt.progress import SILENT, Progress
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.training.deploy import check_graph, deployed_tokens, spiking_model

if TYPE_CHECKING:
    from neuroprompt.training.run_folder import Run

PACKAGES = ("neuroprompt-toolkit", "torch", "timm", "snntorch", "nir", "numpy")


class Lava(Exporter):
    """generator.nir, program.fixed.npz, program.float.npz, scale_report.json, run_lava.py, README.md; tokens.npy.

    The files are read back and run before the bundle appears: the graph against the torch modules, which must be equal
    spike by spike, and the emulator's float and fixed programs against the reference, which is reported. Of a prompt
    that is made for every image also factors.onnx and backbone.onnx, the parts around its neurons: all three together
    are held to the model in PyTorch, with the float program; what the integers change is reported.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> dict[str, Any]:
        """Write the bundle at `out`; raises Unsupported where the prompt has no neurons, ParityError, CannotWrite."""
        prompt = run.model.prompt
        gated, generator = prompt.gated(), prompt.generator()
        if generator is None or (prompt.per_image and gated is None):
            spiking = ", ".join(name for name in Prompt.names() if Prompt.part(name).spiking)
            got = f"{run.config.method!r} has no spiking generator" + (" apart from its graph" if generator else "")
            raise Unsupported(got, f"a run of one of: {spiking}")
        if gated is not None:
            return self._hybrid(run, gated, out, progress)
        progress.say("searching the scale of Loihi's integers")
        model = spiking_model(generator)
        tokens = deployed_tokens(prompt, model)
        about = _about(run) | _of_tokens(run, model, tokens)
        with writing(out, "lava", about) as folder:
            write_model(model, folder)
            if tokens is not None:
                write_bits(tokens, folder / TOKENS)
            written = read_model(folder)
            about["checked"] = {
                "torch": check_graph(written.graph, generator),
                **verify(written, targets=["loihi"], progress=progress).json()["targets"],
            }
            _add_script(folder, lava_readme(about, written))
        return {"steps": about["steps"], "bits_sha256": about["bits_sha256"], **_flat(about), "about": about}

    def export_graph(
        self,
        graph: nir.NIRGraph,
        out: Path | str,
        inputs: Floats,
        *,
        name: str = "",
        split_signs: bool = False,
        progress: Progress = SILENT,
    ) -> dict[str, Any]:
        """The same bundle for a NIR graph, its integers fitted on `inputs` (T, n_in), which it carries as inputs.npy.

        Raises Unsupported, naming the node and what would have to change, for what the chip cannot hold.
        """
        model = model_of_graph(graph, len(inputs), inputs, split_signs=split_signs, progress=progress)
        about = _of_graph(graph, name, model)
        with writing(out, "lava", about) as folder:
            write_model(model, folder)
            write_inputs(inputs, folder)
            written = read_model(folder)
            verified = verify(written, inputs, targets=["loihi"], progress=progress)
            about["checked"] = verified.json()["targets"]
            floats = verified.targets["loihi-float"]
            if floats.spike_exact != 1.0 and floats.cause is None:
                got = f"{floats.spike_exact:.4%} of the float program's spikes match, for no known cause"
                raise ParityError(got, "100 %, before a file appears")
            _add_script(folder, graph_readme(about, written))
        return {**_flat(about), "about": about}

    def _hybrid(self, run: Run, gated: Gated, out: Path | str, progress: Progress) -> dict[str, Any]:
        about = _about(run)
        with writing(out, "lava", about) as folder:
            written = write_hybrid(run, gated, folder, about, progress)
            progress.say("comparing the parts together with the model in PyTorch")
            about |= check_hybrid(run, Bundle(folder, "lava", about))
            _add_script(folder, lava_readme(about, written))
        return {"steps": about["steps"], **_flat(about), **about["prompt"], **about["parity"], "about": about}


def _of_graph(graph: nir.NIRGraph, name: str, model: SpikingModel) -> dict[str, Any]:
    return {
        "graph": name,
        "dt_s": dt_of(graph),
        "steps": model.steps,
        "inputs": model.float_program.inputs,
        "neurons": sum(p.size for p in model.fixed_program.populations),
        "placement": place(model.fixed_program),
        "versions": {package: metadata.version(package) for package in PACKAGES if package not in ("torch", "timm")},
    }


def _add_script(folder: Path, readme: str) -> None:
    for name in (SCRIPT, *BESIDE_SCRIPT):
        shutil.copyfile(WORKERS / name, folder / name)
    shutil.copyfile(WORKERS / "lava.txt", folder / PINS)
    (folder / "README.md").write_text(readme)


def _about(run: Run) -> dict[str, Any]:
    return {
        "method": run.config.method,
        "settings": dict(run.config.settings),
        "backbone": asdict(run.model.backbone.spec),
        "preprocess": asdict(run.model.preprocess),
        "classes": list(run.config.classes),
        "run": run.config.json(),
        "trained": run.summary(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def _of_tokens(run: Run, model: SpikingModel, tokens: Tensor | None) -> dict[str, Any]:
    blank = torch.zeros(1, *run.model.backbone.site.image)
    return {
        "steps": model.steps,
        "neurons": sum(p.size for p in model.fixed_program.populations),
        "placement": place(model.fixed_program),
        "bits_sha256": None if tokens is None else bits_sha256(tokens),
        "backbone_macs": count_macs(deployed(run.model, tokens), blank),
    }


def _flat(about: dict[str, Any]) -> dict[str, Any]:
    """What a person wants to see at once."""
    fixed = about["checked"]["loihi-fixed"]
    return {
        "neurons": about["neurons"],
        "spikes": fixed["spikes"],
        "float_spike_exact": about["checked"]["loihi-float"]["spike_exact"],
        "fixed_spike_exact": fixed["spike_exact"],
    }
