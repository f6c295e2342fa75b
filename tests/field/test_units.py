"""Numbers whose unit another library chose: recognised, declared, or pointed out; right values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from one_neuron import DT, chain, cuba_node, fired, if_node, lif_node

from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.contents import load_model
from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.compiler.conventions import CONVENTIONS, declare
from neuroprompt.compiler.reading import activity_hints, reading_of
from neuroprompt.contracts.deployment import Exporter
from neuroprompt.errors import UnknownName, Unsupported
from neuroprompt.simulators.verify import verify


def test_an_if_with_r_of_one_over_dt_adds_its_input_once() -> None:
    """SpikingJelly writes r = 1/dt; NIR's dv/dt = R I, one Euler step of dt, adds r dt x = x: 0.4 fires at 1.2."""
    graph = chain(if_node(1 / DT))
    assert fired(graph, [0.4] * 12) == [2, 5, 8, 11]
    reading = reading_of(graph)
    assert reading.convention.name == "spikingjelly"
    assert "r = 1/dt = 10000" in reading.assumed
    assert fired(chain(if_node(1.0)), [0.4] * 12) == [2, 5, 8, 11]
    assert reading_of(chain(if_node(1.0))).convention.name == "neuroprompt"


def test_an_if_for_another_time_step_needs_it() -> None:
    """r = 1000 is 1/dt of 1 ms, and the file does not say so: 400 a step until --dt does."""
    graph = chain(if_node(1000.0))
    assert fired(graph, [0.4] * 4) == [0, 1, 2, 3]
    (hint,) = reading_of(graph).hints
    assert "'n0' has r = 1000" in hint
    assert "--from nir" in hint
    assert fired(chain(if_node(1000.0), dt=1e-3), [0.4] * 12) == [2, 5, 8, 11]
    declare(graph, "spikingjelly", 1e-3)
    assert fired(graph, [0.4] * 12) == [2, 5, 8, 11]


def test_a_declared_convention_wins_over_what_the_numbers_say() -> None:
    graph = chain(if_node(1 / DT))
    declare(graph, "neuroprompt")
    assert fired(graph, [0.4] * 4) == [0, 1, 2, 3]
    declare(graph, "nir", 2 * DT)  # r dt x = 0.8
    assert fired(graph, [0.4] * 4) == [1, 3]
    with pytest.raises(UnknownName, match="no convention is called 'brian'; expected one of: neuroprompt, nir, "):
        declare(graph, "brian")


# --- leaky neurons ----------------------------------------------------------------------------------------------------

BETA, ALPHA = 0.75, 0.5
"""What is left of v, and of i, after a step."""


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("dt", [1.0, DT])
def test_spyx_is_recognised_by_its_r(dt: float, kind: type) -> None:
    """v = 0.75 v + x of 0.5: 0.5, 0.875, 1.15625 fires; NIR's own r dt/tau would add 0.09 a step, and never fire."""
    graph = chain(lif_node(dt / (1 - BETA), BETA, kind=kind))
    if dt != 1:
        declare(graph, dt=dt)
    reading = reading_of(graph)
    assert (reading.convention.name, reading.dt) == ("spyx", dt)
    assert fired(graph, [0.5] * 6) == [2, 5]


def test_spyx_currents_take_their_input_whole() -> None:
    """i = 0.5 i + x, v = 0.75 v + i, x = 0.5 once: i 0.5, 0.25, 0.125; v 0.5, 0.625, 0.59375: below 0.6 in step 0."""
    graph = chain(cuba_node(1 / (1 - ALPHA), 1 / (1 - BETA), r=BETA, w_in=1.0))
    graph.nodes["n0"].v_threshold = np.full(1, 0.6)
    assert reading_of(graph).convention.name == "spyx"
    assert fired(graph, [0.5, 0, 0, 0]) == [1]


def test_rockpool_is_recognised_by_its_r() -> None:
    """i = beta (i + x), v = alpha v + i, alpha = exp(-1/4), beta = exp(-1/2), which NIR's own steps are not."""
    q = 0.25
    graph = chain(cuba_node(2e-3, 4e-3, r=np.exp(-q) / q, w_in=1.0))
    reading = reading_of(graph)
    assert (reading.convention.name, reading.dt) == ("rockpool", 1e-3)
    i = v = 0.0
    expected = []
    for step, x in enumerate([1.0, 0.0, 0.0, 0.6, 0.0, 0.0]):
        i = np.exp(-0.5) * (i + x)
        v = np.exp(-q) * v + i
        if v > 1:
            expected.append(step)
            v = 0.0
    assert expected == [3]
    assert fired(graph, [1.0, 0.0, 0.0, 0.6, 0.0, 0.0]) == expected


def test_norse_needs_to_be_declared_and_the_message_says_so() -> None:
    """Norse 1.1.0 writes tau = dt / tau_inv, 4e-6 for 4 ms: v + (x - v)/4 with x = 1.2 gives 0.3, 0.525, 0.69375."""
    graph = chain(lif_node(1e-3 * 4e-3, 1.0, threshold=0.6))
    with pytest.raises(Unsupported, match=r"tau = 4e-06 s; expected at least one time step.*--from norse"):
        fired(graph, [1.2] * 6)
    declare(graph, "norse")
    assert fired(graph, [1.2] * 6) == [2, 5]


def test_time_constants_in_steps_are_pointed_out() -> None:
    """sinabs writes 4 steps as tau = 4: v = a v + (1 - a) x, a = exp(-1/4), x = 1.2 gives 0.27, 0.47, 0.63."""
    graph = chain(lif_node(4.0, 1.0, threshold=0.6))
    assert fired(graph, [1.2] * 6) == []
    assert "--from sinabs" in reading_of(graph).hints[0]
    declare(graph, "sinabs")
    assert reading_of(graph).dt == 1.0
    assert fired(graph, [1.2] * 6) == [2, 5]
    declare(graph, "sinabs-unnormed")  # v = a v + x
    assert fired(graph, [0.4] * 6) == [1, 3, 5]


def test_an_input_of_1_that_adds_a_twentieth_is_pointed_out() -> None:
    """Norse and Rockpool write w_in = 1 for a current that takes its input whole."""
    (hint,) = reading_of(chain(cuba_node(20 * DT, 10 * DT, r=10.0, w_in=1.0))).hints
    assert "adds dt/tau_syn = 0.05" in hint
    assert "--from norse" in hint


def test_two_ratios_that_agree_say_the_time_step() -> None:
    """r = tau_mem/dt and w_in = tau_syn/dt, both 10 and 4 for steps of 2 ms: so SpikingJelly and snnTorch write it."""
    reading = reading_of(chain(cuba_node(8e-3, 2e-2, r=10.0, w_in=4.0)))
    assert (reading.convention.name, reading.dt) == ("neuroprompt", 2e-3)
    assert "for steps of 0.002 s" in reading.assumed
    assert reading_of(chain(cuba_node(8e-3, 2e-2, r=10.0, w_in=4.0), dt=DT)).dt == DT


def test_numbers_of_nobody_in_particular_are_nirs_own() -> None:
    for node in (lif_node(1e-3, 1.0), lif_node(1e-3, 10.0), lif_node(1e-3, 0.9001), if_node(2.5)):
        reading = reading_of(chain(node))
        assert (reading.convention.name, reading.dt, reading.assumed, reading.hints) == ("neuroprompt", DT, "", ())


@pytest.mark.parametrize("name", CONVENTIONS)
def test_compiler_and_reference_read_every_convention_alike(name: str) -> None:
    """Each has arithmetic of its own; leaks, gains and v_leak of all kinds of neurons, and a recurrence."""
    rng = np.random.default_rng(3)
    convention, size = CONVENTIONS[name], 5
    dt = convention.dt
    unit = dt * dt if convention.tau == "tau / dt" else dt

    def drawn(low: float, high: float) -> Any:
        return rng.uniform(low, high, size)

    def affine() -> Any:
        return nir.Affine(rng.normal(0.4, 0.6, (size, size)), rng.normal(0, 0.1, size))

    kinds = (
        nir.IF(r=drawn(0.5, 1.5) / dt**0.5, v_threshold=drawn(0.3, 0.9), v_reset=np.zeros(size)),
        nir.LIF(tau=drawn(2, 6) * unit, r=drawn(1, 3), v_leak=drawn(-0.1, 0.2), v_threshold=drawn(0.2, 0.5)),
        nir.CubaLIF(
            **{"tau_syn": drawn(2, 5) * unit, "tau_mem": drawn(2, 5) * unit, "r": drawn(1, 3), "w_in": drawn(1, 3)},
            **{"v_leak": np.zeros(size), "v_threshold": drawn(0.3, 0.8)},
        ),
    )
    graph = chain(*(node for kind in kinds for node in (affine(), kind)), size=size)
    graph.nodes["w_rec"] = nir.Linear(rng.normal(-0.3, 0.3, (size, size)))
    graph.edges += [("n3", "w_rec"), ("w_rec", "n3")]
    graph.nodes["li"] = nir.LI(tau=drawn(2, 5) * unit, r=drawn(1, 3), v_leak=drawn(-0.1, 0.2))
    graph.nodes["cuba_li"] = nir.CubaLI(
        **{"tau_syn": drawn(2, 5) * unit, "tau_mem": drawn(2, 5) * unit, "r": drawn(1, 3), "w_in": drawn(1, 3)},
        v_leak=np.zeros(size),
    )
    graph.edges += [("n5", "li"), ("n5", "cuba_li")]
    declare(graph, name)
    inputs = (rng.random((60, size)) < 0.4).astype(np.float64)
    result = verify(model_of_graph(graph, 60, inputs), inputs, ["loihi"])
    assert result.reference.spikes > 30
    assert result.targets["loihi-float"].spike_exact == 1.0
    for values in result.targets["loihi-float"].values.values():
        assert values.max_rel_diff < 60 * 8 * 2**-52  # some eight roundings a step, of numbers no larger than the value


def test_a_bundle_keeps_the_convention(tmp_path: Path) -> None:
    """verify of the bundle, which has the graph again, must not read it another way."""
    graph, inputs = chain(lif_node(4.0, 1.0, threshold=0.6)), np.ones((12, 1))
    declare(graph, "sinabs")
    out = Exporter.named("lava").export_graph(graph, tmp_path / "out", inputs, name="net")
    assert out.about["reading"]["convention"] == "sinabs"
    assert out.about["dt_s"] == 1.0
    result = verify(load_model(Bundle.open(tmp_path / "out")), inputs, ["loihi"])
    assert result.reference.spikes > 0
    assert result.targets["loihi-float"].spike_exact == 1.0


def test_a_net_that_always_or_never_fires_may_be_in_another_unit() -> None:
    reading = reading_of(chain(if_node(50.0)))
    hints = activity_hints(
        reading, {"a": np.ones((9, 2), bool), "b": np.zeros((9, 2), bool), "c": np.eye(9, dtype=bool)}
    )
    assert sorted(hint.split(";")[0] for hint in hints) == [
        "check: node 'a' fires in 100% of all steps",
        "check: node 'b' never fires",
    ]
    graph = chain(if_node(50.0))
    declare(graph, "neuroprompt")
    assert activity_hints(reading_of(graph), {"a": np.ones((9, 2), bool)}) == []


# --- what NIR's neurons do not do -------------------------------------------------------------------------------------
