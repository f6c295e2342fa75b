"""lava-dl's own integers of layers in floating point: fidelity_lava_dl.py FOLDER, run by lava-dl's own Python.

FOLDER holds layers.npz: vth.i, du.i, dv.i of population i, bias.i (n,), and weights.j of projection j, with its target
population in target.j. integers.npz gets the same as lava-dl's CUBA neuron rounds them, at its usual scale of 64.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from lava.lib.dl import slayer

folder = Path(sys.argv[1])
with np.load(folder / "layers.npz") as file:
    layers = {key: file[key] for key in file.files}
integers = {}
neurons = {}
for key in [key for key in layers if key.startswith("vth.")]:
    i = key.split(".")[1]
    decays = (float(layers[f"{name}.{i}"]) for name in ("du", "dv"))
    neurons[i] = slayer.neuron.cuba.Neuron(float(layers[key]), *decays)
    integers[f"vth.{i}"] = neurons[i].v_th_mant
    integers[f"du.{i}"], integers[f"dv.{i}"] = neurons[i].cx_current_decay, neurons[i].cx_voltage_decay
    integers[f"bias.{i}"] = neurons[i].quantize_8bit(torch.from_numpy(layers[f"bias.{i}"]), descale=True).numpy()
for key in [key for key in layers if key.startswith("weights.")]:
    neuron = neurons[str(layers[f"target.{key.split('.')[1]}"])]
    integers[key] = neuron.quantize_8bit(torch.from_numpy(layers[key]), descale=True).numpy()
np.savez(folder / "integers.npz", **integers)
