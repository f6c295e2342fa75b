"""What is deployed: the tokens that the integers make, and graphs held to the modules they came from."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import snntorch
import torch
from torch import nn

from neuroprompt.compiler.compile import model_of_graph
from neuroprompt.contracts.learning import Generator, Prompt, PromptSite
from neuroprompt.errors import BadSetting, OutOfRange, ParityError
from neuroprompt.spiking.chain import to_nir
from neuroprompt.spiking.neurons import IF, LIF, Current
from neuroprompt.training.deploy import check_graph, deployed_tokens, spiking_model

SITE = PromptSite(depth=3, width=16, image=(3, 32, 32), patch=8)


def a_generator() -> Generator:
    second = nn.Linear(20, 6)
    second.weight.data.abs_()
    return Generator(nn.Sequential(nn.Linear(8, 20), LIF(2.0, 0.3), second, IF(0.5)), 10)


@pytest.mark.parametrize("settings", [{}, {"steps": 8, "theta": 0.3, "threshold": 0.3}, {"deep": False, "scale": 0.1}])
def test_the_deployed_tokens_are_the_trained_ones(settings: dict[str, float]) -> None:
    prompt = Prompt.named("spike-nvpt", site=SITE, **settings).eval()
    trained, deployed = prompt.tokens(), deployed_tokens(prompt)
    assert trained is not None
    assert deployed is not None
    assert torch.equal(deployed, trained)
    assert 0 < deployed.count_nonzero() < deployed.numel()
    assert not deployed.requires_grad


def test_the_deployed_tokens_come_from_the_integers() -> None:
    prompt = Prompt.named("spike-nvpt", site=SITE).eval()
    generator = prompt.generator()
    assert generator is not None
    silent = spiking_model(Generator(nn.Sequential(Current(torch.zeros(3 * 10 * 16)), IF()), 4))
    deployed = deployed_tokens(prompt, silent)
    assert deployed is not None
    assert not deployed.any()


def test_prompts_without_neurons_are_deployed_as_they_are() -> None:
    prompt = Prompt.named("vpt-deep", site=SITE)
    tokens, deployed = prompt.tokens(), deployed_tokens(prompt)
    assert tokens is not None
    assert deployed is not None
    assert torch.equal(tokens, deployed)
    assert not deployed.requires_grad
    assert deployed_tokens(Prompt.named("linear", site=SITE)) is None


def test_a_graph_that_is_not_its_module_is_refused() -> None:
    generator = a_generator()
    graph = to_nir(generator)
    assert check_graph(graph, generator)["spikes"] > 0
    graph.nodes["lif1"].v_threshold = graph.nodes["lif1"].v_threshold * 1.5
    with pytest.raises(ParityError, match="node 'lif1' and its module differ at step"):
        check_graph(graph, generator)


def test_a_subtracting_neuron_smuggled_into_a_graph_is_seen() -> None:
    drive = Current(torch.full((4,), 0.7))
    graph = to_nir(Generator(nn.Sequential(drive, IF()), 8))
    soft = snntorch.Leaky(beta=1.0, reset_mechanism="subtract", reset_delay=False)
    with pytest.raises(ParityError, match="node 'if1'"):
        check_graph(graph, Generator(nn.Sequential(drive, soft), 8))


def test_a_model_holds_one_thing_in_three_forms() -> None:
    model = spiking_model(a_generator())
    assert model.steps == 10
    assert model.program("fixed").precision == "fixed"
    assert model.program("float").precision == "float"
    assert [p.name for p in model.fixed_program.populations] == ["lif1", "if3"]
    assert model.fixed_program.depth == 2
    assert set(model.scale_report["projections"]) == {"input -> lif1", "lif1 -> if3"}


def test_graphs_of_other_origin_need_steps_and_a_scale_that_fits() -> None:
    neurons = nir.IF(r=np.ones(2), v_threshold=np.full(2, 500.0))
    graph = nir.NIRGraph.from_list(nir.Linear(np.array([[1000.0, 2.0], [3.0, 4.0]])), neurons)
    with pytest.raises(BadSetting, match="steps"):
        model_of_graph(graph)
    assert model_of_graph(graph, steps=5).steps == 5
    with pytest.raises(OutOfRange, match="1000"):
        model_of_graph(graph, steps=5, scale=1.0)
