"""The rows of the kill campaign: every command that writes, what it writes, and what of that may differ."""

from __future__ import annotations

import io
import re
import zipfile

import numpy as np
from hub_stand_in import TOKEN
from killing import TINY, TRAIN, Case


def runs(name: str) -> bool:
    """Files of a run folder, and of a sweep: they appear one after the other."""
    return True


def of_uv(name: str) -> bool:
    """What uv and Python write in an environment that is of each building's own."""
    return name.endswith((".pyc", "uv_cache.json", "RECORD", "pyvenv.cfg", ".lock")) or "/bin/" in name


def log(name: str) -> bool:
    """What a task printed, with its times."""
    return name.endswith("log.txt")


def untimed(name: str, data: bytes) -> bytes:
    """What a shard of `verify` found, without the seconds that it took and the digest that covers them."""
    if not name.endswith("shard.npz"):
        return data
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            kept = {key: archive[key].tobytes() for key in sorted(archive) if key != "digest"}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return data
    return re.sub(rb'"seconds": [-+.e0-9]+', b"", b"".join(kept.values()))


def timed(name: str) -> bool:
    """What holds times of this machine."""
    return name.startswith("cache/") or "/latency-" in name or name.endswith((".html", ".svg", ".json"))


DATA = "BASE/graph.nir --inputs BASE/items.npy --steps 8"
ITEMS = f"run {DATA}"
SHARDS = "--targets loihi --engine local --shards 2 --work work"
SWEEP = f"sweep {TINY} --limit 20 --epochs 1 --grid method=linear"
CACHE = {"NEUROPROMPT_CACHE": "cache"}
COMMANDS: tuple[Case, ...] = (
    Case("train", f"{TRAIN} --epochs 4 --out run", grows=runs),
    Case("train logged", f"{TRAIN} --epochs 2 --log csv --out run", grows=runs),
    Case("train workers", f"{TRAIN} --epochs 2 --augment flip --workers 2 --out run", grows=runs),
    Case("eval", "eval BASE/run --csv a.csv"),
    Case("eval shards", "eval BASE/run --csv a.csv --engine local --shards 2 --work work", differs=log),
    Case("export nir", "export BASE/run --target nir --out out"),
    Case("export lava", "export BASE/run --target lava --out out"),
    Case("export c", "export BASE/run --target c --out out"),
    Case("graph lava", "export BASE/graph.nir --target lava --steps 10 --out out"),
    Case("export web", "export BASE/run --target web --out out"),
    Case("graph netx", "export BASE/graph.nir --target netx --steps 10 --out out"),
    Case("graph c", "export BASE/graph.nir --target c --steps 10 --out out"),
    Case("graph c-float32", "export BASE/graph.nir --target c-float32 --steps 10 --out out"),
    Case("run images", "run BASE/means BASE/images --out l.csv --threads 1"),
    Case("run openvino", "run BASE/means BASE/images --target openvino --out l.csv --threads 1"),
    Case("run items", f"{ITEMS} --out l.csv"),
    Case("run shards", f"{ITEMS} --engine local --shards 2 --work work --out l.csv", differs=log),
    Case("run figure", f"{ITEMS} --labels BASE/labels.npy --figure f.png"),
    Case("verify figure", "verify BASE/graph.nir --steps 5 --targets reference,loihi --figure v.svg"),
    Case("verify shards", f"verify {DATA} {SHARDS}", differs=log, counts=untimed),
    Case("energy chip", "energy BASE/graph.nir --steps 5 --target loihi --precision fixed --chip c.svg"),
    Case("run spikes", "run BASE/lava --target loihi --out s.npz"),
    Case("card", "card lava --license mit"),
    Case("pull", "pull me/digits --out out"),
    Case("install nengo", "targets install nengo", CACHE, keeps=False, differs=of_uv),
    Case("install spikingjelly", "targets install spikingjelly", CACHE, keeps=False, differs=of_uv),
    Case("install lava", "targets install lava", CACHE, keeps=False, differs=of_uv),
    Case("run on nengo", "run BASE/lava --target nengo --precision float --out s.npz"),
    Case("run on lava", "run BASE/lava --target lava --out s.npz"),
    Case("report", "report BASE/run BASE/lava --skip latency --skip verify --skip measure --out r.html"),
    Case("export onnx", "export BASE/run --target onnx --out out"),
    Case("bench", "bench ONNX --rounds 1 --threads 1", CACHE, grows=runs, differs=timed),
    Case("demo", "demo --out demo", CACHE, grows=runs, differs=timed),
    Case("push", "push BASE/lava me/pushed", {"HF_TOKEN": TOKEN}, keeps=False),
    Case("graph tuned", "export BASE/graph.nir --target lava --steps 10 --input poisson:0.5 --tune 2 --out out"),
    Case("sweep", f"{SWEEP} --seeds 3 --out out", grows=runs, differs=lambda name: "/logs/" in name),
)  # fmt: skip
