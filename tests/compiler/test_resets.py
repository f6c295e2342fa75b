"""A reset that subtracts the threshold: who says it, what it does, and what rejects it with the node's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_neuron import chain, if_node

from neuroprompt.compiler.compile import floats_of_graph
from neuroprompt.compiler.conventions import declare
from neuroprompt.compiler.lower import lower
from neuroprompt.compiler.quantise import quantise
from neuroprompt.compiler.read import read_graph
from neuroprompt.compiler.reading import reading_of
from neuroprompt.contracts.deployment import Exporter, SpikingTarget
from neuroprompt.errors import BadGraph, BadSetting, Unsupported
from neuroprompt.simulators.verify import verify
from neuroprompt.spiking.graph import write_graph

INPUTS = np.array([[0.7], [0.7], [0.7], [0.0], [0.7]])


def leaky(threshold: float = 1.0, v_reset: float = 0.0) -> nir.LIF:
    """Half of v leaks in a step, and an input of 1 adds 1."""
    return nir.LIF(
        tau=np.full(1, 2e-4), r=np.full(1, 2.0), v_leak=np.zeros(1), v_threshold=np.full(1, threshold),
        v_reset=np.full(1, v_reset),
    )  # fmt: skip


def spikes_and_v(graph: nir.NIRGraph, inputs: Any = INPUTS) -> tuple[list[int], list[float]]:
    """Of node n0 on the reference, which the float emulator repeats."""
    model = floats_of_graph(graph, np.asarray(inputs))
    runs = [SpikingTarget.named(name).run(model, inputs, "float", states=True) for name in ("reference", "loihi")]
    assert np.array_equal(runs[0].spikes["n0"], runs[1].spikes["n0"])
    return np.flatnonzero(runs[0].spikes["n0"]).tolist(), runs[0].v["n0"].reshape(-1).tolist()


def test_it_takes_the_threshold_off_at_once_or_after_the_next_leak() -> None:
    """By hand, with a leak of a half: 0.75, 1.125; at once it is 0.125 then, late it stays and less than 0 follows."""
    x = np.array([[0.75], [0.75], [0.0], [0.0]])
    assert spikes_and_v(chain(leaky()), x) == ([1], [0.75, 0.0, 0.0, 0.0])
    at_once = chain(leaky(), reset="subtract")
    assert spikes_and_v(at_once, x) == ([1], [0.75, 0.125, 0.0625, 0.03125])
    late = chain(leaky(), reset="subtract, late")
    assert spikes_and_v(late, x) == ([1], [0.75, 1.125, -0.4375, -0.21875])
    declare(at_once, "snntorch")
    assert spikes_and_v(at_once, x) == spikes_and_v(late, x)


@pytest.mark.parametrize("metadata", [{"reset": "subtract"}, {"reset_mechanism": "soft reset"}])
def test_metadata_of_the_graph_or_of_a_node_say_it(metadata: dict[str, Any], tmp_path: Path) -> None:
    graphs = chain(if_node(1.0), **metadata), chain(if_node(1.0), reset="zero")
    graphs[1].nodes["n0"].metadata = metadata  # a node's own word comes first
    for graph in graphs:
        write_graph(graph, tmp_path / "graph.nir")
        for again in (graph, read_graph(tmp_path / "graph.nir")):
            assert reading_of(again).resets == {"n0": "subtract"}
            # 0.7, 1.4: a spike, and 0.4 stays; 1.1: another
            assert spikes_and_v(again)[0] == [1, 2]


def test_what_the_user_declares_comes_before_what_the_file_says(tmp_path: Path) -> None:
    write_graph(chain(if_node(1.0)), tmp_path / "silent.nir")
    assert spikes_and_v(read_graph(tmp_path / "silent.nir"))[0] == [1, 4]
    declared = read_graph(tmp_path / "silent.nir", reset="subtract")
    assert spikes_and_v(declared)[0] == [1, 2]
    write_graph(declared, tmp_path / "declared.nir")  # and travels with the graph
    assert spikes_and_v(read_graph(tmp_path / "declared.nir"))[0] == [1, 2]
    assert spikes_and_v(read_graph(tmp_path / "declared.nir", reset="zero"))[0] == [1, 4]
    with pytest.raises(BadSetting, match="one of: zero, subtract"):
        read_graph(tmp_path / "silent.nir", reset="soft")
    declared.metadata["declared_reset"] = "often"
    with pytest.raises(BadGraph, match="'often'"):
        reading_of(declared)


def test_beside_another_v_reset_it_is_one_line_with_the_node() -> None:
    with pytest.raises(Unsupported, match=r"node 'n0' subtracts its threshold, and has v_reset 0\.25"):
        lower(chain(leaky(v_reset=0.25), reset="subtract"), 5)


def test_the_chips_integers_are_rejected_with_the_node_and_the_change(tmp_path: Path) -> None:
    graph = chain(if_node(1.0), reset="subtract")
    message = r"node 'n0' subtracts its threshold at a spike; expected a reset to 0, .*; train with a reset to 0"
    with pytest.raises(Unsupported, match=message):
        quantise(lower(graph, 5))
    program = lower(graph, 5)
    for name in ("lava", "lava-dl", "nengo-loihi", "brian2loihi", "sanafe"):
        with pytest.raises(Unsupported, match=message):
            SpikingTarget.named(name).refuse(program)
    with pytest.raises(Unsupported, match=message):
        SpikingTarget.named("loihi").run(floats_of_graph(graph, INPUTS), INPUTS, "fixed")
    for target in ("lava", "netx", "nir", "c"):
        with pytest.raises(Unsupported, match=message):
            Exporter.named(target).export_graph(graph, tmp_path / target, INPUTS)
        assert not (tmp_path / target).exists()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_without_a_leak_no_charge_is_lost(seed: int) -> None:
    """All that came in is in v, or left as thresholds: sum of x = v + threshold times spikes, in eighths, exactly."""
    rng = np.random.default_rng(seed)
    threshold = int(rng.integers(1, 20)) / 8
    x = rng.integers(-4, 12, (40, 1)) / 8
    node = nir.IF(r=np.ones(1), v_threshold=np.full(1, threshold), v_reset=np.zeros(1))
    spikes, v = spikes_and_v(chain(node, reset="subtract"), x)
    assert v[-1] + threshold * len(spikes) == x.sum()


def test_a_run_says_where_two_thresholds_are_reached() -> None:
    """Once, at 2.5: it fires once, and 1.5 stays; with a reset to 0, or late, there is nothing to say."""
    x = np.array([[2.5], [0.0], [0.0]])
    model = floats_of_graph(chain(if_node(1.0), reset="subtract"), x)
    assert verify(model, x, ["loihi"]).reference.several == {"n0": 1}
    assert verify(model, x[None], ["loihi"]).json()["reference"]["several"] == {"n0": 1}
    for word in ("zero", "subtract, late"):
        result = verify(floats_of_graph(chain(if_node(1.0), reset=word), x), x, ["loihi"])
        assert result.reference.several == {}
        assert "several" not in result.json()["reference"]


@pytest.mark.parametrize("library", ["rockpool", "spyx"])
def test_a_library_that_only_subtracts_is_pointed_out(library: str) -> None:
    graph = chain(leaky())
    declare(graph, library)
    assert reading_of(graph).hints == (f"{library}'s neurons subtract the threshold at a spike: --reset subtract",)
    declare(graph, reset="zero")
    assert reading_of(graph).hints == ()
