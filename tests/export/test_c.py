"""The bundle in C: what it holds, that its self-test passes as the README says, and what it costs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.read import read_graph
from neuroprompt.contracts.deployment import Exported, Exporter, SpikingTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.csource.compiler import compiler
from neuroprompt.csource.readme import CHECK
from neuroprompt.errors import ParityError, Unsupported
from neuroprompt.training.assemble import build
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_folder import Run

FILES = {"net.c", "net.h", "selftest.c", "README.md", "generator.nir", "inputs.npy", "manifest.json"}
KINDS = ("c", "c-float32")


def graph() -> nir.NIRGraph:
    rng, ones = np.random.default_rng(0), np.ones(4)
    lif = nir.LIF(tau=ones * 3e-4, r=ones, v_leak=ones * 0, v_threshold=ones * 0.3)
    return nir.NIRGraph.from_list(nir.Affine(rng.normal(0.3, 0.4, (4, 6)), np.full(4, 0.1)), lif)


def exported(kind: str, out: Path, inputs: Any = None) -> Exported:
    spikes = (np.random.default_rng(1).random((30, 6)) < 0.4).astype(float)
    return Exporter.named(kind).export_graph(graph(), out, spikes if inputs is None else inputs, name="small")


@pytest.fixture
def cc() -> str:
    program = compiler()
    if program is None:
        pytest.skip("no C compiler (cc, gcc or clang)")
    return program


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_becomes_a_bundle_whose_self_test_passes(kind: str, cc: str, tmp_path: Path) -> None:
    """As the README has it, on a machine that has the files alone."""
    written = exported(kind, tmp_path / "out")
    bundle = Bundle.open(tmp_path / "out", kind)
    assert {p.name for p in bundle.folder.iterdir()} == FILES
    assert (bundle.about["graph"], bundle.about["neurons"], bundle.about["steps"]) == ("small", 4, 30)
    for name in ("net.c", "net.h", "selftest.c"):
        shutil.copy(bundle.folder / name, tmp_path)
    assert CHECK in (bundle.folder / "README.md").read_text()
    done = subprocess.run(CHECK, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.strip() == bundle.about["compiled"]["said"] == written.figures["selftest"]
    assert f"{bundle.about['spikes']} spikes" in done.stdout
    assert bundle.about["spikes"] > 10
    (tmp_path / "net.c").write_text((tmp_path / "net.c").read_text().replace("fired = v >", "fired = v <"))
    failed = subprocess.run(CHECK, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
    assert failed.returncode == 1
    assert "is not the emulator's" in failed.stdout


def test_the_example_of_the_readme_counts_the_spikes(cc: str, tmp_path: Path) -> None:
    about = exported("c", tmp_path / "out").about
    text = (tmp_path / "out" / "README.md").read_text()
    example = text.split("```c\n")[1].split("```")[0]
    head, body = example.split("net_reset();")
    inputs = np.load(tmp_path / "out" / "inputs.npy").astype(int)
    rows = ",".join("{" + ",".join(map(str, row)) + "}" for row in inputs)
    main = f"""#include <stdio.h>
#include <string.h>
static const uint8_t rows[30][6] = {{{rows}}};
static int counts[4];
static void read_sensor(uint8_t *input, int t) {{ memcpy(input, rows[t], 6); }}
int main(void) {{ net_reset(); {body} printf("%d", counts[0] + counts[1] + counts[2] + counts[3]); return 0; }}"""
    (tmp_path / "main.c").write_text(head + main)
    command = [cc, "-std=c99", "-I", "out", "main.c", "out/net.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=100)
    ran = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=True, timeout=100)
    assert int(ran.stdout) == about["spikes"]


def test_the_example_of_the_readme_reads_values(cc: str, tmp_path: Path) -> None:
    """Numbers on the lines, and a readout that never fires: the scale and the unit of the header."""
    ones = np.ones(3)
    readout = nir.LI(tau=ones * 5e-4, r=ones, v_leak=ones * 0)
    spiking = graph().nodes
    net = nir.NIRGraph.from_list(*list(spiking.values())[1:-1], nir.Linear(np.eye(3, 4) * 0.7), readout)
    inputs = np.random.default_rng(2).normal(0.4, 0.4, (30, 6))
    Exporter.named("c").export_graph(net, tmp_path / "out", inputs)
    model = model_of_graph(net, 30, inputs)
    ((_, values),) = SpikingTarget.named("loihi").run(model, inputs, "fixed").values.items()
    text = (tmp_path / "out" / "README.md").read_text()
    head, body = text.split("```c\n")[1].split("```")[0].split("net_reset();")
    rows = ",".join("{" + ",".join(map(float.__repr__, row)) + "}" for row in inputs.tolist())
    main = f"""#include <math.h>
#include <stdio.h>
static const double rows[30][6] = {{{rows}}};
static double values[3];
static void read_sensor(int32_t *input, int t) {{
    for (int j = 0; j < 6; j++) input[j] = (int32_t)lrint(rows[t][j] * NET_INPUT_SCALE);
}}
int main(void) {{ net_reset(); {body} printf("%.17g %.17g %.17g", values[0], values[1], values[2]); return 0; }}"""
    (tmp_path / "main.c").write_text(head + main)
    command = [cc, "-std=c99", "-I", "out", "main.c", "out/net.c", "-o", "main", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=100)
    ran = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=True, timeout=100)
    assert [float(word) for word in ran.stdout.split()] == values[-1].tolist()
    assert values[-1].any()


def test_without_a_compiler_the_bundle_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    written = exported("c", tmp_path / "out")
    assert written.figures["selftest"] == "not run: no C compiler (cc, gcc or clang)"
    assert written.about["compiled"] is None
    assert "There was no C compiler here" in (tmp_path / "out" / "README.md").read_text()


def test_a_float_that_32_bits_put_elsewhere_leaves_no_bundle(cc: str, tmp_path: Path) -> None:
    """1 + 2^-30 is above the threshold of 1 in 64 bits, and equal to it in 32; the integers have no such sum."""
    one = np.ones(1)
    tie = nir.NIRGraph.from_list(
        nir.Linear(np.array([[1 + 2.0**-30]])), nir.IF(r=one, v_threshold=one, v_reset=one * 0)
    )
    with pytest.raises(ParityError, match=r"run 0, step 0: .*neuron 0 is not the emulator's"):
        Exporter.named("c-float32").export_graph(tie, tmp_path / "out", np.ones((5, 1)))
    assert not list(tmp_path.iterdir())


def test_a_run_becomes_one_too(cc: str, tmp_path: Path) -> None:
    config = RunConfig(method="spike-nvpt", backbone=BackboneSpec("test_vit", random=True), classes=("a", "b"))
    run = Run(Path("run"), config, build(config).eval(), TrainingMetrics())
    about = Exporter.named("c").export(run, tmp_path / "out").about
    assert about["method"] == "spike-nvpt"
    assert about["cost"]["updates"] == 6 * 10 * 64
    assert about["compiled"]["said"].endswith("all as in the emulator")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "A spiking net of 3,840 neurons and no inputs" in text
    head, body = text.split("```c\n")[1].split("```")[0].split("net_reset();")
    main = f"""#include <stdio.h>
static int counts[3840];
int main(void) {{
    int sum = 0;
    net_reset(); {body}
    for (int i = 0; i < 3840; i++) sum += counts[i];
    printf("%d", sum);
    return 0;
}}"""
    (tmp_path / "main.c").write_text(head + main)
    command = [cc, "-std=c99", "-Wall", "-Wextra", "-Werror", "-I", "out", "main.c", "out/net.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=100)
    ran = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=True, timeout=100)
    assert int(ran.stdout) == about["spikes"]


@pytest.mark.parametrize("method", ["vpt-deep", "lorsp"])
def test_a_run_without_neurons_of_its_own_is_rejected(method: str, tmp_path: Path) -> None:
    config = RunConfig(method=method, backbone=BackboneSpec("test_vit", random=True), classes=("a", "b"))
    run = Run(Path("run"), config, build(config).eval(), TrainingMetrics())
    with pytest.raises(Unsupported, match=f"'{method}' has no neurons that run apart from the image"):
        Exporter.named("c").export(run, tmp_path / "out")
    with pytest.raises(Unsupported, match="use --target c"):
        Exporter.named("c-float32").export(run, tmp_path / "out")


def test_the_braille_net_takes_less_than_64_kilobytes(cc: str, shared: Path, tmp_path: Path) -> None:
    """The recurrent net of the NIR paper, code, weights and state together, and equal to the emulator."""
    braille = read_graph(shared / "nir-paper" / "braille_noDelay_bias_zero.nir")
    inputs = (np.random.default_rng(0).random((256, 12)) < 0.2).astype(float)
    about = Exporter.named("c").export_graph(braille, tmp_path / "out", inputs, name="braille").about
    sections = about["compiled"]
    assert sections["text"] + sections["data"] + sections["bss"] < 64 * 1024
    assert about["cost"]["constant_bytes"] + about["cost"]["state_bytes"] < 16 * 1024
    assert about["spikes"] > 100
