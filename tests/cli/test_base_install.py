"""The base install: what a deployment machine types works without the packages of any extra, and the rest says so."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fork_server
import numpy as np
import pytest
from fork_server import ForkServer
from PIL import Image

from neuroprompt.contracts.deployment import Exporter
from neuroprompt.extras import EXTRAS
from neuroprompt.training.run_folder import Run

BASE = f"""
import sys
sys.path.append({str(Path(fork_server.__file__).parent)!r})
from fork_server import hide
sys.path.pop()
hide(GONE)
from neuroprompt.cli import main
sys.argv[0] = "neuroprompt"
main()
"""
HELP_SECONDS = 0.5


@pytest.fixture(scope="session")
def graph(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's neurons as a NIR file."""
    out = tmp_path_factory.mktemp("nir") / "out"
    Exporter.named("nir").export(Run.load(trained), out)
    return out / "generator.nir"


@pytest.fixture
def places(trained: Path, onnx_bundle: Path, lava_bundle: Path) -> dict[str, Path]:
    """What commands below are typed on."""
    return {"RUN": trained, "BUNDLE": onnx_bundle, "LAVA": lava_bundle}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "cat.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(file)
    return file


Done = subprocess.CompletedProcess[str]
Base = Callable[..., Done]


def without(extra: str) -> list[str]:
    """The packages of every extra but this one."""
    return sorted(module for module, its_extra in EXTRAS.items() if its_extra != extra)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    """`neuroprompt` with some words, in a process that has no package of any extra."""
    place = tmp_path_factory.mktemp("base")

    with ForkServer(f"base-{os.getpid()}", gone=without("")) as server:

        def run(*words: object) -> Done:
            server.start(words, place, place / "said")
            code = server.end().code
            out, err = ((place / f"said.{ending}").read_text() for ending in ("out", "err"))
            return subprocess.CompletedProcess([str(word) for word in words], code, out, err)

        yield run


def test_a_graph_is_compiled_verified_and_priced(base: Base, graph: Path, tmp_path: Path) -> None:
    done = base("export", graph, "--target", "lava", "--out", tmp_path / "lava", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["float_spike_exact"] == 1.0
    done = base("verify", graph, "--targets", "loihi,snntorch,norse,sinabs", "--json")  # all others take 10 s to start
    assert done.returncode == 0, done.stderr
    verified = json.loads(done.stdout)
    assert verified["targets"]["loihi-float"]["spike_exact"] == 1.0
    for name, extra in (("snntorch", "train"), ("norse", "simulators"), ("sinabs", "train")):
        assert f"neuroprompt-toolkit[{extra}]" in verified["skipped"][name]
    assert base("verify", tmp_path / "lava", "--targets", "loihi").returncode == 0
    for what in (graph, tmp_path / "lava"):
        done = base("energy", what, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["generator"]["joules"] > 0


def test_a_bundle_of_a_run_is_run_verified_and_priced(
    base: Base, onnx_bundle: Path, lava_bundle: Path, image: Path
) -> None:
    done = base("run", onnx_bundle, image, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"][0]["label"] in list("0123456789")
    done = base("run", lava_bundle, "--target", "loihi", "--json")
    assert done.returncode == 0, done.stderr
    for words in (
        ("doctor", onnx_bundle),
        ("verify", lava_bundle, "--targets", "loihi"),
        ("energy", lava_bundle),
        ("energy", onnx_bundle, "--images", image),
    ):
        assert base(*words).returncode == 0, words


def test_a_report_of_bundles_needs_figures_alone(onnx_bundle: Path, lava_bundle: Path, tmp_path: Path) -> None:
    """In a process of its own, from its start."""
    words = ["report", onnx_bundle, lava_bundle, "--skip", "verify", "--out", tmp_path / "r.html", "--json"]
    command = [sys.executable, "-c", f"GONE = {without('figures')}\n{BASE}", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {"energy-spike-nvpt", "membranes-spike-nvpt", "prompt-spike-nvpt"} <= set(report["figures"])
    for section in ("accuracy", "latency"):
        assert "neuroprompt-toolkit[train]" in report["missing"][section][0]


def test_what_is_at_hand(base: Base) -> None:
    done = base("targets", "list", "--json")
    assert done.returncode == 0, done.stderr
    targets = json.loads(done.stdout)["targets"]
    assert {name for name in ("reference", "loihi", "onnxruntime", "snntorch") if targets[name]["available"]} == {
        *("reference", "loihi", "onnxruntime"),
    }
    done = base("doctor", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert report["checks"]["extra train"]["ok"] is False
    assert report["checks"]["extra train"]["fix"] == 'pip install "neuroprompt-toolkit[train]"'


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("train", "--out", "x"), "train"),
        (("eval", "RUN"), "train"),
        (("export", "RUN", "--target", "onnx"), "train"),
        (("demo",), "train"),
        (("bench", "BUNDLE"), "train"),
        (("report", "BUNDLE", "--out", "r.html"), "figures"),
        (("verify", "LAVA", "--figure", "f.png"), "figures"),
        (("push", "BUNDLE", "me/x"), "hub"),
        (("pull", "me/x", "--out", "x"), "hub"),
    ],
)
def test_a_verb_that_needs_an_extra_says_what_to_type(
    base: Base, words: tuple[str, ...], extra: str, places: dict[str, Path]
) -> None:
    done = base(*(places.get(word, word) for word in words))
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.endswith(f'is not installed; expected the extra {extra!r}; pip install "neuroprompt-toolkit[{extra}]"')


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    heavy = {"numpy", "scipy", "nir", "onnx", "onnxruntime", "PIL", *EXTRAS}
    script = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('imported', sorted({heavy!r} & set(sys.modules)), file=sys.stderr))\n"
        "sys.argv = ['neuroprompt', '--help']\n"
        "from neuroprompt.cli import main\nmain()"
    )
    took = []
    for _ in range(3):  # the least of three: what else the machine does makes it more, never less
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        assert done.stderr == "imported []\n"
        assert "doctor" in done.stdout
    assert min(took) < HELP_SECONDS
