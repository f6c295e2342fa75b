"""Damaged and hostile files of every kind that a user hands in, each with the command that is typed on it."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from damage import ESCAPE, NASTY, damaged_as, damaged_bytes, damaged_json, damaged_text
from hostile_kept import KEPT
from hostile_options import NEWER
from hub_stand_in import Hub
from killing import TINY, TRAIN
from PIL import Image

import neuroprompt
from neuroprompt.bundles.bundle import MANIFEST
from neuroprompt.files import sha256

IMAGES = 20
"""Hostile images in the folder of one command."""

Make = Callable[[Path, Path, Hub, Random], str]
"""Writes a hostile file into a folder, from the sound ones in another; what to type then."""


def changed_in(folder: Path, name: str, rng: Random) -> None:
    """Damage a file of a bundle, and give the manifest its new SHA-256."""
    file = folder / name
    file.write_bytes(damaged_as(name)(file.read_bytes(), rng))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = sha256(file)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def image_of(rng: Random) -> tuple[str, bytes]:
    """An image's name and bytes: damaged, with a wrong suffix, or claiming to be enormous."""
    kind = rng.choice(("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"))
    mode = "P" if kind == "GIF" else rng.choice(("RGB", "L")) if kind in ("JPEG", "PPM") else "RGB"
    size = (rng.randrange(1, 40), rng.randrange(1, 40))
    stream = io.BytesIO()
    Image.frombytes("RGB", size, rng.randbytes(3 * size[0] * size[1])).convert(mode).save(stream, kind)
    data = stream.getvalue()
    what = rng.randrange(6)
    if what == 0 and kind == "PNG":  # width and height of a bomb
        data = data[:16] + rng.choice((b"\xff\xff\xff\xff", b"\x00\x01\x00\x00")) * 2 + data[24:]
    elif what == 1 and kind == "BMP":
        data = data[:18] + b"\xff\xff\xff\x7f" * 2 + data[26:]
    elif what == 2:
        data = b"P6 60000 60000 255\n" + rng.randbytes(100)
    elif what < 5:
        data = damaged_bytes(data, rng)
    suffix = rng.choice((".png", ".jpg", ".gif", ".bmp", ".tif", ".webp", ".ppm", ".jp2", ".avif"))
    return rng.choice(("x", "a b", "é", ESCAPE.replace("/", ""))) + suffix, data


def an_image(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    (place / "images").mkdir()
    for number in range(IMAGES):
        name, data = image_of(rng)
        (place / "images" / f"{number}{name}").write_bytes(data)
    return f"run {base}/means images"


def bundle_manifest(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    which = rng.choice(("means", "lava"))
    shutil.copytree(base / which, place / "b")
    file = place / "b" / MANIFEST
    file.write_bytes(damaged_json(file.read_bytes(), rng))
    image = f"{base}/images/0000.png"
    typed = {"means": (f"run b {image}", f"run b {image} --out l.csv"), "lava": ("run b --target loihi", "energy b")}
    return rng.choice(typed[which])


def bundle_file(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    shutil.copytree(base / "lava", place / "b")
    names = [p.name for p in sorted((place / "b").iterdir()) if p.suffix in (".nir", ".npz", ".npy", ".json")]
    changed_in(place / "b", rng.choice([name for name in names if name != MANIFEST]), rng)
    return rng.choice(("run b --target loihi", "run b --target loihi --precision float"))


def onnx_file(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    shutil.copytree(base / "means", place / "b")
    changed_in(place / "b", "model.onnx", rng)
    return rng.choice((f"run b {base}/images/0000.png", f"run b {base}/images/0000.png", "energy b"))


def run_json(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    shutil.copytree(base / "run", place / "r")
    file = place / "r" / rng.choice(("run.json", "run.json", "metrics.json"))
    file.write_bytes(damaged_json(file.read_bytes(), rng))
    return rng.choice(("eval r", "export r --target nir --out out"))


def run_tensors(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    shutil.copytree(base / "run", place / "r")
    file = place / "r" / "prompt.safetensors"
    file.write_bytes(damaged_as(file.name)(file.read_bytes(), rng))
    return rng.choice(("eval r", "export r --target nir --out out"))


def weights(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    file = place / "w.safetensors"
    sound = Path(neuroprompt.__file__).parent / "backbones" / "embedded.safetensors"
    file.write_bytes(damaged_as(file.name)(sound.read_bytes(), rng))
    small = TINY.replace("--random-weights", "--method linear --limit 20 --epochs 1")
    return f"train {small} --weights w.safetensors --out out"


def price_list(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    (place / "x.toml").write_bytes(damaged_text(PRICES.encode(), rng))
    return rng.choice(
        (
            f"energy {base}/graph.nir --steps 5 --generator-prices x.toml",
            f"energy {base}/graph.nir --steps 5 --prices x.toml,loihi",
        )
    )


def table(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    rows = [f"{base}/images/{i:04}.png,{'ab'[i % 2]}" for i in range(8)]
    kind = rng.choice(("csv", "list"))
    text = "\n".join(["path,label", *rows] if kind == "csv" else [row.replace(",", " ") for row in rows])
    name = "x.csv" if kind == "csv" else "x.txt"
    (place / name).write_bytes(damaged_text(text.encode(), rng))
    return f"train {TINY} --method linear --epochs 1 --data {kind}:{name} --out out"


def image_list(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    text = "\n".join(f"{base}/images/{i:04}.png" for i in range(6))
    (place / "x.txt").write_bytes(damaged_text(text.encode(), rng))
    return f"run {base}/means --list x.txt" + rng.choice(("", " --out l.csv", " --out l.jsonl"))


def arrays(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    sound = np.random.default_rng(0).integers(0, 2, (4, 8, 6)).astype(np.float32)
    stream = io.BytesIO()
    name = rng.choice(("x.npy", "x.npy", "x.npz"))
    if name == "x.npy":
        np.save(stream, sound)
    else:
        np.savez(stream, inputs=sound, labels=np.arange(4))
    (place / name).write_bytes(damaged_as(name)(stream.getvalue(), rng))
    if rng.random() < 0.3:
        np.save(place / "sound.npy", sound)
        return f"run {base}/graph.nir --inputs sound.npy --labels {name}"
    return rng.choice(
        (
            f"run {base}/graph.nir --inputs {name}",
            f"verify {base}/graph.nir --targets reference --input {name}",
            f"run {base}/graph.nir --inputs {name} --steps 8",
        )
    )


def nir_file(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    name = rng.choice(("g.nir", "g.nir", "g.hdf5", "g.net"))
    (place / name).write_bytes(damaged_bytes((base / "graph.nir").read_bytes(), rng))
    return rng.choice((f"verify {name} --steps 4 --targets reference", f"energy {name} --steps 4"))


def hub_answer(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    files = {path.name: path.read_bytes() for path in (base / "lava").iterdir()}
    what = rng.randrange(4)
    if what == 0:
        files[MANIFEST] = damaged_bytes(files[MANIFEST], rng)
    elif what == 1:
        name = rng.choice(sorted(files))
        files[name] = damaged_as(name)(files[name], rng)
    else:
        manifest = json.loads(files[MANIFEST])
        name = rng.choice(("../x", "/x", "a/../../x", ".git/config", "x\\y", ESCAPE, "", ".", "a" * 5000, "x.pkl"))
        manifest["files"][name] = rng.choice((*NASTY[:20], "0" * 64))
        files[MANIFEST] = json.dumps(
            manifest if what == 2 else damaged_json(b"{}", rng).decode(errors="replace")
        ).encode()
    hub.repos["me/hostile"] = files
    return "pull me/hostile --out out"


def link_or_pipe(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    """A file of a bundle, a run or a folder of data that is a link, a pipe, a socket, or a folder."""
    which = rng.choice(("means", "lava", "run", "images", "graph"))
    if which == "images":
        (place / which).mkdir()
        shutil.copy(base / "images" / "0000.png", place / which / "a.png")
    elif which == "graph":
        (place / which).mkdir()
        shutil.copy(base / "graph.nir", place / which / "g.nir")
        shutil.copy(base / "items.npy", place / which / "x.npy")
    else:
        shutil.copytree(base / which, place / which)
    file = rng.choice(sorted((place / which).iterdir()))
    sound = file.read_bytes()
    file.unlink()
    what = rng.randrange(6)
    if what == 0:
        os.mkfifo(file)
    elif what == 1:
        file.mkdir()
    elif what == 2:
        (place / "outside").write_bytes(sound)
        file.symlink_to(place / "outside")
    else:
        file.symlink_to(
            rng.choice(("/dev/zero", "/dev/null", "/etc/passwd", "nowhere", file.name, "..", "/proc/self/mem"))
        )
    typed = {
        "means": (f"run means {base}/images/0000.png", "energy means"),
        "lava": ("run lava --target loihi", "energy lava", "card lava"),
        "run": ("eval run", "export run --target nir --out out", f"{TRAIN} --epochs 1 --out run"),
        "images": (f"run {base}/means images", f"train {TINY} --epochs 1 --data folder:images --out out"),
        "graph": (
            "run graph/g.nir --inputs graph/x.npy",
            "verify graph/g.nir --targets reference",
            "energy graph/g.nir",
        ),
    }
    return rng.choice(typed[which])


def recipe(place: Path, base: Path, hub: Hub, rng: Random) -> str:
    file = rng.choice(sorted((Path(neuroprompt.__file__).parent / "recipes").glob("*.toml")))
    (place / "x.toml").write_bytes(damaged_text(file.read_bytes(), rng))
    return f"train {TINY} --recipe x.toml --limit 20 --epochs 1 --out out"


KINDS: dict[str, Make] = {
    "images": an_image,
    "bundle manifest": bundle_manifest,
    "files of a bundle": bundle_file,
    "ONNX": onnx_file,
    "run.json, metrics.json": run_json,
    "prompt.safetensors": run_tensors,
    "weights": weights,
    "price TOML": price_list,
    "CSV and list data": table,
    "image lists": image_list,
    "npy and npz": arrays,
    "NIR": nir_file,
    "hub": hub_answer,
    "links and pipes": link_or_pipe,
    "recipes": recipe,
    **NEWER,
    **KEPT,
}
PRICES = """
title = "mine"
scope = "per term"
evidence = "measured"
technology = "28 nm"
voltage = "1 V"
leaves_out = "all else"
[prices.synops]
value = 5.0
unit = "pJ"
source = "paper, 2020, table 1"
low = 4.0
high = 6.0
[prices.spikes]
value = 1.0
unit = "pJ"
source = "paper, 2020, table 1"
[prices.updates_active]
value = 2.0
unit = "pJ"
source = "paper, 2020, table 1"
[prices.updates_inactive]
value = 2.0
unit = "pJ"
source = "paper, 2020, table 1"
[includes]
reads = "in synops"
"""
