"""Fixtures that every test may use."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import NAMES, Browser, Look
from hypothesis import settings
from torchlib_once import list_once

from neuroprompt.bundles import choice
from neuroprompt.compiler import kept
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import RuntimeMissing
from neuroprompt.processes import what_happened
from neuroprompt.simulators.runtime import WORKERS, Runtime

# One thread a process (pytest-xdist), or as many as are asked for; children read the variable.
THREADS = os.environ.get("NEUROPROMPT_TEST_THREADS", "1")
os.environ["OMP_NUM_THREADS"] = THREADS
torch.set_num_threads(int(THREADS))
# Images for containers often forbid Python to keep bytecode: each of the hundreds of processes that tests start would
# compile torch anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
torch.set_warn_always(True)  # else a warning is an error in whichever test comes first, and in none after it
os.environ["COLUMNS"] = "80"  # tables are printed as on the narrowest terminal, wherever the tests run

# Tests press Ctrl-C, which a shell in the background has its children ignore.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time, so that a run says something of the change. `--hypothesis-profile default` draws others.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.hookimpl(trylast=True)  # behind the choice by marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each process gets one part of the list (pytest-xdist): deal the longest tests to their beginnings.

    So that no process is left alone with one of them at the end.
    """
    processes: int = getattr(config, "workerinput", {}).get("workercount", 1)

    def seconds(item: pytest.Item) -> int:
        mark = item.get_closest_marker("longest")
        return mark.args[0] if mark else 0

    longest = sorted(filter(seconds, items), key=seconds, reverse=True)
    others = [item for item in items if not seconds(item)]
    share = -(-len(others) // processes)
    parts = ((*longest[k::processes], *others[k * share :][:share]) for k in range(processes))
    items[:] = itertools.chain.from_iterable(parts)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Say how a process of pytest-xdist died: it says only that it did."""
    if error is not None:
        code = None
        with suppress(subprocess.TimeoutExpired):
            code = node.gateway._io.popen.wait(10)
        print(f"\n{node.gateway.id} {what_happened(code, 10, str(error))}", file=sys.stderr)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real weights, data and graphs beside the project; tests that use it are skipped without it."""
    folder = Path(os.environ.get("NEUROPROMPT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (folder / "assets").is_dir():
        pytest.skip("no folder of real weights and data (NEUROPROMPT_SHARED) beside the project")
    return folder


@pytest.fixture(scope="session")
def lava() -> SpikingTarget:
    """The real Lava simulator; its runtime is built at first use, in the cache that every user of this machine has."""
    try:
        Runtime("lava", "3.10", WORKERS / "lava.txt").interpreter(install=True)
    except RuntimeMissing as error:
        pytest.skip(f"no Python 3.10 can be had: {error}")
    target = SpikingTarget.named("lava")
    target.install()
    return target


@pytest.fixture(scope="session")
def overlaid() -> Callable[[str], SpikingTarget]:
    """A simulator with packages of its own, which are fetched at first use into this machine's cache; else a skip."""

    def target(name: str) -> SpikingTarget:
        simulator = SpikingTarget.named(name)
        try:
            simulator.install()
        except RuntimeMissing as error:
            pytest.skip(f"the packages of {name} cannot be had: {error}")
        if not simulator.available().ok:
            pytest.skip(f"{name} is not installed: {simulator.available().fix}")
        return simulator

    return target


@pytest.fixture(scope="session")
def _measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names of folders that are not there yet: pytest's own numbering would look through thousands for each test."""
    base = tmp_path_factory.mktemp("measured")
    return (base / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _nothing_measured_before(_measured: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """`bench` keeps which file was faster, and searches what they found: tests leave this machine's user's alone."""
    place = next(_measured)
    monkeypatch.setattr(choice, "folder", lambda: place / "forms")
    monkeypatch.setattr(kept, "folder", lambda: place / "integers")


@pytest.fixture(autouse=True)
def _exports_are_quicker() -> None:
    list_once()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium (apt-get install chromium)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        started = Browser(program, Path(profile))
        try:
            yield started
        finally:
            started.close()


@pytest.fixture
def look(browser: Browser) -> Look:
    """What the browser sees of a file: `look(file, width, height, dark=..., screenshot=...)`."""
    return browser.look
