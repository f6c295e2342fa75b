"""NIR graphs in and out: a generator as a graph, a file as a checked graph, a graph as a chain of nodes."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import snntorch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuroprompt.contracts import Generator
from neuroprompt.errors import BadGraph, BadSetting, CannotWrite, Unsupported
from neuroprompt.neurons import DT_SECONDS, IF, LIF, Current, check_convention

FORMAT = "neuroprompt-nir-1"
RESET = "zero, same step"
RUNNABLE = "a chain of Input, Affine, Linear, Flatten, IF, LIF and Output"

Vector = NDArray[np.float64]
Node = tuple[str, Any]


# --- a generator as a graph -------------------------------------------------------------------------------------------


def to_nir(generator: Generator) -> nir.NIRGraph:
    """The NIR graph of `generator`; every parameter is an exact copy, in its own precision.

    Current    Input (1,) -> Affine(weight = 0, bias = P)
    nn.Linear  Affine, or Linear where it has no bias
    IF         IF(r = 1, v_threshold, v_reset = 0)
    LIF        LIF(tau = tau dt, r = 1, v_leak = 0, v_threshold, v_reset = 0)
    Leaky      IF where beta = 1, else LIF(tau = dt / (1 - beta), r = 1 / (1 - beta)): its input has no gain

    Neurons may come first where the generator says for how many inputs, which then drive them one to one.
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
        raise Unsupported("the generator has no modules", "at least a drive and neurons")
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
            return _if(_array(module.threshold), size)
        if np.any(beta == 1):
            raise Unsupported(f"{name} mixes beta = 1 with beta < 1", "one of them", "split the layer")
        return _lif(DT_SECONDS / (1 - beta), 1 / (1 - beta), _array(module.threshold))
    got = f"{name} is a {type(module).__name__} (NIR has no such node, or it is not in our convention)"
    raise Unsupported(got, "Current, nn.Linear, IF, LIF or snntorch.Leaky")


def _if(threshold: Vector, size: int) -> nir.IF:
    return nir.IF(r=np.ones(size), v_threshold=_vector(threshold, size), v_reset=np.zeros(size))


def _lif(tau: Vector, r: Vector, threshold: Vector) -> nir.LIF:
    zeros = np.zeros(tau.size)
    return nir.LIF(tau=tau, r=r, v_leak=zeros, v_threshold=_vector(threshold, tau.size), v_reset=zeros.copy())


def _vector(value: Vector, size: int) -> Vector:
    return np.broadcast_to(value.reshape(-1), (size,)).astype(np.float64)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy().copy()


# --- files ------------------------------------------------------------------------------------------------------------


def write_graph(graph: nir.NIRGraph, path: Path | str) -> None:
    """Write `graph` as HDF5, whole or not at all; raises CannotWrite."""
    path = Path(path)
    buffer = io.BytesIO()
    nir.write(buffer, graph)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(buffer.getvalue())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise CannotWrite(f"cannot write {path} ({error.strerror})", "a writable place with room") from error


def read_graph(path: Path | str) -> nir.NIRGraph:
    """Read a NIR file and check every parameter; raises BadGraph."""
    path = Path(path)
    if not path.is_file():
        raise BadGraph(f"there is no file {path}", "a NIR file (HDF5)")
    try:
        graph = nir.read(path)
    except Exception as error:  # nir and h5py raise whatever the bytes lead them to
        cause = f"{type(error).__name__}: {error}"
        raise BadGraph(f"{path} cannot be read as NIR ({cause})", "a whole NIR file (HDF5)") from error
    if not isinstance(graph, nir.NIRGraph):
        raise BadGraph(f"{path} holds a single {type(graph).__name__}", "a graph")
    for name, node in graph.nodes.items():
        _check_finite(name, node)
    return graph


def _check_finite(name: str, node: Any) -> None:
    for key, value in vars(node).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
            bad = value[~np.isfinite(value)].flat[0]
            raise BadGraph(f"node {name!r} has {key} = {bad}", "finite parameters")


# --- a graph as a chain -----------------------------------------------------------------------------------------------


def dt_of(graph: nir.NIRGraph) -> float:
    """The time step in seconds that the graph was made for; 1e-4 where it does not say."""
    return float(graph.metadata.get("dt", DT_SECONDS))


def steps_of(graph: nir.NIRGraph) -> int:
    """The number of time steps that the graph was made for; raises BadSetting where it does not say."""
    if "steps" not in graph.metadata:
        raise BadSetting("the graph does not say for how many steps it runs", "a number of steps", "give steps")
    return int(graph.metadata["steps"])


def chain(graph: nir.NIRGraph) -> list[Node]:
    """The nodes of a feed-forward graph without branches, from Input to Output, as (name, node).

    Raises Unsupported for any other topology or node, BadGraph where sizes or parameters cannot be.
    """
    nodes = graph.nodes
    for name, node in nodes.items():
        _check_runnable(name, node)
    names = _walk(graph)
    size = int(np.prod(nodes[names[0]].input_type["input"]))
    for name in names:
        size = _size_after(name, nodes[name], size)
    return [(name, nodes[name]) for name in names]


def _walk(graph: nir.NIRGraph) -> list[str]:
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in set(graph.edges):
        if source not in after or target not in after:
            raise BadGraph(f"an edge joins {source!r} to {target!r}", "edges between nodes of the graph")
        after[source].append(target)
        before[target].append(source)
    for name in graph.nodes:
        if len(after[name]) > 1 or len(before[name]) > 1:
            raise Unsupported(f"node {name!r} is where the graph branches or joins", RUNNABLE)
    starts = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(starts) != 1 or before[starts[0]]:
        raise Unsupported(f"the graph has inputs {starts}", "one Input that nothing leads to")
    names = starts
    while after[names[-1]]:  # ends: Input has no predecessor, and no node has two
        names.append(after[names[-1]][0])
    left = sorted(set(graph.nodes) - set(names))
    if left:
        raise Unsupported(f"node {left[0]!r} is not on the way from Input to Output", RUNNABLE)
    if not isinstance(graph.nodes[names[-1]], nir.Output):
        raise Unsupported(f"the graph ends in {names[-1]!r}", "an Output at the end")
    return names


def _check_runnable(name: str, node: Any) -> None:
    if not isinstance(node, (nir.Input, nir.Output, nir.Affine, nir.Linear, nir.Flatten, nir.IF, nir.LIF)):
        raise Unsupported(f"node {name!r} is a {type(node).__name__}, which no target here runs", RUNNABLE)
    _check_finite(name, node)
    if isinstance(node, (nir.Affine, nir.Linear)) and node.weight.ndim != 2:
        raise Unsupported(f"node {name!r} has weights of shape {node.weight.shape}", "two dimensions")
    if isinstance(node, nir.LIF) and not np.all(node.tau > 0):
        raise BadGraph(f"node {name!r} has tau = {node.tau.min()}", "time constants above 0 seconds")


def _size_after(name: str, node: Any, size: int) -> int:
    expected = size
    if isinstance(node, (nir.Affine, nir.Linear)):
        expected = node.weight.shape[1]
        if isinstance(node, nir.Affine) and node.bias.size != node.weight.shape[0]:
            raise BadGraph(f"node {name!r} has {node.bias.size} biases", f"{node.weight.shape[0]}, one for each row")
    elif isinstance(node, (nir.IF, nir.LIF)):
        expected = node.v_threshold.size
    elif isinstance(node, nir.Output):
        expected = int(np.prod(node.output_type["output"]))
    if expected != size:
        raise BadGraph(f"node {name!r} takes {expected} values and gets {size}", "nodes of matching sizes")
    return int(node.weight.shape[0]) if isinstance(node, (nir.Affine, nir.Linear)) else size
