"""Real snnTorch neurons on NIR graphs, with parameters that our own programs cannot hold as well."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import snntorch
from program_bounds import absolute, apart

from neuroprompt.compiler.lower import lower
from neuroprompt.contracts.deployment import Recording, SpikingTarget
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.program import SpikingModel


def run(name: str, graph: nir.NIRGraph, inputs: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Recording:
    target = SpikingTarget.named(name)
    program = lower(graph, len(inputs))
    return target.run(SpikingModel(graph, program, program), inputs, "float", states=True)


def test_every_neuron_may_have_its_own_parameters() -> None:
    rng = np.random.default_rng(0)
    graph = nir.NIRGraph.from_list(
        nir.Affine(rng.normal(0, 1, (30, 10)), rng.normal(0, 0.1, 30)),
        nir.LIF(
            tau=rng.uniform(1e-4, 1e-3, 30),
            r=rng.uniform(1, 3, 30),
            v_leak=rng.normal(0, 0.1, 30),
            v_threshold=rng.uniform(0, 1, 30),
        ),
        nir.Linear(rng.normal(0, 1, (20, 30))),
        nir.IF(r=rng.uniform(1, 2, 20), v_threshold=rng.uniform(0, 2, 20)),
    )
    inputs = (rng.random((50, 10)) < 0.5).astype(np.float64)
    ours, theirs = run("reference", graph, inputs), run("snntorch", graph, inputs)
    bounds = apart(lower(absolute(graph), len(inputs)), inputs, ours.spikes)
    for name in ("lif", "if"):
        assert ours.spikes[name].sum() > 100
        assert np.array_equal(ours.spikes[name], theirs.spikes[name])
        assert (np.abs(ours.v[name] - theirs.v[name]) <= bounds[name]).all()


def test_the_neurons_are_snntorchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    forward = snntorch.Leaky.forward

    def counted(self: snntorch.Leaky, *given: object) -> object:
        calls.append(1)
        return forward(self, *given)

    monkeypatch.setattr(snntorch.Leaky, "forward", counted)
    run("snntorch", nir.NIRGraph.from_list(nir.IF(r=np.ones(2), v_threshold=np.ones(2))), np.ones((7, 2)))
    assert len(calls) == 7


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"v_reset": np.full(2, -1.0)}, "'if' resets"),
        ({"v_threshold": np.full(2, -1.0)}, "'if' resets"),
    ],
)
def test_what_snntorch_cannot_do_is_refused(other: dict[str, object], what: str) -> None:
    node = nir.IF(**({"r": np.ones(2), "v_threshold": np.ones(2)} | other))
    with pytest.raises(Unsupported, match=what):
        run("snntorch", nir.NIRGraph.from_list(node), np.ones((2, 2)))
