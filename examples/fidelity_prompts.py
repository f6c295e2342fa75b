"""The spiking generators of two prompts for fidelity_table.py: Spike-NVPT's, and LoRSP's, which differs by image."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import neuroprompt as npt
from neuroprompt.bundles.pipeline import Pipeline
from neuroprompt.compiler.lower import stimulus
from neuroprompt.compiler.place import place
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.training.dataset import as_floats, load_data
from neuroprompt.training.deploy import deployed_tokens, spiking_model

IMAGES = 200
"""Of the test split, for LoRSP."""


def jaccard(a: Any, b: Any) -> float:
    """Spikes in both of those in either."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def spike_nvpt() -> list[dict[str, Any]]:
    """The bits that its neurons give on the chip are those it was trained with: then so is every prediction."""
    what = "Spike-NVPT's generator, digits"
    with tempfile.TemporaryDirectory() as folder:
        settings = {"tokens": 10, "steps": 4}
        config = npt.configure(method="spike-nvpt", data="digits", epochs=2, batch=32, settings=settings)
        run = npt.train(config, Path(folder, "run"))
        accuracy = npt.evaluate(run).clean
        prompt, begun = run.model.prompt, time.process_time()
        generator = prompt.generator()
        assert generator is not None
        model = spiking_model(generator)
        seconds = time.process_time() - begun
        both = [simulate(p, stimulus(p)) for p in (model.float_program, model.fixed_program)]
        (floats, chip) = (next(reversed(list(traces.values()))).spikes for traces in both)
        tokens, deployed = prompt.tokens(), deployed_tokens(prompt, model)
        assert tokens is not None
        assert deployed is not None
        same = torch.equal(tokens.detach(), deployed)
    fixed = {"jaccard": (jaccard(floats, chip),), "accuracy": accuracy if same else None, "items": 450}
    fixed |= {"synapses": place(model.fixed_program)["synapses"], "seconds": seconds}
    why = "a population without synapses: no weights to widen, as with 8 bits"
    return [
        {"net": what, "way": "float", "jaccard": (1.0,), "accuracy": accuracy, "items": 450},
        {"net": what, "way": "8 bits", **fixed},
        {"net": what, "way": "auto", "why_not": why},
    ]


def lorsp() -> list[dict[str, Any]]:
    """Factors in ONNX Runtime, neurons on the emulator in float and in integers, the backbone in ONNX Runtime."""
    what = "LoRSP's generator, digits"
    with tempfile.TemporaryDirectory() as folder:
        run = npt.train(npt.configure(method="lorsp", data="digits", epochs=2, batch=32), Path(folder, "run"))
        begun = time.process_time()
        npt.export(run, Path(folder, "lava"), target="lava")
        seconds = time.process_time() - begun
        test = load_data(run.config.data, run.model.preprocess, run.config.seed, run.config.limit).test
        images, labels = zip(*(test[i] for i in range(IMAGES)), strict=True)
        pixels = as_floats(torch.stack(images)).numpy()
        results = {}
        for precision in ("float", "fixed"):
            pipeline = Pipeline(Path(folder, "lava"), "loihi", precision)
            passed = pipeline.run(pipeline.around.normalised(pixels))
            right = passed.logits.argmax(axis=1) == np.array([int(label) for label in labels])
            results[precision] = passed.spikes, float(right.mean())
    why = "its weights are one to one with the lines, which carry numbers: no list of synapses to add"
    return [
        {"net": what, "way": "float", "jaccard": (1.0,), "accuracy": results["float"][1], "items": IMAGES},
        {
            **{"net": what, "way": "8 bits", "jaccard": (jaccard(results["float"][0], results["fixed"][0]),)},
            **{"accuracy": results["fixed"][1], "items": IMAGES, "seconds": seconds},
        },
        {"net": what, "way": "auto", "why_not": why},
    ]


PROMPTS: dict[str, Callable[[], list[dict[str, Any]]]] = {"spike-nvpt": spike_nvpt, "lorsp": lorsp}
