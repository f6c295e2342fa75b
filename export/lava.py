"""A run's spiking part as a bundle for Intel's Lava: graph, integers, and a script that needs lava-nc alone."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from neuroprompt.bundle import writing
from neuroprompt.bundled import TOKENS, bits_sha256, read_model, write_bits, write_model
from neuroprompt.contracts import Exporter, Prompt
from neuroprompt.deploy import check_graph, deployed_tokens, spiking_model
from neuroprompt.errors import Unsupported
from neuroprompt.macs import count_macs
from neuroprompt.measure import verify
from neuroprompt.program import Model
from neuroprompt.progress import SILENT, Progress
from neuroprompt.runtime import WORKERS

if TYPE_CHECKING:
    from neuroprompt.checkpoint import Run

SCRIPT, PINS = "run_lava.py", "requirements.txt"
PACKAGES = ("neuroprompt-toolkit", "torch", "timm", "snntorch", "nir", "numpy")


class Lava(Exporter):
    """generator.nir, program.fixed.npz, program.float.npz, scale_report.json, tokens.npy, run_lava.py, README.md.

    The files are read back and run before the bundle appears: the graph against the torch modules, which must be equal
    spike by spike, and the emulator's float and fixed programs against the reference, which is reported.
    """

    def export(self, run: Run, out: Path | str, *, progress: Progress = SILENT) -> dict[str, Any]:
        """Write the bundle at `out`; raises Unsupported where the prompt has no neurons, ParityError, CannotWrite."""
        prompt = run.model.prompt
        generator = prompt.generator()
        if generator is None:
            spiking = ", ".join(name for name in Prompt.names() if Prompt.part(name).spiking)
            raise Unsupported(f"{run.config.method!r} has no spiking generator", f"a run of one of: {spiking}")
        progress.say("searching the scale of Loihi's integers")
        model = spiking_model(generator)
        tokens = deployed_tokens(prompt, model)
        about = _about(run, model, tokens)
        with writing(out, "lava", about) as folder:
            write_model(model, folder)
            if tokens is not None:
                write_bits(tokens, folder / TOKENS)
            shutil.copyfile(WORKERS / "lava.py", folder / SCRIPT)
            shutil.copyfile(WORKERS / "lava.txt", folder / PINS)
            written = read_model(folder)
            about["checked"] = {
                "torch": check_graph(written.graph, generator),
                **verify(written, targets=["loihi"], progress=progress)["targets"],
            }
            (folder / "README.md").write_text(_readme(about, written))
        return {"steps": about["steps"], "bits_sha256": about["bits_sha256"], **_flat(about), "about": about}


def _about(run: Run, model: Model, tokens: Tensor | None) -> dict[str, Any]:
    backbone = run.model.backbone
    baked = nn.Sequential(backbone.baked(tokens), run.model.head).eval()
    return {
        "method": run.config.method,
        "settings": dict(run.config.settings),
        "steps": model.steps,
        "neurons": sum(p.size for p in model.fixed_program.populations),
        "backbone": asdict(backbone.spec),
        "classes": list(run.config.classes),
        "bits_sha256": None if tokens is None else bits_sha256(tokens),
        "backbone_macs": count_macs(baked, torch.zeros(1, *backbone.site.image)),
        "run": run.config.json(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
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


def _readme(about: dict[str, Any], model: Model) -> str:
    checked = about["checked"]
    lines = [
        f"# {about['method']} for Intel's Lava and Loihi",
        "",
        f"The spiking part of a visual prompt, trained with neuroprompt on `{about['run']['data']}` "
        f"({len(about['classes'])} classes) for the frozen backbone `{about['backbone']['name']}`: "
        f"{about['neurons']} neurons, {about['steps']} time steps. The bits that its spikes make are the prompt that "
        "the exported backbone has baked in; the backbone itself is not here.",
        "",
        "## Run it",
        "",
        "Needs Python 3.10 and Intel's Lava simulator, and nothing of neuroprompt:",
        "",
        f"    python3.10 -m venv lava && lava/bin/pip install -r {PINS}",
        f"    lava/bin/python {SCRIPT} --precision fixed --out spikes.npz",
        "",
        "`fixed` is Loihi's integer arithmetic, bit by bit; `float` the numbers as trained. `--states` adds currents "
        "and voltages. `spikes.npz` holds `spikes.<population>`, (steps, neurons), in the steps of training.",
        "",
        "## Files",
        "",
        "- `generator.nir`: the network as NIR (HDF5), exact copies of the trained parameters",
        "- `program.fixed.npz`, `program.float.npz`: populations and weights as Lava takes them (numpy, no pickle)",
        "- `scale_report.json`: what the integers changed",
        *(["- `tokens.npy`: the prompt's bits (blocks, tokens, channels)"] if about["bits_sha256"] else []),
        "- `manifest.json`: SHA-256 of every file, and how all this was made",
        "",
        "## What was checked before these files appeared",
        "",
        f"- the graph, read back, against the torch modules: all {checked['torch']['spikes']} spikes equal",
        *(
            f"- {words}, on the Loihi emulator, against the reference: {checked[key]['spike_exact']:.4%} of all steps "
            f"and neurons equal, {checked[key]['spikes']} spikes"
            for key, words in (("loihi-float", "the float program"), ("loihi-fixed", "the integer program"))
        ),
        "",
        "## The integers",
        "",
        *_scale_words(model.scale_report),
        "",
        "## Limits",
        "",
        "A simulator on a CPU says what the chip computes, not how fast or at what energy. Thresholds are strict "
        "(v > threshold), the reset is to 0 in the same step. Each layer of synapses costs the chip one more step; the "
        "script takes that delay out.",
        "",
    ]
    return "\n".join(lines)


def _scale_words(report: dict[str, Any]) -> list[str]:
    lines = []
    for name, p in report["populations"].items():
        lines.append(
            f"- `{name}`: threshold {p['vth']} (one unit of training is {p['scale']:.6g} here), biases of "
            f"{p['bias_bits']} bits; {p['clipped']} biases clipped, {p['zeroed']} became 0, {p['dead']} neurons fell "
            f"silent, {p['overflow_u']} currents and {p['overflow_v']} voltages left 24 bits; "
            f"{p['spike_match']:.4%} of its steps as in the float model"
        )
    for name, q in report["projections"].items():
        lines.append(
            f"- `{name}`: weights of {q['bits']} bits; {q['clipped']} clipped, {q['zeroed']} became 0, "
            f"{q['odd_to_even']} rounded to even values (Loihi drops the lowest bit where signs are mixed)"
        )
    return lines
