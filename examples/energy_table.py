"""Estimated, not measured: what an image costs with every method on one backbone, each counted from its own ONNX file.

    python examples/energy_table.py --backbone vit_base_patch16_224 --image-size 224 [--method spike-nvpt ...]

Nothing is trained: the number of multiplications does not depend on the weights, so random ones will do. Spikes do
depend on them: the generators' column holds for their initial values only.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from neuroprompt.compiler.lower import stimulus
from neuroprompt.contracts.deployment import Prices
from neuroprompt.contracts.learning import BackboneSpec, Prompt
from neuroprompt.energy.count_bundle import counts_of_model
from neuroprompt.energy.estimate import NOTE, Estimate, estimate
from neuroprompt.energy.units import si, spread
from neuroprompt.errors import NeuropromptError
from neuroprompt.onnxgraph.counts import count_graph
from neuroprompt.onnxgraph.deployable import deployed
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.config import RunConfig
from neuroprompt.training.deploy import spiking_model

LISTS = ("horowitz-45nm-fp32", "horowitz-45nm-int8", "horowitz-45nm-fp32-memory")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", default="embedded")
    parser.add_argument("--image-size", type=int, default=None)
    parser.add_argument("--method", nargs="*", default=Prompt.names())
    asked = parser.parse_args()
    spec = BackboneSpec(asked.backbone, image_size=asked.image_size, random=True)
    print(f"{NOTE}. An image through {spec.name}, ten classes")
    print(f"| method | multiply-accumulates | {' | '.join(LISTS)} | generator at its initial values, loihi |")
    print("|---|---|" + "---|" * (len(LISTS) + 1))
    for method in asked.method:
        try:
            print(row(method, spec), flush=True)
        except NeuropromptError as error:
            print(f"| {method} | not possible: {error} |", flush=True)


def row(method: str, spec: BackboneSpec) -> str:
    model = assemble(RunConfig(method, {}, spec, classes=tuple("abcdefghij")), load_backbone(spec)).eval()
    tokens = model.prompt.tokens()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        to_onnx(deployed(model, None if tokens is None else tokens.detach()), model.backbone.site.image, file)
        counts = count_graph(file).total
    cells = [joules(estimate(counts, Prices.named(name))) for name in LISTS]
    return f"| {method} | {counts.macs:,} | {' | '.join(cells)} | {generator(model.prompt)} |"


def joules(spent: Estimate) -> str:
    """The joules, and their range where there is one."""
    ends = spread(spent.range)
    return si(spent.joules) + (f" ({ends})" if ends else "")


def generator(prompt: Prompt) -> str:
    neurons = None if prompt.per_image else prompt.generator()
    if neurons is None:
        return "in the graph" if prompt.spiking else "-"
    model = spiking_model(neurons)
    counts = counts_of_model(model, stimulus(model.fixed_program), "loihi", "fixed")
    return f"{joules(estimate(counts.generator, Prices.named('loihi')))}, once"


if __name__ == "__main__":
    main()
