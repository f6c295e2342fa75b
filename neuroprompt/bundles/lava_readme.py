"""The README.md of a bundle for Lava and its script: what it is, how to run it, what was checked and changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.spiking.program import SpikingModel
from neuroprompt.training.commands import data_name

BAKED = (
    "The bits that its spikes make are the prompt that the exported backbone has baked in; the backbone itself is not "
    "here."
)
HYBRID = (
    "The prompt is made for every image: `factors.onnx` makes what drives the neurons, their spikes say which of it "
    "is added to the image, and `backbone.onnx` classifies the sum."
)
SCRIPT, PINS = "run_lava.py", "requirements.txt"
BESIDE_SCRIPT = ("lava_processes.py", "lava_program.py", "program_file.py", "lava_net.py")
FILES = {
    "generator.nir": "the network as NIR (HDF5), exact copies of the trained parameters",
    "program.fixed.npz": "populations and integer weights as Lava takes them (numpy, no pickle)",
    "program.float.npz": "the same in the numbers of training",
    "scale_report.json": "what the integers changed",
    SCRIPT: "runs it on Lava's simulator",
    BESIDE_SCRIPT[0]: "Lava's processes as it runs them",
    BESIDE_SCRIPT[1]: "what it checks of a program",
    BESIDE_SCRIPT[2]: "how it reads a program",
    BESIDE_SCRIPT[3]: "how it starts Lava once for all runs",
    PINS: "what that needs",
    "inputs.npy": "the inputs (steps, lines) that the integers were fitted and checked on",
    "factors.onnx": "normalised inputs (B, 3, H, W) -> factors P (B, T, C, H, W)",
    "backbone.onnx": "prompted inputs, x + (1/T) sum_t S_t * P_t / std -> logits",
    "factors.0.npy": "the factors of a test image, (steps, neurons), to try the neurons with",
    "tokens.npy": "the prompt's bits (blocks, tokens, channels)",
    "model.onnx": "backbone, prompt and head in one graph; preprocessing and labels in its metadata",
    "prompt.safetensors": "what training learned",
    "manifest.json": "SHA-256 of every file, and how all this was made",
}
"""What the files of a bundle are."""
CHECKED = "What was checked before these files appeared"
LIMITS = (
    "A simulator on a CPU says what the chip computes, not how fast or at what energy. Thresholds are strict "
    "(v > threshold), the reset is to 0 in the same step. Each layer of synapses costs the chip one more step; the "
    "script takes that delay out."
)


def add_script(folder: Path, readme: str) -> None:
    """Put README.md, the script that runs the neurons on Lava alone, and its pins into a bundle's folder."""
    for name in (SCRIPT, *BESIDE_SCRIPT):
        shutil.copyfile(WORKERS / name, folder / name)
    shutil.copyfile(WORKERS / "lava.txt", folder / PINS)
    (folder / "README.md").write_text(readme)


def figures_of(about: dict[str, Any]) -> dict[str, Any]:
    """What a person wants to see at once of a bundle's manifest."""
    checked = about["checked"]
    return {
        "neurons": about["neurons"],
        "spikes": checked["loihi-fixed"]["spikes"],
        "float_spike_exact": checked["loihi-float"]["spike_exact"],
        "fixed_spike_exact": checked["loihi-fixed"]["spike_exact"],
    }


def lava_readme(about: dict[str, Any], model: SpikingModel) -> str:
    """The text for a bundle of a training run, in Markdown; `about` is the manifest's."""
    hybrid = bool(about.get("per_image"))
    left_out = {"model.onnx", "prompt.safetensors", "inputs.npy", SCRIPT, *BESIDE_SCRIPT, PINS}
    left_out |= set() if hybrid else {"factors.onnx", "backbone.onnx", "factors.0.npy"}
    left_out |= set() if about.get("bits_sha256") else {"tokens.npy"}
    lead = (
        f"The spiking part of a visual prompt, trained with neuroprompt on `{data_name(about['run']['data'])}` "
        f"({len(about['classes'])} classes) for the frozen backbone `{about['backbone']['name']}`: "
        f"{about['neurons']} neurons, {about['steps']} time steps. {HYBRID if hybrid else BAKED}"
    )
    parts = {
        "Run it": lava_run("factors.0.npy" if hybrid else None),
        "Files": _files(name for name in FILES if name not in left_out),
        CHECKED: checked_words(about),
    }
    return _document(about["method"], lead, parts, model)


def graph_readme(about: dict[str, Any], model: SpikingModel) -> str:
    """The text for a bundle of a NIR graph of any origin."""
    shown = ("generator.nir", "program.fixed.npz", "program.float.npz", "scale_report.json", "inputs.npy", SCRIPT, PINS)
    placed = about["placement"]
    lead = (
        f"A NIR graph compiled by neuroprompt: {about['neurons']} neurons, {about['inputs']} input lines, "
        f"{about['steps']} time steps of {about['dt_s']:g} s."
    )
    chip = [
        f"{placed['synapses']:,} synapses; at least {placed['cores']} of the {placed['chip']['cores']} cores of a "
        f"Loihi 2 ({placed['chip']['source']}). Its outputs are {placed['latency_steps']} steps behind the graph's.",
        *(f"- too large: {line}" for line in placed["too_large"]),
        *_mapping_words(placed["loihi1"]),
    ]
    if about.get("encoding"):
        lead += f" Its inputs are spikes, encoded from numbers by {about['encoding']}."
    parts = {"Run it": lava_run("inputs.npy"), "Files": _files(shown), CHECKED: programs_checked(about["checked"])}
    return _document(about["graph"], lead, parts | {"On the chip": chip}, model)


def _mapping_words(mapping: dict[str, Any]) -> list[str]:
    """Where its neurons would be on a Loihi 1, and what they send each other there."""
    cores = mapping["cores"]
    fullest = max(cores, key=lambda core: core["bytes"])
    return [
        "",
        f"Placed on a Loihi 1 it takes {len(cores)} core{'s' * (len(cores) > 1)}. The one with most weights holds "
        f"{fullest['neurons']} neurons, {fullest['bytes']:,} bytes of weights (without indices), "
        f"{fullest['in_axons']:,} axons in and {fullest['out_axons']:,} out. In a step the neurons send "
        f"{mapping['messages_a_step']:.1f} messages on average, {mapping['messages_between_cores_a_step']:.1f} of them "
        f"to another core, over {mapping['hops_a_step']:.1f} hops between tiles. Limits: {mapping['source']}.",
        *_latency_words(mapping.get("latency")),
        *(f"- too large for a Loihi 1: {line}" for line in mapping["too_large"]),
    ]


def _latency_words(time: dict[str, Any] | None) -> list[str]:
    """How long a step would take there, estimated."""
    if time is None:
        return []
    low, high = time["band_s"]
    return [
        "",
        f"A step takes {time['step_s'] * 1e6:.1f} microseconds there, a run {time['run_s'] * 1e6:.0f} ({low * 1e6:.0f} "
        f"to {high * 1e6:.0f}): estimated, not measured, with the figures of {time['source']}. Core "
        f"{time['bottleneck']} is busy longest.",
    ]


def _document(name: str, lead: str, parts: dict[str, list[str]], model: SpikingModel) -> str:
    parts = parts | {"The integers": scale_words(model.scale_report), "Limits": [LIMITS]}
    body = [line for title, lines in parts.items() for line in (f"## {title}", "", *lines, "")]
    return "\n".join([f"# {name} for Intel's Lava and Loihi", "", lead, "", *body])


def _files(names: Iterable[str]) -> list[str]:
    return [f"- `{name}`: {FILES[name]}" for name in names]


def lava_run(inputs: str | None) -> list[str]:
    """How to run the neurons with Lava alone; `inputs` names the file that drives them, where there is one."""
    run_it = f"{SCRIPT} --precision fixed --out spikes.npz" + (f" --inputs {inputs}" if inputs else "")
    return [
        "Needs Python 3.10 and Intel's Lava simulator, and nothing of neuroprompt:",
        "",
        f"    python3.10 -m venv lava && lava/bin/pip install -r {PINS}",
        f"    lava/bin/python {run_it}",
        "",
        "`fixed` is Loihi's integer arithmetic, bit by bit; `float` the numbers as trained. `--states` adds currents "
        "and voltages. `spikes.npz` holds `spikes.<population>`, (steps, neurons), in the steps of training.",
    ]


def checked_words(about: dict[str, Any]) -> list[str]:
    """What was compared with what before the bundle appeared, a line each."""
    checked = about["checked"]
    return [
        f"- the graph, read back, against the torch modules: all {checked['torch']['spikes']} spikes equal",
        *programs_checked(checked),
        *(_hybrid_words(about) if about.get("per_image") else []),
    ]


def programs_checked(checked: dict[str, Any]) -> list[str]:
    """How the float and the integer program compared with the reference."""
    return [
        f"- {words}, on the Loihi emulator, against the reference: {checked[key]['spike_exact']:.4%} of all steps "
        f"and neurons equal, {checked[key]['spikes']} spikes"
        for key, words in (("loihi-float", "the float program"), ("loihi-fixed", "the integer program"))
    ]


def _hybrid_words(about: dict[str, Any]) -> list[str]:
    parity, fixed, prompt = about["parity"], about["fixed"], about["prompt"]
    return [
        f"- all parts together with the float program, against the model in PyTorch on {parity['images']} images "
        f"({about['image_source']}): logits differ by at most {parity['max_rel_diff']:.1e} of their range",
        f"- with the integer program: by at most {fixed['max_rel_diff']:.1e}, {fixed['top1_agreement']:.1%} of the "
        f"classes equal; {prompt['spike_density']:.1%} of all steps and neurons spike, {prompt['exact_zeros']:.1%} of "
        f"the prompt's values are exactly 0, its rank is {prompt['rank']:.1f}",
    ]


def scale_words(report: dict[str, Any]) -> list[str]:
    """The scale report, a line for every population and projection."""
    lines = []
    for name, p in report["populations"].items():
        lines.append(
            f"- `{name}`: threshold {p['vth']} (one unit of training is {p['scale']:.6g} here), biases of "
            f"{p['bias_bits']} bits; {p['clipped']} biases clipped, {p['zeroed']} became 0, {p['dead']} neurons fell "
            f"silent, {p['overflow_u']} currents and {p['overflow_v']} voltages left 24 bits; "
            f"{p['spike_match']:.4%} of its steps as in the float model"
        )
        if p.get("sums_beyond_loihi1"):
            lines.append(f"- `{name}`: {p['sums_beyond_loihi1']} sums are too large for a Loihi 1, which wraps them")
    for name, q in report["projections"].items():
        lists = f" in {q['lists']} lists of synapses that add up" if q.get("lists", 1) > 1 else ""
        lines.append(
            f"- `{name}`: weights of {q['bits']} bits{lists}; {q['clipped']} clipped, {q['zeroed']} became 0, "
            f"{q['odd_to_even']} rounded to even values (Loihi drops the lowest bit where signs are mixed)"
        )
        if "input_bits" in q:
            lines.append(
                f"- the numbers of `{name}` are sent as round(x * {q['input_scale']:.6g}), {q['input_bits']} bits: "
                f"{q['headroom_bits']:.1f} bits of room were left in the fit, and {q['inputs_zeroed']} numbers became "
                f"0; rounding them changes what arrives by {q['input_rounding']:.2%}, and with that of the weights by "
                f"{q['rounding']:.2%} (root mean square)"
            )
    return lines
