"""What other converters make of the nets of fidelity_table.py: their own integers, run bit by bit.

lava-dl        its CUBA neuron rounds weights, thresholds and decays (its fixed scale of 64, weights even in -256..254)
nengo-loihi    its discretize_block chooses all integers, its own emulator of Loihi 1 runs them
NIR paper      the script beside the paper (Pedersen et al. 2024): w 256 cut off, vth 131071 >> 9, dv 4095
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import neuroprompt as npt
from neuroprompt.loihi.arithmetic import simulate
from neuroprompt.loihi.synapses import stored_weights
from neuroprompt.simulators.own_runtime import OwnRuntimeTarget
from neuroprompt.simulators.runtime import WORKERS
from neuroprompt.spiking.program import Population, Program, is_spikes

Spikes = dict[str, Any]
BIAS_BITS = 4095


class CannotTake(Exception):
    """Why a peer cannot take a net."""


def check(program: Program, inputs: Any) -> None:
    """Raise CannotTake for what no peer here has."""
    if not is_spikes(inputs):
        raise CannotTake("numbers on its input lines")
    for p in program.populations:
        if any(np.ndim(value) for value in (p.du, p.dv, p.vth)):
            raise CannotTake("per-neuron parameters")


def on_lava(program: Program, populations: list[Population], weights: list[Any], inputs: Any) -> Spikes:
    """Spikes on our emulator, which computes as Lava does, with these integers as the chip stores them."""
    projections = tuple(
        replace(q, weights=q.weights.with_values(stored_weights(np.asarray(w))))
        for q, w in zip(program.projections, weights, strict=True)
    )
    fixed = replace(program, precision="fixed", populations=tuple(populations), projections=projections)
    return {name: trace.spikes for name, trace in simulate(fixed, inputs).items()}


def lava_dl(program: Program, inputs: Any) -> Spikes:
    """lava-dl's integers; where its netx has no pooling, with the weights of convolution and pooling together."""
    check(program, inputs)
    if any(p.currents for p in program.populations):
        raise CannotTake("biases behind synapses: netx begins them before the layer's inputs")
    layers: dict[str, Any] = {}
    place = {p.name: str(i) for i, p in enumerate(program.populations)}
    for i, p in enumerate(program.populations):
        layers |= {f"vth.{i}": p.vth, f"du.{i}": p.du, f"dv.{i}": p.dv, f"bias.{i}": np.float32(p.bias)}
    for j, q in enumerate(program.projections):
        layers |= {f"weights.{j}": np.float32(q.weights.values), f"target.{j}": place[q.target]}
    runtime = runtime_of("lava-dl-full")
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder, "layers.npz"), **layers)
        runtime.run(Path(__file__).with_name("fidelity_lava_dl.py"), [folder], 600.0)
        with np.load(Path(folder, "integers.npz")) as file:
            made = {key: file[key] for key in file.files}
    populations = [
        replace(
            p,
            du=int(made[f"du.{i}"]) - 1,
            dv=int(made[f"dv.{i}"]),
            vth=int(made[f"vth.{i}"]),
            bias=made[f"bias.{i}"].astype(np.int32),
            bias_exp=6,
        )
        for i, p in enumerate(program.populations)
    ]
    return on_lava(program, populations, [made[f"weights.{j}"] for j in range(len(program.projections))], inputs)


def nir_paper(program: Program, inputs: Any) -> Spikes:
    """The paper's script for Lava's integers: LIF and weights without biases, nothing else."""
    check(program, inputs)
    for p in program.populations:
        if np.any(p.bias) or p.currents:
            raise CannotTake("biases")
        if np.any(np.asarray(p.du) != 1) or not np.any(p.dv):
            raise CannotTake("IF or CubaLIF (its integers are for LIF)")
    populations = [
        replace(p, du=4095, dv=int(float(p.dv) * 4095), vth=int(float(p.vth) * 131071) >> 9, bias=0 * p.bias)
        for p in program.populations
    ]
    whole = [np.trunc(q.weights.values * 256) for q in program.projections]
    return on_lava(program, [replace(p, bias=p.bias.astype(np.int32), bias_exp=6) for p in populations], whole, inputs)


def nengo_loihi(program: Program, inputs: Any) -> Spikes:
    """nengo-loihi's integers on its own emulator."""
    check(program, inputs)
    runtime = runtime_of("nengo-loihi")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "program.npz").write_bytes(program.to_bytes())
        np.save(folder / "inputs.npy", inputs.astype(bool))
        worker = Path(__file__).with_name("fidelity_nengo_loihi.py")
        runtime.run(WORKERS / "side_packages.py", [str(runtime.folder), str(worker), name], 1800.0)
        with np.load(folder / "recorded.npz") as file:
            return {key.partition(".")[2]: file[key] for key in file.files}


def runtime_of(target: str) -> Any:
    """The runtime of a target; raises CannotTake where it is not built."""
    part = npt.SpikingTarget.part(target)
    assert issubclass(part, OwnRuntimeTarget)
    if not part.runtime.built:
        raise CannotTake(f"not installed: neuroprompt targets install {target}")
    return part.runtime


PEERS: dict[str, Callable[[Program, Any], Spikes]] = {
    "lava-dl": lava_dl,
    "nengo-loihi": nengo_loihi,
    "NIR paper": nir_paper,
}
