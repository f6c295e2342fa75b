"""A deployment machine has no torch: what compiles, emulates and verifies graphs must not import it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import importlib, pkgutil, sys
import neuroprompt.compiler, neuroprompt.contracts.deployment, neuroprompt.loihi
from neuroprompt.spiking import activity, graph, program, weights

for room in (neuroprompt.compiler, neuroprompt.loihi):
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        importlib.import_module(module.name)

import nir, numpy as np
from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.deployment import Target

neurons = nir.IF(r=np.ones(2), v_threshold=np.ones(2), v_reset=np.zeros(2))
nodes = {"input": nir.Input({"input": np.array([3])}), "w": nir.Linear(np.ones((2, 3))), "if": neurons,
         "output": nir.Output({"output": np.array([2])})}
graph = nir.NIRGraph(nodes, [("input", "w"), ("w", "if"), ("if", "output")])
model = model_of_graph(graph, 4, np.ones((4, 3)))
for name, precision in (("loihi", "fixed"), ("loihi", "float"), ("reference", "float")):
    assert Target.named(name).run(model, np.ones((4, 3)), precision).spikes["if"].all()
heavy = {"torch", "timm", "torchvision", "snntorch", "lightning_fabric", "onnxscript"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_graph_is_compiled_and_emulated_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
