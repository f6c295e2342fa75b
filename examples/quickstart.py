"""The main job in Python: train a spiking prompt, bake it, export it to Lava, verify it spike by spike, price it.

python examples/quickstart.py [FOLDER]     (about a minute on two cores)
"""

import sys
from pathlib import Path

import neuroprompt as npt

out = Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart")

config = npt.configure(method="spike-nvpt", data="digits", settings={"tokens": 10, "steps": 4}, epochs=6, batch=32)
run = npt.train(config, out / "run")
accuracy = npt.evaluate(run, ["gaussian:0.1", "jpeg:25"])
noisy = ", ".join(f"{name} {share:.1%}" for name, share in accuracy.noise.items())
print(f"accuracy: clean {accuracy.clean:.1%}, {noisy}")

baked = npt.export(run, out / "onnx", target="onnx")
print(f"ONNX Runtime against PyTorch: largest difference {baked.figures['max_abs_diff']:.1e}")

npt.export(run, out / "lava", target="lava")
bundle = npt.Bundle.open(out / "lava")
for name, agreement in npt.verify(npt.load_model(bundle)).targets.items():
    print(f"{name}: {agreement.spike_exact:.2%} matching (step, neuron) entries, {agreement.spikes} spikes")

energy = npt.energy(bundle)
print(f"Estimated, not measured: {energy.total.joules_per_image:.2e} J an image, prompt included")
