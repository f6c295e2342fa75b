"""Read: a NIR file as a graph; the file itself is opened by a child process, which a damaged one may hang or crash."""

from __future__ import annotations

import atexit
import io
import json
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import nir
import numpy as np

from neuroprompt.compiler.check import PARAMETERS
from neuroprompt.compiler.conventions import declare
from neuroprompt.errors import BadGraph, BadSetting
from neuroprompt.workers import read_hdf5

SECONDS = 20.0
"""What reading may take of the processor, and a second for every 10 MB beside it."""
PATIENCE = 10.0
"""So many times as long it may take by the clock, where other work has the machine."""


def read_graph(
    path: Path | str, dt: float | None = None, convention: str | None = None, reset: str | None = None
) -> nir.NIRGraph:
    """Read a NIR file; with `dt` the graph's time step becomes that, in seconds, and with `convention` it is of that.

    `convention` is a name of `neuroprompt.compiler.conventions`. With `reset` "subtract" a spike takes the threshold
    off v, as that convention does it; with "zero" v becomes v_reset. Raises BadGraph, BadSetting, UnknownName.

    Rejected: arrays of more than 2 GiB in all, graphs nested deeper than 50, links to other files or to a group that
    holds them, and what cannot be read in 20 s. Nodes are not checked against each other here: `flatten` does.
    """
    path = Path(path)
    if not path.is_file():
        raise BadGraph(f"there is no file {path}", "a NIR file (HDF5)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = nir.dict2NIRNode(_named(_plain(path)) | {"type_check": False})
    except BadGraph:
        raise
    except (Exception, RecursionError) as error:  # nir raises whatever the values lead it to
        got = f"{path} cannot be read as NIR ({type(error).__name__}: {error})"
        raise BadGraph(got, "a whole NIR file") from error
    if not isinstance(graph, nir.NIRGraph):
        raise BadGraph(f"{path} holds a single {type(graph).__name__}", "a graph")
    if dt is not None and not 0 < dt < np.inf:
        raise BadSetting(f"dt {dt}", "seconds above 0")
    declare(graph, convention, dt, reset)
    return graph


def _plain(path: Path) -> dict[str, Any]:
    """What stands below /node, as nested mappings of arrays and texts."""
    answer, data = _READER.ask(path)
    if "refused" in answer:
        raise BadGraph(f"{path} {answer['refused'][0]}", answer["refused"][1])
    plain: dict[str, Any] = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        for i, place in enumerate(answer["paths"]):
            inner = plain
            for name in place[:-1]:
                inner = inner.setdefault(name, {})
            value = file[str(i)]
            if place[-1]:
                # sinabs, and snnTorch of before 1.0, write parameters of no dimension: nir wants arrays all the same.
                inner[place[-1]] = value if value.ndim or place[-1] in NUMBERS else value.item()
                if isinstance(inner[place[-1]], bytes):
                    inner[place[-1]] = inner[place[-1]].decode("utf8")
    return plain


def _named(plain: dict[str, Any]) -> dict[str, Any]:
    """A graph whose nodes "a/b", which HDF5 takes for a group in a group, have their names again."""
    if not isinstance(plain.get("nodes"), dict):
        return plain
    nodes: dict[str, Any] = {}
    stack = list(plain["nodes"].items())
    while stack:
        name, values = stack.pop()
        if not isinstance(values, dict):
            raise BadGraph(f"node {name!r} is no node", "a group with a type")
        inner = {k: v for k, v in values.items() if isinstance(v, dict) and k not in GROUPS}
        stack += [(f"{name}/{key}", value) for key, value in inner.items()]
        if "type" in values:
            nodes[name] = _named({k: v for k, v in values.items() if k not in inner})
    return plain | {"nodes": nodes}


GROUPS = ("nodes", "metadata", "input_type", "output_type")
"""The groups of a node that are part of it."""
NUMBERS = {key for keys in PARAMETERS.values() for key in keys}
"""The names of all parameters that are numbers."""


class _Reader:
    """A child that reads files one after the other, begun at the first, and anew when one has hung or killed it."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()

    def ask(self, path: Path) -> tuple[dict[str, Any], bytes]:
        """The child's answer for one file."""
        limit = SECONDS + path.stat().st_size / 1e7
        with self.lock:
            if self.child is None or self.child.poll() is not None:
                command = [sys.executable, "-I", str(Path(read_hdf5.__file__))]
                self.child = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            child, timer = self.child, threading.Timer(PATIENCE * limit, self.child.kill)
            assert child.stdin is not None
            assert child.stdout is not None
            timer.start()
            try:
                child.stdin.write(json.dumps([str(path.resolve()), limit]).encode() + b"\n")
                child.stdin.flush()
                line = child.stdout.readline()
                answer: dict[str, Any] = json.loads(line) if line else {}
                data = child.stdout.read(answer.get("size", 0))
            except OSError:
                answer = {}
            finally:
                timer.cancel()
            if not answer or len(data) < answer["size"]:
                self.end()
                said = f"cannot be read as NIR (it crashed the HDF5 library, or took it more than {limit:.0f} s)"
                return {"refused": [said, "a whole NIR file"]}, b""
            return answer, data

    def end(self) -> None:
        """End the child; its input's end does the same when this process is killed."""
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
            self.child = None


_READER = _Reader()
atexit.register(_READER.end)
