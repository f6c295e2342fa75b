"""A generator as a NIR graph; `neuroprompt.compiler` reads and runs graphs of any origin."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import snntorch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroprompt.contracts.learning import Generator
from neuroprompt.errors import Unsupported
from neuroprompt.spiking.graph import FORMAT, RESET
from neuroprompt.spiking.neurons import IF, LIF, Current, check_convention
from neuroprompt.spiking.time_step import DT_SECONDS

Vector = NDArray[np.float64]


def to_nir(generator: Generator) -> nir.NIRGraph:
    """The NIR graph of `generator`; every parameter is an exact copy, in its own precision.

    Current    Input (1,) -> Affine(weight = 0, bias = P)
    nn.Linear  Affine, or Linear where it has no bias
    IF         IF(r = 1, v_threshold, v_reset = 0)
    LIF        LIF(tau = tau dt, r = 1, v_leak = 0, v_threshold, v_reset = 0)
    Leaky      IF where beta = 1, else LIF(tau = dt / (1 - beta), r = 1 / (1 - beta)): its input has no gain

    NIR cannot say that a Leaky's reset subtracts: the node's metadata do, `reset` = "subtract", or "subtract, late"
    where reset_delay=True.
    Neurons may come first where the generator says for how many inputs, which then reach them one to one.
    All neuron parameters are vectors of the node's shape. Metadata: dt in seconds, steps, reset, format. Raises
    Unsupported, naming the module and the reason.
    """
    nodes: dict[str, Any] = {}
    size = 0
    for index, (child, module) in enumerate(generator.chain.named_children()):
        name = f"{type(module).__name__.lower()}{child}" if child.isdigit() else child
        name = f"{name}_" if name in ("input", "output") else name
        if index == 0 and generator.inputs and not isinstance(module, (Current, nn.Linear)):
            size = generator.inputs
        elif index == 0 and not isinstance(module, (Current, nn.Linear)):
            raise Unsupported(f"{name} is a {type(module).__name__}", "Current or nn.Linear as the first module")
        if index > 0 and isinstance(module, Current):
            raise Unsupported(f"{name} is a Current after other modules", "Current as the first module only")
        node = _node(name, module, size)
        if index == 0:
            nodes["input"] = nir.Input(input_type={"input": np.array(node.input_type["input"])})
        size = int(np.prod(node.output_type["output"]))
        nodes[name] = node
    if not nodes:
        raise Unsupported("the generator has no modules", "at least an input current and neurons")
    nodes["output"] = nir.Output(output_type={"output": np.array([size])})
    names = list(nodes)
    metadata = {"dt": DT_SECONDS, "steps": generator.steps, "reset": RESET, "format": FORMAT}
    try:
        return nir.NIRGraph(nodes, list(pairwise(names)), metadata=metadata)
    except ValueError as error:
        raise Unsupported(f"the generator's modules do not fit ({error})", "matching sizes") from error


def _node(name: str, module: nn.Module, size: int) -> Any:
    if isinstance(module, Current):
        values = _array(module.values)
        return nir.Affine(weight=np.zeros((values.size, 1), values.dtype), bias=values)
    if isinstance(module, nn.Linear):
        weight = _array(module.weight)
        return nir.Linear(weight) if module.bias is None else nir.Affine(weight=weight, bias=_array(module.bias))
    if isinstance(module, IF):
        check_convention(module.leaky, name)
        return _if(_array(module.leaky.threshold), size)
    if isinstance(module, LIF):
        check_convention(module.leaky, name)
        return _lif(np.full(size, module.tau * DT_SECONDS), np.ones(size), _array(module.leaky.threshold))
    if isinstance(module, snntorch.SpikingNeuron):
        check_convention(module, name)
        beta = np.broadcast_to(_array(module.beta).astype(np.float64).clip(0, 1), (size,))
        if np.all(beta == 1):
            return _resetting(module, _if(_array(module.threshold), size))
        if np.any(beta == 1):
            raise Unsupported(f"{name} mixes beta = 1 with beta < 1", "one of them", "split the layer")
        return _resetting(module, _lif(DT_SECONDS / (1 - beta), 1 / (1 - beta), _array(module.threshold)))
    got = f"{name} is a {type(module).__name__} (NIR has no such node, or it is not in our convention)"
    raise Unsupported(got, "Current, nn.Linear, IF, LIF or snntorch.Leaky")


def _resetting(module: Any, node: Any) -> Any:
    """The node with the module's reset in its metadata where that subtracts."""
    if module.reset_mechanism == "subtract":
        node.metadata = node.metadata | {"reset": "subtract, late" if module.reset_delay else "subtract"}
    return node


def _if(threshold: Vector, size: int) -> nir.IF:
    return nir.IF(r=np.ones(size), v_threshold=_vector(threshold, size), v_reset=np.zeros(size))


def _lif(tau: Vector, r: Vector, threshold: Vector) -> nir.LIF:
    zeros = np.zeros(tau.size)
    return nir.LIF(tau=tau, r=r, v_leak=zeros, v_threshold=_vector(threshold, tau.size), v_reset=zeros.copy())


def _vector(value: Vector, size: int) -> Vector:
    return np.broadcast_to(value.reshape(-1), (size,)).astype(np.float64)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy().copy()
