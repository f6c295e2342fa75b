"""Nets of Spyx, exported and run by Spyx: spyx_nets.py OUT."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _nets import HIDDEN, INPUTS, OUTPUTS, inputs, keep, weights
from flax import nnx
from spyx import nn
from spyx.nir import to_nir

jax.config.update("jax_platforms", "cpu")


def net(make: Any, bias: float) -> Any:
    """Linear, neurons, Linear, neurons."""
    parts = []
    for rows, columns, seed in ((HIDDEN, INPUTS, 1), (OUTPUTS, HIDDEN, 2)):
        linear = nnx.Linear(columns, rows, rngs=nnx.Rngs(0))
        linear.kernel = nnx.Param(jnp.asarray(weights(rows, columns, seed).T))
        linear.bias = nnx.Param(jnp.full((rows,), bias))
        parts += [linear, make(rows)]
    return nn.Sequential(*parts)


def main() -> None:
    """Neurons as the library has them, which subtract a step late, and with a threshold that is never met."""
    rngs = nnx.Rngs(0)
    kinds = {
        "if": lambda n, th: nn.IF((n,), threshold=th),
        "lif": lambda n, th: nn.LIF((n,), beta=0.75, threshold=th, rngs=rngs),
        "cuba": lambda n, th: nn.CuBaLIF((n,), alpha=0.5, beta=0.75, threshold=th, rngs=rngs),
    }
    shapes = {"input": np.array([INPUTS])}, {"output": np.array([OUTPUTS])}
    for kind, make in kinds.items():
        for name, threshold, bias in (("", 1.0, 0.02), ("_unbiased", 1.0, 0.0), ("_silent", 1e6, 0.02)):
            module, x = net(lambda n, make=make, th=threshold: make(n, th), bias), inputs()
            graph = to_nir(module, *shapes)
            layers = module.layers
            state: list[Any] = [layers[i].initial_state(1) for i in (1, 3)]
            spikes: list[Any] = [[], []]
            potentials = []
            for row in x:
                first, state[0] = layers[1](layers[0](jnp.asarray(row[None])), state[0])
                second, state[1] = layers[3](layers[2](first), state[1])
                spikes[0].append(np.asarray(first[0]))
                spikes[1].append(np.asarray(second[0]))
                potentials.append(np.asarray(state[0][0][:HIDDEN]))
            if name == "_silent":
                keep(kind + name, graph, x, potential1=np.stack(potentials))
            else:
                keep(kind + name, graph, x, layer1=np.stack(spikes[0]), layer2=np.stack(spikes[1]))


if __name__ == "__main__":
    main()
