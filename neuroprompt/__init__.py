"""neuroprompt: spiking prompts for frozen vision backbones, trained, baked, deployed and checked spike by spike.

    import neuroprompt as npt

    run = npt.train(npt.configure(data="digits", method="spike-nvpt"), "runs/digits")
    npt.evaluate(run, ["gaussian:0.1", "jpeg:25"])
    npt.Exporter.named("onnx").export(run, "out/onnx")
    npt.Exporter.named("lava").export(run, "out/lava")
    npt.verify(npt.load_model(npt.Bundle.open("out/lava")))

Names are imported at their first use, because torch takes seconds and `neuroprompt --help` should not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuroprompt.activity import Activity
    from neuroprompt.agreement import compare
    from neuroprompt.benchmark import bench_backbone, bench_bundle
    from neuroprompt.bundle import Bundle
    from neuroprompt.bundled import load_model
    from neuroprompt.checkpoint import Run
    from neuroprompt.compiler.read import read_graph
    from neuroprompt.contracts import Backbone, BackboneSpec, Data, Exporter, Head, Prices, Prompt, Target
    from neuroprompt.counts import activities
    from neuroprompt.deploy import model_of_graph
    from neuroprompt.errors import NeuropromptError
    from neuroprompt.evaluation import evaluate
    from neuroprompt.measure import verify
    from neuroprompt.prediction import predict
    from neuroprompt.pricing import energy as estimate_energy
    from neuroprompt.progress import Progress
    from neuroprompt.qat import loihi_aware
    from neuroprompt.report.write import write_report
    from neuroprompt.runconfig import RunConfig, configure
    from neuroprompt.training import train

__version__ = "0.1.0"

_HOME = {
    "Activity": "activity",
    "Backbone": "contracts",
    "BackboneSpec": "contracts",
    "Bundle": "bundle",
    "Data": "contracts",
    "Exporter": "contracts",
    "Head": "contracts",
    "NeuropromptError": "errors",
    "Prices": "contracts",
    "Progress": "progress",
    "Prompt": "contracts",
    "Run": "checkpoint",
    "RunConfig": "runconfig",
    "Target": "contracts",
    "activities": "counts",
    "bench_backbone": "benchmark",
    "bench_bundle": "benchmark",
    "compare": "agreement",
    "configure": "runconfig",
    "estimate_energy": "pricing:energy",
    "evaluate": "evaluation",
    "load_model": "bundled",
    "loihi_aware": "qat",
    "model_of_graph": "deploy",
    "predict": "prediction",
    "read_graph": "compiler.read",
    "train": "training",
    "verify": "measure",
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
    "train",
    "verify",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'neuroprompt' has no attribute {name!r}")
    module, _, other = _HOME[name].partition(":")
    return getattr(importlib.import_module(f"neuroprompt.{module}"), other or name)
