"""Places that fail: a full disk, a read-only folder, one that vanishes, files that change while they are read.

Each is one line and exit code 2, nothing is half-written, and the same command goes on once the place is sound again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from fork_server import ForkServer
from killing import TRAIN, Case, differences, files_in, fresh, half_written
from killing_rows import of_uv, runs, timed
from process_times import alive
from small_disk import mounted

MOMENTS = int(os.environ.get("NEUROPROMPT_PLACES", "1"))
"""Of each command, how many in which its folder vanishes or its input changes."""
COMMANDS = {
    "train": f"{TRAIN} --epochs 2 --out deep/run",
    "eval": "eval BASE/run --csv deep/a.csv",
    "export nir": "export BASE/run --target nir --out deep/out",
    "export lava": "export BASE/run --target lava --out deep/out",
    "export onnx": "export BASE/run --target onnx --out deep/out",
    "export web": "export BASE/run --target web --out deep/out",
    "export c": "export BASE/run --target c --out deep/out",
    "graph netx": "export BASE/graph.nir --target netx --steps 10 --out deep/out",
    "graph tuned": "export BASE/graph.nir --target lava --steps 10 --input poisson:0.5 --tune 2 --out deep/out",
    "graph c": "export BASE/graph.nir --target c --steps 10 --out deep/out",
    "run images": "run BASE/means BASE/images --out deep/l.csv --threads 1",
    "run items": "run BASE/graph.nir --inputs BASE/items.npy --steps 8 --out deep/l.csv",
    "run spikes": "run BASE/lava --target loihi --out deep/s.npz",
    "run figure": "run BASE/graph.nir --inputs BASE/items.npy --labels BASE/labels.npy --steps 8 --figure deep/f.png",
    "verify figure": "verify BASE/graph.nir --steps 5 --targets reference,loihi --figure deep/v.svg",
    "energy chip": "energy BASE/graph.nir --steps 5 --target loihi --precision fixed --chip deep/c.svg",
    "pull": "pull me/digits --out deep/out",
    "report": "report BASE/run BASE/lava --skip latency --skip verify --skip measure --skip accuracy --out deep/r.html",
    "install nengo": "targets install nengo",
    "demo": "demo --out deep/demo",
}
IN_CI = ("run images", "eval")
"""The cheapest: the others run only in a campaign."""
MAY = {
    "train": Case("train", COMMANDS["train"], grows=runs),
    "install nengo": Case("install nengo", COMMANDS["install nengo"], differs=of_uv),
    "demo": Case("demo", COMMANDS["demo"], grows=runs, differs=timed),
}
"""Which of their files appear one after the other, or have bytes of each run's own; no file of the other commands."""
READ = ("images", "lava", "means", "run", "graph.nir", "items.npy", "demo")
READ_HERE = READ if "NEUROPROMPT_PLACES" in os.environ else READ[:2]
PAGE = 4096
"""Bytes that a file of one byte takes on a disk in memory."""
ENV = {"NEUROPROMPT_CACHE": "deep/cache"}

each_command = pytest.mark.parametrize("name", COMMANDS)


@pytest.fixture(autouse=True)
def _bounded(request: pytest.FixtureRequest) -> None:
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    if name not in (None, *IN_CI) and "NEUROPROMPT_PLACES" not in os.environ:
        pytest.skip("in a campaign only: set NEUROPROMPT_PLACES")


class Typed:
    """Commands typed in `place`, whose folder `deep` is the one that fails."""

    def __init__(self, server: ForkServer, base: Path, tmp_path: Path) -> None:
        self.server, self.base, self.place, self.said = server, base, tmp_path / "place", tmp_path / "said"
        fresh(self.place, {})
        (self.place / "deep").mkdir()

    def start(self, name: str, limits: dict[str, int] | None = None) -> int:
        words = {**COMMANDS, "card": "card deep/lava --license mit"}[name].replace("BASE", str(self.base)).split()
        return self.server.start(words, self.place, self.said, ENV, limits)

    def run(self, name: str, limits: dict[str, int] | None = None) -> int:
        self.start(name, limits)
        return self.server.end().code

    @property
    def words(self) -> str:
        return "".join(Path(f"{self.said}.{ending}").read_text(errors="replace") for ending in ("out", "err"))

    def one_line(self, code: int) -> None:
        assert "Traceback" not in self.words, self.words
        assert code == 2, self.words
        assert len([line for line in self.words.splitlines() if line.startswith("error: ")]) == 1, self.words


@pytest.fixture
def typed(server: ForkServer, base: Path, tmp_path: Path) -> Typed:
    return Typed(server, base, tmp_path)


@pytest.mark.slow
@each_command
def test_a_full_disk(name: str, typed: Typed) -> None:
    """As soon as a few bytes are written, parts of what it needs such as half, and all but a little."""
    case = MAY.get(name, Case(name, COMMANDS[name]))
    assert typed.run(name) == 0, typed.words
    expected = files_in(typed.place / "deep")
    pages = sum(-(-len(data) // PAGE) for data in expected.values())
    parts = (pages * part // (MOMENTS + 1) for part in range(1, MOMENTS + 1))
    fresh(typed.place, {})
    (typed.place / "deep").mkdir()
    with mounted(typed.place / "deep", f"size={PAGE}"):
        for size in sorted({max(1, size) for size in (1, *parts, pages - 1)}):
            remount = ["mount", "-o", f"remount,size={PAGE * size}", str(typed.place / "deep")]
            subprocess.run(remount, check=True)
            code = typed.run(name)
            if code or size < pages - 1:  # a page with times in it may be a little smaller than before
                typed.one_line(code)
            assert half_written(files_in(typed.place / "deep"), expected, case) == {}
        subprocess.run(["mount", "-o", "remount,size=900M", str(typed.place / "deep")], check=True)
        assert typed.run(name) == 0, typed.words
        assert differences(files_in(typed.place / "deep"), expected, case) == ""


@pytest.mark.slow
def test_a_card_where_its_bundle_has_no_room(typed: Typed, base: Path) -> None:
    """The one command that changes what is there: the bundle stays what it was."""
    deep = typed.place / "deep"
    with mounted(deep, "size=900M"):
        shutil.copytree(base / "lava", deep / "lava")
        before = files_in(deep)
        full = sum(-(-len(data) // PAGE) * PAGE for data in before.values()) + PAGE  # and its folder
        for options in (f"size={full}", "size=900M,ro"):
            subprocess.run(["mount", "-o", f"remount,{options}", str(deep)], check=True)
            typed.one_line(typed.run("card"))
            assert files_in(deep) == before
        subprocess.run(["mount", "-o", "remount,size=900M,rw", str(deep)], check=True)
        assert typed.run("card") == 0, typed.words
        assert files_in(deep).keys() == {*before, "lava/README.md"}


@pytest.mark.slow
@each_command
def test_files_that_may_not_be_large(name: str, typed: Typed) -> None:
    """The limit of ulimit -f: as a full disk, where nobody can mount one."""
    code = typed.run(name, {"RLIMIT_FSIZE": 1000})
    if "install" in name:  # uv says it in its own words
        assert code == 2, typed.words
    elif code:  # a file of a few bytes fits
        typed.one_line(code)
        assert all(len(data) <= 1000 for data in files_in(typed.place / "deep").values())
    assert typed.run(name) == 0, typed.words


@pytest.mark.slow
@each_command
def test_a_read_only_folder(name: str, typed: Typed) -> None:
    with mounted(typed.place / "deep", f"ro,size={PAGE}"):
        typed.one_line(typed.run(name))
        assert os.listdir(typed.place / "deep") == []
    assert typed.run(name) == 0, typed.words


@pytest.mark.slow
@each_command
def test_a_folder_that_vanishes(name: str, typed: Typed) -> None:
    """It may be made again, or its loss is one line."""
    began = time.monotonic()
    assert typed.run(name) == 0
    seconds, rng = time.monotonic() - began, Random(name)
    for _ in range(MOMENTS):
        fresh(typed.place, {})
        (typed.place / "deep").mkdir()
        pid = typed.start(name)
        time.sleep(rng.random() * seconds)
        shutil.rmtree(typed.place / "deep", ignore_errors=True)
        while alive(pid):
            time.sleep(0.01)
        code = typed.server.end().code
        if code:
            typed.one_line(code)
        (typed.place / "deep").mkdir(exist_ok=True)
        assert typed.run(name) == 0, typed.words


@pytest.mark.slow
@pytest.mark.parametrize("what", READ_HERE)
def test_what_is_read_changes_meanwhile(what: str, server: ForkServer, base: Path, tmp_path: Path) -> None:
    """Overwritten with half of itself or removed at a random moment: a result, or one line.

    The `demo` reads what it wrote itself.
    """
    mine = tmp_path / "base"
    shutil.copytree(base, mine)
    typed = Typed(server, mine, tmp_path)
    command = {"run": "eval", "lava": "run spikes", "means": "run images", "images": "run images", "demo": "demo"}.get(
        what, "run items"
    )
    place = typed.place / "deep" / "demo" if what == "demo" else mine / what
    began = time.monotonic()
    assert typed.run(command) == 0, typed.words
    seconds, rng = time.monotonic() - began, Random(what)
    for moment in range(MOMENTS * 2):
        shutil.rmtree(mine)
        shutil.copytree(base, mine)
        fresh(typed.place, {})
        (typed.place / "deep").mkdir()
        pid = typed.start(command)
        time.sleep(rng.random() * seconds)
        files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
        for file in rng.sample(files, min(len(files), 100)):
            with suppress(FileNotFoundError):  # the demo itself removes what it needs no more
                if moment % 2:
                    file.unlink()
                else:
                    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        while alive(pid):
            time.sleep(0.01)
        code = typed.server.end().code
        if what == "images" and code == 1:  # a row for each image that could not be read
            assert "could not be read" in typed.words
        elif code:
            typed.one_line(code)
