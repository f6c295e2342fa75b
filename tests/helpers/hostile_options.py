"""Hostile files of the newer options: shards, tuning, events, forms.

Each maker writes into `place` and gives the command to type. What it damages is written once, into a folder `newer`
beside the other sound files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from damage import ESCAPE, damaged_as, damaged_bytes, damaged_json, damaged_value, strange_npy
from hostile_names import hostile_names
from hostile_recipes import TAG, sound_recipe
from hub_stand_in import Hub

from neuroprompt.bundles.bundle import MANIFEST
from neuroprompt.files import sha256

RUN = "--image-size 16 --batch 8 --device cpu --limit 20 --epochs 1"


def newer(base: Path, name: str, write: Callable[[Path], object]) -> Path:
    """`name` in the folder of what is written once."""
    place = base / "newer" / name
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        write(place)
    return place


# --- data of Hugging Face datasets, and of tonic ---------------------------------------------------------------------


def hf_disk(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """A file of what `save_to_disk` wrote is damaged, gone, or another."""

    def write(folder: Path) -> None:
        import datasets
        from PIL import Image

        grey = [Image.new("RGB", (8, 8), (i, i, i)) for i in range(12)]
        kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
        rows = datasets.Dataset.from_dict({"image": grey, "label": [0, 1] * 6}, features=datasets.Features(kinds))
        datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(str(folder))

    shutil.copytree(newer(base, "set", write), place / "set")
    files = sorted(file for file in (place / "set").rglob("*") if file.is_file())
    file = rng.choice(files)
    what = rng.randrange(8)
    if what == 0:
        file.unlink()
    elif what == 1:
        file.write_bytes(rng.choice(files).read_bytes())
    else:
        damage = damaged_json if file.suffix == ".json" else damaged_bytes
        file.write_bytes(damage(file.read_bytes(), rng))
    column = rng.choice(("", "", "#label", "#x"))
    return f"train --random-weights --method linear {RUN} --data hf-disk:set{column} --out out"


def tonic_files(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """A recording of N-MNIST, or the file of SHD, that is damaged, empty, elsewhere or under another name."""
    import h5py

    kind = rng.choice(("NMNIST", "SHD"))
    if kind == "NMNIST":
        graph = newer(base, "nmnist.nir", lambda file: _graph(file, 2 * 34 * 34))
        for label in range(3):
            recorded = bytearray(rng.randbytes(500))
            recorded[0::5], recorded[1::5] = bytes(i % 34 for i in range(100)), bytes(i % 31 for i in range(100))
            recorded[2::5] = bytes(i // 40 + 128 * (i % 2) for i in range(100))
            file = place / "events/NMNIST/Test" / str(label) / "00001.bin"
            file.parent.mkdir(parents=True)
            file.write_bytes(recorded if label else damaged_bytes(bytes(recorded), rng))
        if rng.random() < 0.2:
            file.parent.rename(file.parent.with_name(rng.choice(("x", "-1", "12345678901234567890", "3 "))))
    else:
        graph = newer(base, "shd.nir", lambda file: _graph(file, 700))
        file = place / "events/SHD/shd_test.h5"
        file.parent.mkdir(parents=True)
        with h5py.File(file, "w") as written:
            for key, of in (("times", np.float32), ("units", np.uint16)):
                rows = written.create_dataset(f"spikes/{key}", (3,), h5py.vlen_dtype(of))
                for i in range(3):
                    units = np.arange(50) * 13 if rng.random() < 0.9 else rng.choice(([], [60000], [3, 1], [699] * 9))
                    times = np.linspace(0, 1, len(units)) * rng.choice((1, 1, 1, 1e30, np.nan, -1))
                    rows[i] = np.asarray(units if key == "units" else times).astype(of)
            labels: Any = rng.choice(([1, 0, 2], [1, 0, 2], [70, 0, 1], [1], [], ["a", "b", "c"], [-1, 0, 1]))
            written["labels"] = np.array(labels, "S1" if "a" in labels else None)
            written["extra/keys"] = np.array([b"null", b"eins"])
            written["extra/speaker"] = np.zeros(3, np.uint16)
        if rng.random() < 0.7:
            file.write_bytes(damaged_bytes(file.read_bytes(), rng))
    steps = rng.choice((5, 5, 5, 1, 100))
    return f"run {graph} --data tonic:{kind}@events --steps {steps}"


def _graph(file: Path, lines: int) -> None:
    import nir

    from neuroprompt.spiking.graph import write_graph

    ones = np.ones(3)
    nodes = {"input": nir.Input({"input": np.array([lines])}), "n": nir.IF(ones, ones, ones * 0)}
    nodes |= {
        "fc": nir.Affine(np.random.default_rng(0).normal(size=(3, lines)), np.zeros(3)),
        "output": nir.Output({"output": np.array([3])}),
    }
    write_graph(nir.NIRGraph(nodes, [("input", "fc"), ("fc", "n"), ("n", "output")]), file)


def tuned(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """--tune with strange numbers, on inputs that are strange, few, all nothing, or enormous."""
    rounds = rng.choice((1, 2, 0, -1, -(2**63))) if rng.random() < 0.3 else 1
    target = rng.choice(("lava", "lava", "nir"))
    what = rng.randrange(5)
    if what == 0:
        word = rng.choice(("0", "1", "-1", "nan", "1e-320", "2", "", "inf", "0.5:0.5", ESCAPE))
        return f"export {base}/graph.nir --target {target} --steps 5 --out out --tune {rounds} --input poisson:{word}"
    sound = np.random.default_rng(rng.randrange(99)).random((rng.choice((1, 2, 3, 8)), 8, 6)) < rng.choice((0, 0.5, 1))
    np.save(place / "x.npy", sound.astype(np.float32) * rng.choice((1, 1, 1e-30, 1e30, -1, 255)))
    if what < 4:
        (place / "x.npy").write_bytes(strange_npy(rng) if what == 3 else (place / "x.npy").read_bytes())
    else:
        (place / "x.npy").write_bytes(damaged_bytes((place / "x.npy").read_bytes(), rng))
    return f"export {base}/graph.nir --target {target} --steps 5 --out out --tune {rounds} --calibrate x.npy"


# --- shards ----------------------------------------------------------------------------------------------------------


def shard_files(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """A work folder in which a shard's file is damaged, another's, of another command, or has other arrays."""

    def write(folder: Path) -> None:
        from in_turn import InTurn

        from neuroprompt.bundles.data_run import run_items
        from neuroprompt.bundles.shards import Split
        from neuroprompt.bundles.verify_run import verify_items

        split = Split(InTurn(), 2, folder)
        run_items(base / "graph.nir", base / "items.npy", steps=8, split=split)
        verify_items(base / "graph.nir", base / "items.npy", None, ["loihi"], steps=8, split=split)

    shutil.copytree(newer(base, "work", write), place / "work")
    files = sorted((place / "work").glob("*/shard.npz"))
    for file in rng.sample(files, rng.choice((2, 4))):
        what = rng.randrange(6)
        if what == 0:
            file.write_bytes(rng.choice(files).read_bytes())
        elif what == 1:
            _other_arrays(file, rng)
        else:
            file.write_bytes(damaged_as(file.name)(file.read_bytes(), rng))
    options = "--steps 8 --engine local --shards 2 --work work"
    inputs = f"{base}/items.npy"
    return rng.choice(
        (
            f"run {base}/graph.nir --inputs {inputs} {options}",
            f"verify {base}/graph.nir --input {inputs} --targets loihi {options}",
        )
    )


def _other_arrays(file: Path, rng: Random) -> None:
    """Sound arrays of which one is longer, shorter, of another type, or out of range; or JSON of other values."""
    with np.load(file) as opened:
        arrays = dict(opened)
    name = rng.choice(sorted(arrays))
    if name == "verified":
        text = damaged_json(arrays[name].tobytes(), rng)
        arrays[name] = np.frombuffer(text, np.uint8)
    else:
        value = arrays[name]
        numbers = () if value.dtype.kind == "U" else (value.astype(float), value * 0)
        longer = (np.repeat(value, 2, axis=0), value[..., :-1]) if value.ndim else ()
        arrays[name] = rng.choice((*numbers, *longer, value.astype("U9"), np.array(ESCAPE), np.array([[1]])))
        if arrays[name].dtype.kind == "i" and rng.random() < 0.5:
            arrays[name] = arrays[name] * 0 + rng.choice((-1, 10**9, 2**62, -(2**62)))
    np.savez(file, allow_pickle=False, **arrays)


# --- bundles of several forms, pages, names --------------------------------------------------------------------------


def _exported(base: Path, target: str, precision: str = "fp32") -> Path:
    def write(folder: Path) -> None:
        import neuroprompt as npt

        npt.export(base / "run", folder, target=target, precision=precision, max_drop=100.0)

    return newer(base, f"{target}-{precision}", write)


def _json(values: Any) -> str:
    try:
        return json.dumps(values)
    except (ValueError, OverflowError):  # a whole number of more digits than Python prints
        return "{}"


def several_forms(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """A bundle with fused and 8-bit files, of which one is damaged or gone, or whose manifest says another form."""
    shutil.copytree(_exported(base, "onnx", "int8"), place / "b")
    manifest = json.loads((place / "b" / MANIFEST).read_text())
    file = rng.choice(sorted((place / "b").glob("model.*")))
    what = rng.randrange(6)
    if what == 0:
        manifest["about"]["forms"] = damaged_value(manifest["about"]["forms"], rng)
    elif what == 1:
        file.unlink()
        del manifest["files"][file.name]
    else:
        data = rng.choice(sorted((place / "b").glob("model.*"))).read_bytes() if what == 2 else file.read_bytes()
        file.write_bytes(data if what == 2 else damaged_as(file.name)(data, rng))
        manifest["files"][file.name] = sha256(file)
    (place / "b" / MANIFEST).write_text(_json(manifest))
    image = f"{base}/images/0000.png"
    form = rng.choice(("", "", "--form int8", "--form fused", "--form portable", "--form x"))
    return rng.choice((f"run b {image} {form}", f"run b {image} {form}", "energy b", "card b"))


def web_folder(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """The folder of a page, of which a file is damaged, gone or more, and its manifest knows or does not."""
    shutil.copytree(_exported(base, "web"), place / "b")
    file = rng.choice(sorted(path for path in (place / "b").iterdir() if path.stat().st_size < 10**6))
    what = rng.randrange(4)
    if what == 0:
        file.unlink()
    elif what == 1:
        (place / "b" / rng.choice(("x.htm", "new.js", "..x"))).write_text(f"<{TAG}>")
    else:
        file.write_bytes(damaged_as(file.name)(file.read_bytes(), rng))
        if file.name != MANIFEST and what == 2:
            manifest = json.loads((place / "b" / MANIFEST).read_text())
            manifest["files"][file.name] = sha256(file)
            (place / "b" / MANIFEST).write_text(json.dumps(manifest))
    return rng.choice(
        (f"run b {base}/images/0000.png", "energy b", "card b", f"export {base}/run --target web --out b")
    )


NEWER = {
    "recipes of hostile values": sound_recipe,
    "hf-disk folders": hf_disk,
    "tonic files": tonic_files,
    "tuning": tuned,
    "shards": shard_files,
    "several forms": several_forms,
    "web folders": web_folder,
    "hostile names": hostile_names,
}
