"""Numbers on the input lines, as in every tutorial: pixels into a layer for 25 steps, and the chip fires as float does.

The nets that people brought had 4 to 784 lines and convolutions; with 256 lines the chip never fired, and the export
ended well. These are nets of the same kinds, with numbers of their own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from analogue_nets import STEPS, analogue_conv, analogue_layer, jaccard

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.stimuli import input_hints, inputs_of
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.contracts.wide import Wide
from neuroprompt.errors import BadData, Unsupported
from neuroprompt.simulators.verify import verify

KINDS: dict[str, Callable[[int], tuple[nir.NIRGraph, Any]]] = {
    **{f"dense {lines}": partial(analogue_layer, lines) for lines in (4, 16, 64, 128, 256, 784)},
    "dense 200, fast": partial(analogue_layer, 200, tau=2.0, spread=1.2),
    "dense 200, IF": partial(analogue_layer, 200, kind="IF", spread=0.5),
    "conv": analogue_conv,
    "conv 28": partial(analogue_conv, side=28, channels=8),
}


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize("kind", KINDS)
def test_the_chip_fires_as_float_does(kind: str, seed: int) -> None:
    graph, inputs = KINDS[kind](seed)
    model = model_of_graph(graph, STEPS, inputs)
    right = SpikingTarget.named("reference").run(model, inputs, "float").spikes["n"]
    chip = SpikingTarget.named("loihi").run(model, inputs, "fixed").spikes["n"]
    assert right.sum() > 20
    assert jaccard(right, chip) >= 0.97


@pytest.mark.parametrize("kind", ["dense 64", "dense 256", "dense 784", "conv"])
def test_other_images_fire_as_in_float_too(kind: str) -> None:
    """What was fitted on one image is right on others: on eight, since of one a few spikes may be near a threshold."""
    graph, inputs = KINDS[kind](21)
    model = model_of_graph(graph, STEPS, inputs)
    rng = np.random.default_rng(0)
    both = either = 0
    for _ in range(8):
        other = np.tile(rng.random(inputs.shape[1]), (STEPS, 1))
        right = SpikingTarget.named("reference").run(model, other, "float").spikes["n"]
        chip = SpikingTarget.named("loihi").run(model, other, "fixed").spikes["n"]
        both, either = both + int((right & chip).sum()), either + int((right | chip).sum())
    assert both / either >= 0.97


def test_pixels_of_eight_bits_are_sent_as_they_are() -> None:
    graph, _ = analogue_layer(64, 5)
    pixels = np.tile((np.random.default_rng(5).integers(0, 256, 64) / 255).astype(np.float32), (STEPS, 1)).astype(float)
    fixed = model_of_graph(graph, STEPS, pixels).fixed_program
    sent = fixed.encode(pixels)
    assert fixed.input_scale % 255 == 0
    assert np.abs(sent / fixed.input_scale - pixels).max() < 1e-7  # the rounding of float32 alone


def exported(tmp_path: Path, *options: str, lines: int = 256) -> str:
    """What `neuroprompt export` prints for a layer and its pixels; the bundle is in `tmp_path`/out."""
    graph, inputs = analogue_layer(lines, 3)
    nir.write(tmp_path / "net.nir", graph)
    np.save(tmp_path / "pixels.npy", inputs)
    words = ["-m", "neuroprompt", "export", "net.nir", "--target", "lava", "--input", "pixels.npy", "--out", "out"]
    done = subprocess.run(
        [sys.executable, *words, *options], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    return " ".join(done.stdout.split())


def test_export_and_readme_name_the_bits(tmp_path: Path) -> None:
    printed = exported(tmp_path)
    bits = re.search(r"input -> n: inputs of (\d+) bits, weights of (\d+) in 2 lists of synapses", printed)
    assert bits is not None
    readme = (tmp_path / "out/README.md").read_text()
    assert f"{bits[1]} bits" in readme
    assert f"weights of {bits[2]} bits in 2 lists" in readme
    assert "rounding them changes what arrives by" in readme
    report = json.loads((tmp_path / "out/scale_report.json").read_text())["projections"]["input -> n"]
    assert 0 < report["input_rounding"] < report["rounding"] < 0.01
    assert report["inputs_zeroed"] == 0


def test_verify_names_the_cause(tmp_path: Path) -> None:
    """Fitted on one image and verified on another: what differs, differs because numbers and weights are rounded."""
    graph, inputs = analogue_layer(256, 3)
    model = model_of_graph(graph, STEPS, inputs)
    rng = np.random.default_rng(1)
    causes = set()
    for _ in range(12):
        found = verify(model, np.tile(rng.random(256), (STEPS, 1)), ["loihi"]).targets["loihi-fixed"]
        causes.add(found.cause)
    (cause,) = causes - {None}
    assert cause is not None
    assert re.search(r"integers: what input -> n delivers changes by [\d.]+% when rounding", cause)
    assert "inputs to" in cause
    assert "weights to" in cause


def test_numbers_go_as_spikes_where_that_is_asked_for(tmp_path: Path) -> None:
    assert "inputs of" not in exported(tmp_path, "--encode", "rate", lines=64)
    spikes = np.load(tmp_path / "out/inputs.npy")
    assert set(np.unique(spikes)) == {0.0, 1.0}
    assert "encoded from numbers by rate" in (tmp_path / "out/README.md").read_text()


def test_a_net_that_the_integers_cannot_say_is_rejected_by_node() -> None:
    """Products of thousands cancel to sums of about 1, which 25 bits cannot tell apart."""
    graph, inputs = analogue_layer(64, 1)
    weight, x = np.random.default_rng(1).normal(0, 3_000, (40, 64)), inputs[0]
    weight += np.outer(np.linspace(-2, 2, 40) - weight @ x, x) / (x @ x)
    graph = nir.NIRGraph(graph.nodes | {"w": nir.Linear(weight)}, graph.edges)
    with pytest.raises(Unsupported, match=r"node 'n'.*Jaccard index of 0\.[0-9]+.*at least 0\.97.*loihi_aware"):
        model_of_graph(graph, STEPS, inputs)


def test_a_net_that_never_fires_on_the_chip_is_an_error() -> None:
    """One weight is 10,000 times the others, which alone would fire: in 8 bits they are all 0."""
    ones = np.ones(2)
    weight = np.array([[1e-4, 1e-4], [1.0, 0.0]])
    neurons = nir.IF(r=ones, v_threshold=ones * 1.5e-4, v_reset=ones * 0)
    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "w": nir.Linear(weight),
        "n": neurons,
        "w2": nir.Linear(np.array([[1.0, 0.0]])),
        "m": nir.IF(r=ones[:1], v_threshold=ones[:1] * 0.5, v_reset=ones[:1] * 0),
        "output": nir.Output({"output": np.array([1])}),
    }
    graph = nir.NIRGraph(nodes, list(pairwise(nodes)))
    with pytest.raises(Unsupported, match="fires"):
        model_of_graph(graph, 20, np.tile([0.0, 1.0], (20, 1)))


def test_neurons_at_the_end_that_never_fire_on_the_chip_are_an_error() -> None:
    """The first layer fires there as in float; a weight 10,000 times the others silences the second, and the third."""
    graph = silenced_chain()
    inputs = np.tile([0.0, 1.0], (20, 1))
    with pytest.raises(Unsupported, match=r"'m' fires 10 times in float, and never on the chip.*--weight-bits auto"):
        model_of_graph(graph, 20, inputs)
    model = model_of_graph(graph, 20, inputs, wide=Wide.of("auto", 0.9999))
    spikes = SpikingTarget.named("loihi").run(model, inputs, "fixed").spikes
    assert {name: int(fired.sum()) for name, fired in spikes.items()} == {"n": 20, "m": 10, "k": 10}


def silenced_chain() -> nir.NIRGraph:
    def integrators(size: int, threshold: float) -> nir.IF:
        return nir.IF(r=np.ones(size), v_threshold=np.full(size, threshold), v_reset=np.zeros(size))

    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "w": nir.Linear(np.eye(2)),
        "n": integrators(2, 0.5),
        "w2": nir.Linear(np.array([[1e-4, 1e-4], [1.0, 0.0]])),
        "m": integrators(2, 1.5e-4),
        "w3": nir.Linear(np.array([[1.0, 0.0]])),
        "k": integrators(1, 0.5),
        "output": nir.Output({"output": np.array([1])}),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)))


# --- the numbers themselves -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((3, 2), np.nan), "nan in step 0, line 0"),
        (np.array([[0.0, 1.0], [0.0, -np.inf]]), "-inf in step 1, line 1"),
        (np.full((3, 2), 1e300), "1e.300 in step 0"),
        (np.ones((3, 2), complex), "complex128"),
        (np.ones((3, 2)).astype("U3"), "<U3"),
        (np.ones((3, 2)).astype("timedelta64[s]"), "timedelta64"),
        (np.ones((3, 2), [("a", "f4")]), "'a'"),
        (np.ones(2), r"shape \(2,\)"),
    ],
)
def test_inputs_that_are_no_numbers_are_named(values: Any, words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", values, allow_pickle=False)
    with pytest.raises(BadData, match=words):
        inputs_of(str(tmp_path / "x.npy"), 2, None)


@pytest.mark.parametrize("kind", ["float16", ">f4", "int8", "uint8", "bool", "longdouble"])
def test_numbers_of_every_type_arrive_as_they_are(kind: str, tmp_path: Path) -> None:
    values = np.array([[0, 1], [1, 1]]).astype(kind)
    np.save(tmp_path / "x.npy", values)
    assert np.array_equal(inputs_of(str(tmp_path / "x.npy"), 2, None), [[0.0, 1.0], [1.0, 1.0]])


def test_pixels_that_nobody_divided_are_pointed_out() -> None:
    (hint,) = input_hints(np.array([[0.0, 254.0]]))
    assert "whole numbers up to 254" in hint
    for values in ([0.0, 1.0], [0.0, 254.5], [-1.0, 254.0], [0.0, 1000.0], [0.0, 3.0]):
        assert input_hints(np.array([values])) == []


def test_numbers_of_any_sign_and_range_fire_as_in_float() -> None:
    graph, inputs = analogue_layer(64, 3)
    for numbers in (inputs - 0.5, -inputs, inputs * 7.3, np.rint(inputs * 255), np.full_like(inputs, 0.5)):
        model = model_of_graph(graph, STEPS, numbers)
        right = SpikingTarget.named("reference").run(model, numbers, "float").spikes["n"]
        assert right.any()
        assert jaccard(right, SpikingTarget.named("loihi").run(model, numbers, "fixed").spikes["n"]) >= 0.97


def test_inputs_on_which_nothing_fires_are_pointed_out(tmp_path: Path) -> None:
    graph, inputs = analogue_layer(4, 3)
    nir.write(tmp_path / "net.nir", graph)
    np.save(tmp_path / "zero.npy", inputs * 0)
    words = ["-m", "neuroprompt", "export", "net.nir", "--target", "lava", "--input", "zero.npy", "--out", "out"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert "check: no neuron fires on these inputs, in float either" in " ".join(done.stderr.split())
