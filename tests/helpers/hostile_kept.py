"""Hostile files of two sorts: what heads and cards read beside a run, and what an earlier command left to go on with.

Each maker writes into `place` and gives the command to type. Sound files are written once, as in `hostile_options.py`.
"""

from __future__ import annotations

import io
import json
import pickle
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from damage import damaged_as, damaged_bytes, damaged_json, strange_npy
from hostile_options import newer
from hub_stand_in import Hub
from killing import TINY

SMALL = f"train {TINY} --limit 20 --epochs 1 --method linear --out out"
WIDTH, SOURCES, CLASSES = 128, 20, 10


def classifiers(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """A classifier, or embeddings of class names, that are damaged or have other names, types, shapes and values."""
    import torch
    from safetensors.torch import save

    names = rng.random() < 0.5
    generator = torch.Generator().manual_seed(rng.randrange(99))
    shapes = {"target": (CLASSES, 7), "source": (SOURCES, 7)} if names else {"weight": (SOURCES, WIDTH)}
    tensors = {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    if not names and rng.random() < 0.5:
        tensors["scale"] = torch.tensor(rng.choice((100.0, 0.0, -1.0, float("nan"), 1e-38)))
    if rng.random() < 0.5:
        key = rng.choice(sorted(tensors))
        tensors[key] = tensors[key].to(rng.choice((torch.float16, torch.int8, torch.bool, torch.float64)))
    if rng.random() < 0.4:
        key = rng.choice(sorted(tensors))
        value = torch.atleast_1d(tensors[key])
        tensors[key] = rng.choice((value * 0, value * 1e38, value[:1], value[None], value[..., :0], value.flatten()))
    if rng.random() < 0.2:
        tensors[rng.choice(("bias", "x", ""))] = torch.zeros(rng.choice((1, SOURCES)))
    data = save({key: value.contiguous() for key, value in tensors.items()})
    (place / "c.safetensors").write_bytes(damaged_as("c.safetensors")(data, rng) if rng.random() < 0.5 else data)
    if names:
        (place / "sound.safetensors").write_bytes(save({"weight": torch.ones(SOURCES, WIDTH)}))
        return f"{SMALL} --head semantic --head-set names=c.safetensors --classifier sound.safetensors"
    return f"{SMALL} --classifier c.safetensors --head {rng.choice(('full', 'frequency', 'iterative'))}"


class Touch:
    """What would make a file, if it were unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("../touched", "w")


def checkpoints(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """A PyTorch checkpoint that is damaged, holds code, or holds what is no tensor."""
    import torch

    def write(file: Path) -> None:
        from neuroprompt.contracts.learning import BackboneSpec
        from neuroprompt.training.backbone import load_backbone

        torch.save(load_backbone(BackboneSpec(random=True, image_size=16)).state_dict(), file)

    sound = newer(base, "w.pth", write).read_bytes()
    what, stream = rng.randrange(6), io.BytesIO()
    strange: Any = rng.choice((Touch(), {"w": Touch()}, [], None, {"a": {"b": {}}}, {1: torch.zeros(2)}, {"x": "y"}))
    if what == 0:
        torch.save(strange, stream)
    elif what == 1:
        stream.write(pickle.dumps(strange))
    elif what == 2:
        torch.save({"w": torch.zeros(1).expand(rng.choice((2**30, 2**40)))}, stream)
    name = rng.choice(("w.pth", "w.bin", "w.pt"))
    (place / name).write_bytes(stream.getvalue() if what < 3 else damaged_bytes(sound, rng))
    return f"{SMALL.replace('--random-weights ', '')} --weights {name}"


def h5_items(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """An HDF5 file of inputs and labels that is damaged, or has other names, types, shapes and links."""
    import h5py

    with h5py.File(place / "x.h5", "w") as file:
        inputs: Any = np.random.default_rng(0).integers(0, 2, (6, 8, 6)).astype(np.float32)
        labels: Any = np.arange(6) % 5
        what = rng.randrange(9)
        if what == 0:
            inputs = rng.choice((inputs[:0], inputs[0], inputs * np.nan, inputs.astype("S3"), inputs * 1e38, "x"))
        elif what == 1:
            labels = rng.choice((labels[:2], -labels, labels + 0.5, labels.astype("S3"), [[1]], 10**9, labels * 10**12))
        name = rng.choice(("inputs", "inputs", "x", "data"))
        file.create_dataset(name, data=inputs)
        file.create_dataset(rng.choice(("labels", "y")), data=labels)
        if what == 2:
            file.create_dataset("huge", (2**40, 8, 6), "f4", chunks=(1, 8, 6))
            if rng.random() < 0.7:
                del file[name]
                file[name] = file["huge"]
        elif what == 3:
            del file[name]
            file[name] = rng.choice(
                (h5py.SoftLink("/nowhere"), h5py.ExternalLink("/etc/passwd", "/x"), h5py.Empty("f4"))
            )
        elif what == 4:
            del file[name]
            file.create_dataset(name, (6, 8, 6), "f4", external=[("/etc/passwd", 0, 6 * 8 * 6 * 4)])
    if what > 5:
        (place / "x.h5").write_bytes(damaged_bytes((place / "x.h5").read_bytes(), rng))
    return rng.choice(
        (
            f"run {base}/graph.nir --inputs x.h5",
            f"run {base}/graph.nir --inputs {base}/items.npy --steps 8 --labels x.h5",
            f"verify {base}/graph.nir --inputs x.h5 --targets loihi",
        )
    )


def accuracies(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """What `eval --json` printed, with other values, or damaged."""

    def write(file: Path) -> None:
        import neuroprompt as npt
        from neuroprompt.training.run_folder import Run

        file.write_text(json.dumps(npt.evaluate(Run.load(base / "run"), ["gaussian:0.1"]).json()))

    sound = json.loads(newer(base, "a.json", write).read_text())
    (place / "a.json").write_bytes(damaged_json(json.dumps(sound).encode(), rng))
    shutil.copytree(base / "lava", place / "b")
    return "card b --accuracy a.json"


# --- what an earlier command left ------------------------------------------------------------------------------------


def rows_before(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """The rows that a killed `run --out` left, damaged; those of other images; or none at all."""
    name = rng.choice(("l.csv", "l.jsonl", "l.parquet"))

    def write(folder: Path) -> None:
        import neuroprompt as npt

        class Stop(npt.Progress):
            def track(self, items: Any, what: str, total: int | None = None) -> Any:
                for number, item in enumerate(items):
                    if number == 100:
                        raise KeyboardInterrupt
                    yield item

        folder.mkdir()
        for each in ("l.csv", "l.jsonl", "l.parquet"):
            with suppress(KeyboardInterrupt):
                npt.run(base / "means", [base / "images"], out=folder / each, progress=Stop())

    part = newer(base, "rows", write) / f"{name}.part"
    lines = part.read_bytes().splitlines(keepends=True)
    what = rng.randrange(5)
    if what < 2:
        number = rng.randrange(1, len(lines))
        lines[number] = rng.choice((b"[" * 100_000, damaged_json(lines[number].strip(), rng))) + b"\n"
    elif what == 2:
        lines[0] = damaged_json(lines[0].strip(), rng) + b"\n"
    data = b"".join(lines)
    (place / part.name).write_bytes(damaged_bytes(data, rng) if what > 2 else data)
    return f"run {base}/means {base}/images --out {name}"


def states(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """A training that was stopped, whose state, settings or numbers are damaged."""
    words = f"train {TINY} --limit 20 --epochs 2 --tokens 2 --out r"

    def write(folder: Path) -> None:
        from tiny_runs import Stop

        import neuroprompt as npt
        from neuroprompt.contracts.learning import BackboneSpec

        spec = BackboneSpec(random=True, image_size=16)
        config = npt.configure(backbone=spec, settings={"tokens": 2}, limit=20, epochs=2, batch=8)
        with suppress(KeyboardInterrupt):
            npt.train(config, folder, Stop("epoch 2", 1, signal.SIGINT), accelerator="cpu")
        assert (folder / "state.safetensors").exists()

    shutil.copytree(newer(base, "stopped", write), place / "r")
    file = rng.choice(sorted(path for path in (place / "r").iterdir() if path.is_file()))
    data = file.read_bytes()
    file.write_bytes(damaged_as(file.name)(data, rng) if data else rng.randbytes(9))
    return words


def measurements(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """What an earlier report measured and keeps beside itself, damaged or with other values."""
    words = "report BASE/run BASE/lava --skip latency --skip verify --skip measure --noise gaussian:0.1 --out"

    def write(file: Path) -> None:
        import neuroprompt as npt

        npt.report([base / "run", base / "lava"], file, noises=["gaussian:0.1"], skip=["latency", "verify", "measure"])

    kept = newer(base, "r.html", write).with_name("r_files") / "measured.json"
    (place / "r_files").mkdir()
    (place / "r_files" / kept.name).write_bytes(damaged_json(kept.read_bytes(), rng))
    return f"{words.replace('BASE', str(base))} r.html"


def searches(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """Integers that an earlier search found and keeps in the cache: damaged, gone, or with other values."""
    words = "export BASE/graph.nir --target lava --steps 5 --input poisson:0.5 --agreement 0.99 --weight-bits auto"
    found = place / "cache" / "integers"
    shutil.copytree(newer(base, "integers", lambda folder: _search(base, folder)), found)
    for file in sorted(found.iterdir()):
        if rng.random() < 0.7:
            file.write_bytes(rng.choice((damaged_as(file.name), damaged_bytes))(file.read_bytes(), rng))
        elif rng.random() < 0.2:
            file.write_bytes(strange_npy(rng))
    return f"{words.replace('BASE', str(base))} --out out"


def _search(base: Path, folder: Path) -> None:
    """Search once by the same command, with `folder` as what is kept."""
    import os
    import subprocess
    import sys

    words = f"export {base}/graph.nir --target lava --steps 5 --input poisson:0.5 --agreement 0.99 --weight-bits auto"
    cache = folder.with_name("searched")
    command = [sys.executable, "-m", "neuroprompt", *words.split(), "--out", str(cache / "out")]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "NEUROPROMPT_CACHE": str(cache)})
    (cache / "integers").rename(folder)


KEPT = {
    "classifiers and embeddings": classifiers,
    "checkpoints": checkpoints,
    "HDF5 items": h5_items,
    "accuracies": accuracies,
    "rows before": rows_before,
    "states": states,
    "measurements": measurements,
    "searches": searches,
}
