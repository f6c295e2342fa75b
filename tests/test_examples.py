"""The examples run as they stand, and import only neuroprompt and torch (but for the one that made the backbone).

The notebooks run where the documentation is built: `tests/docs/test_site.py`.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.deployment import SpikingTarget

FOLDER = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAKES_THE_BACKBONE = "distil_embedded.py"
FIDELITY = {"torch", "numpy", "nir", "scipy"}
ALLOWED = {
    "evidence_figures.py": {"matplotlib"},
    "fidelity_table.py": FIDELITY,
    "fidelity_nets.py": FIDELITY,
    "fidelity_accuracy.py": FIDELITY,
    "fidelity_peers.py": FIDELITY,
    "fidelity_limits.py": FIDELITY,
    "fidelity_prompts.py": FIDELITY,
    "fidelity_sinabs.py": FIDELITY | {"sinabs"},
    "fidelity_lava_dl.py": FIDELITY | {"lava"},
    "fidelity_nengo_loihi.py": FIDELITY | {"nengo_loihi"},
    "shd_on_loihi.py": {"nir", "numpy"},
}
"""What an example may import in torch's place."""


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda p: p.name)
def test_an_example_imports_neuroprompt_and_at_most_torch(file: Path) -> None:
    if file.name == MAKES_THE_BACKBONE:
        pytest.skip("makes the embedded backbone from the teacher's real weights, with timm itself")
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    beside = {other.stem for other in FOLDER.glob("*.py")}
    names -= {*sys.stdlib_module_names, *beside, *ALLOWED.get(file.name, {"torch"})}
    assert names <= {"neuroprompt"}


def cells(notebook: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.name)
def test_a_notebook_is_stripped_and_its_images_are_there(notebook: Path) -> None:
    names: set[str] = set()
    for cell in cells(notebook, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").partition(".")[0])
    assert names - set(sys.stdlib_module_names) == {"neuroprompt", "IPython"}
    text = "".join(line for cell in cells(notebook, "markdown") for line in cell["source"])
    shown = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(shown) == 2
    assert all((FOLDER / image).is_file() for image in shown)


@pytest.mark.slow
@pytest.mark.longest(90)
def test_the_quickstart_runs(tmp_path: Path) -> None:
    script = FOLDER / "quickstart.py"
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "loihi-fixed: 100.00%" in done.stdout


@pytest.mark.slow
def test_the_quantisation_aware_example_fires_as_the_chip() -> None:
    script = FOLDER / "quantisation_aware.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "Loihi's integers: 100.00% of the counts as trained" in done.stdout


@pytest.mark.slow
def test_generators_run_on_a_small_chip_in_pieces_as_the_page_says() -> None:
    script = FOLDER / "xylo_pieces.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    page = (FOLDER.parent / "docs" / "explain" / "simulators.md").read_text()
    assert len(done.stdout.splitlines()) == 10
    for line in done.stdout.splitlines():
        assert " ".join(line.split()) in " ".join(page.split())


def test_a_published_net_becomes_a_graph_that_the_chip_runs(tmp_path: Path) -> None:
    """Checkpoints as mlGeNN writes them, with weights of the test's own: the equations of the example's docstring."""
    rng, hidden, steps = np.random.default_rng(0), 12, 60
    into, own, out = (
        rng.normal(0.5, 2.0, shape).astype(np.float32) for shape in ((700, hidden), (hidden,) * 2, (hidden, 3))
    )
    for name, weights in {"Input_Hidden": into, "Hidden_Hidden": own, "Hidden_Output": out}.items():
        np.save(tmp_path / f"48-Conn_{name}-g.npy", weights.reshape(-1))
    script, file = FOLDER / "shd_on_loihi.py", tmp_path / "shd.nir"
    subprocess.run([sys.executable, script, tmp_path, file], timeout=300, check=True)
    lines = (rng.random((steps, 700)) < 0.011).astype(float)
    model = model_of_graph(read_graph(file), steps, lines)
    fired = SpikingTarget.named("loihi").run(model, lines, "float").spikes["hidden"]

    keep_u, keep_v, u, v, spikes = np.exp(-1 / 5), np.exp(-1 / 20), np.zeros(hidden), np.zeros(hidden), np.zeros(hidden)
    for x, row in zip(lines, fired, strict=True):
        u = keep_u * u + (1 - keep_v) * (x @ into + spikes @ own)
        v = keep_v * v + u
        spikes = (v > 1).astype(float)
        v[spikes > 0] = 0
        np.testing.assert_array_equal(spikes, row)
    assert fired.sum() > steps
