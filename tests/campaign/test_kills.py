"""Commands that write, killed at random moments: nothing lost or half-written, nobody left, the same result after.

NEUROPROMPT_KILLS says how often each is killed (2 in CI), NEUROPROMPT_KILLS_LOG names a file that gets a line of JSON
after each kill; kills that stand in it are not repeated, so that a campaign goes on after an interruption. SECURITY.md
holds the figures of a large run.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cheap_cells import write_script
from fork_server import ForkServer
from hub_stand_in import TOKEN, Hub
from killing import TINY, TRAIN, Campaign, Case, files_in

KILLS = int(os.environ.get("NEUROPROMPT_KILLS", "2"))
SEED = int(os.environ.get("NEUROPROMPT_KILLS_SEED", "0"))
IN_CI = ("eval", "export nir", "run images", "pull", "graph lava", "train")
"""The cheapest: the others run only in a campaign."""


def runs(name: str) -> bool:
    """Files of a run folder, and of a sweep: they appear one after the other."""
    return True


def of_uv(name: str) -> bool:
    """What uv and Python write in an environment that is of each building's own."""
    return name.endswith((".pyc", "uv_cache.json", "RECORD", "pyvenv.cfg", ".lock")) or "/bin/" in name


SWEEP = f"sweep {TINY} --limit 20 --epochs 1 --grid method=linear"
CACHE = {"NEUROPROMPT_CACHE": "cache"}
COMMANDS: tuple[Case, ...] = (
    Case("train", f"{TRAIN} --epochs 4 --out run", grows=runs),
    Case("eval", "eval BASE/run --csv a.csv"),
    Case("export nir", "export BASE/run --target nir --out out"),
    Case("export lava", "export BASE/run --target lava --out out"),
    Case("export c", "export BASE/run --target c --out out"),
    Case("graph lava", "export BASE/graph.nir --target lava --steps 10 --out out"),
    Case("export web", "export BASE/run --target web --out out"),
    Case("graph netx", "export BASE/graph.nir --target netx --steps 10 --out out"),
    Case("graph c", "export BASE/graph.nir --target c --steps 10 --out out"),
    Case("graph c-float32", "export BASE/graph.nir --target c-float32 --steps 10 --out out"),
    Case("run images", "run BASE/means BASE/images --out l.csv --threads 1"),
    Case("run items", "run BASE/graph.nir --inputs BASE/items.npy --steps 8 --out l.csv"),
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
    Case("push", "push BASE/lava me/pushed", {"HF_TOKEN": TOKEN}, keeps=False),
    Case("graph tuned", "export BASE/graph.nir --target lava --steps 10 --input poisson:0.5 --tune 2 --out out"),
    Case("sweep", f"{SWEEP} --seeds 3 --out out", grows=runs, differs=lambda name: "/logs/" in name),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("case", COMMANDS, ids=lambda case: case.name.replace(" ", "-"))
def test_killed_at_random_moments(case: Case, server: ForkServer, base: Path, hub: Hub, tmp_path: Path) -> None:
    if "NEUROPROMPT_KILLS" not in os.environ and case.name not in IN_CI:
        pytest.skip("in a campaign only: set NEUROPROMPT_KILLS")
    given = {f"lava/{name}": data for name, data in files_in(base / "lava").items()} if case.name == "card" else {}
    if case.name == "sweep":
        case = replace(case, env={"NEUROPROMPT_CELL": str(cheap_cell(server, tmp_path))})
    case = replace(case, words=case.words.replace("BASE", str(base)), given=given)
    if case.name == "push":
        case = replace(case, reset=lambda: hub.repos.pop("me/pushed", None), elsewhere=lambda: pushed(hub))
    log = os.environ.get("NEUROPROMPT_KILLS_LOG")
    earlier = [line for line in logged(log) if line["case"] == case.name]
    numbers = sorted(set(range(KILLS)) - {line["number"] for line in earlier})
    faults = [(line["number"], *fault) for line in earlier for fault in line["faults"]]
    for killed in Campaign(server, tmp_path).kill(case, numbers, SEED):
        if log:
            with Path(log).open("a") as stream:
                stream.write(killed.line() + "\n")
        faults += [(killed.number, *fault) for fault in killed.faults]
    assert faults == []


def pushed(hub: Hub) -> dict[str, bytes]:
    """The files of the repository as one, since a commit holds all of them or none."""
    files = hub.repos.get("me/pushed")
    return {"me/pushed": repr(sorted(files.items())).encode()} if files else {}


def cheap_cell(server: ForkServer, folder: Path) -> Path:
    """A script in place of Python that copies the one cell which is really trained and tested here."""
    server.start(f"{SWEEP} --seeds 1 --out first".split(), folder, folder / "said")
    assert server.end().code == 0, (folder / "said.err").read_text()
    (folder / "cells").mkdir()
    (folder / "cells" / "sound").touch()
    first = folder / "first"
    return write_script(folder / "cells", next((first / "runs").iterdir()), next((first / "tests").iterdir()))


def logged(log: str | None) -> list[dict[str, Any]]:
    """The kills of a campaign so far."""
    if log is None or not Path(log).exists():
        return []
    return [json.loads(line) for line in Path(log).read_text().splitlines()]
