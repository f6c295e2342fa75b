"""neuroprompt: spiking prompts for frozen vision backbones, trained, baked, deployed and checked spike by spike.

    import neuroprompt as npt

    trained = npt.train(npt.configure(data="digits", method="spike-nvpt"), "runs/digits")
    npt.evaluate(trained, ["gaussian:0.1", "jpeg:25"])
    npt.Exporter.named("onnx").export(trained, "out/onnx")
    npt.Exporter.named("lava").export(trained, "out/lava")
    npt.run("out/onnx", ["cat.jpg"])
    npt.verify(npt.load_model(npt.Bundle.open("out/lava")))

Names are imported at their first use, because torch takes seconds and `neuroprompt --help` should not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuroprompt.benchmarks.latency import bench_backbone, bench_bundle
    from neuroprompt.bundles.artefact import run
    from neuroprompt.bundles.bundle import Bundle
    from neuroprompt.bundles.contents import load_model
    from neuroprompt.bundles.predict import predict
    from neuroprompt.compiler.compile import model_of_graph
    from neuroprompt.compiler.read import read_graph
    from neuroprompt.contracts.deployment import Exporter, Prices, Target
    from neuroprompt.contracts.learning import Backbone, BackboneSpec, Data, Head, Prompt
    from neuroprompt.energy.count_bundle import activities
    from neuroprompt.energy.estimate import energy as estimate_energy
    from neuroprompt.errors import NeuropromptError
    from neuroprompt.progress import Progress
    from neuroprompt.report.write import write_report
    from neuroprompt.simulators.compare import compare
    from neuroprompt.simulators.verify import verify
    from neuroprompt.spiking.activity import Activity
    from neuroprompt.training.config import RunConfig, configure
    from neuroprompt.training.evaluation import evaluate
    from neuroprompt.training.loop import train
    from neuroprompt.training.quantisation_aware import loihi_aware
    from neuroprompt.training.run_folder import Run

__version__ = "0.1.0"

_HOME = {
    "Activity": "spiking.activity",
    "Backbone": "contracts.learning",
    "BackboneSpec": "contracts.learning",
    "Bundle": "bundles.bundle",
    "Data": "contracts.learning",
    "Exporter": "contracts.deployment",
    "Head": "contracts.learning",
    "NeuropromptError": "errors",
    "Prices": "contracts.deployment",
    "Progress": "progress",
    "Prompt": "contracts.learning",
    "Run": "training.run_folder",
    "RunConfig": "training.config",
    "Target": "contracts.deployment",
    "activities": "energy.count_bundle",
    "bench_backbone": "benchmarks.latency",
    "bench_bundle": "benchmarks.latency",
    "compare": "simulators.compare",
    "configure": "training.config",
    "estimate_energy": "energy.estimate:energy",
    "evaluate": "training.evaluation",
    "load_model": "bundles.contents",
    "loihi_aware": "training.quantisation_aware",
    "model_of_graph": "compiler.compile",
    "predict": "bundles.predict",
    "read_graph": "compiler.read",
    "run": "bundles.artefact",
    "train": "training.loop",
    "verify": "simulators.verify",
    "write_report": "report.write",
}

__all__ = [
    "Activity",
    "Backbone",
    "BackboneSpec",
    "Bundle",
    "Data",
    "Exporter",
    "Head",
    "NeuropromptError",
    "Prices",
    "Progress",
    "Prompt",
    "Run",
    "RunConfig",
    "Target",
    "__version__",
    "activities",
    "bench_backbone",
    "bench_bundle",
    "compare",
    "configure",
    "estimate_energy",
    "evaluate",
    "load_model",
    "loihi_aware",
    "model_of_graph",
    "predict",
    "read_graph",
    "run",
    "train",
    "verify",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'neuroprompt' has no attribute {name!r}")
    module, _, other = _HOME[name].partition(":")
    return getattr(importlib.import_module(f"neuroprompt.{module}"), other or name)
