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
from hub_stand_in import Hub
from killing import Campaign, Case, files_in
from killing_rows import COMMANDS, SWEEP

KILLS = int(os.environ.get("NEUROPROMPT_KILLS", "2"))
SEED = int(os.environ.get("NEUROPROMPT_KILLS_SEED", "0"))
IN_CI = ("eval", "export nir", "run images", "pull", "graph lava", "train")
"""The cheapest: the others run only in a campaign."""


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("case", COMMANDS, ids=lambda case: case.name.replace(" ", "-"))
def test_killed_at_random_moments(case: Case, server: ForkServer, base: Path, hub: Hub, tmp_path: Path) -> None:
    if "NEUROPROMPT_KILLS" not in os.environ and case.name not in IN_CI:
        pytest.skip("in a campaign only: set NEUROPROMPT_KILLS")
    given = {f"lava/{name}": data for name, data in files_in(base / "lava").items()} if case.name == "card" else {}
    if case.name == "sweep":
        case = replace(case, env={"NEUROPROMPT_CELL": str(cheap_cell(server, tmp_path))})
    if "ONNX" in case.words:
        case = replace(case, words=case.words.replace("ONNX", str(onnx_bundle(server, base))))
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


def onnx_bundle(server: ForkServer, base: Path) -> Path:
    """The run as an ONNX bundle, exported once."""
    if not (base / "onnx").exists():
        server.start(["export", "run", "--target", "onnx", "--out", "onnx"], base, base / "said")
        assert server.end().code == 0, (base / "said.err").read_text()
    return base / "onnx"


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
