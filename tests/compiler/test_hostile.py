"""Damaged and hostile NIR files: each is run, or refused in one line; never a traceback, a hang or a memory blow-up."""

from __future__ import annotations

import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from random_graphs import random_graph

from neuroprompt.compiler import read
from neuroprompt.compiler.compile import floats_of_graph
from neuroprompt.compiler.flatten import flatten
from neuroprompt.compiler.read import read_graph
from neuroprompt.compiler.stimuli import inputs_of
from neuroprompt.contracts.deployment import SpikingTarget
from neuroprompt.errors import BadGraph, NeuropromptError, Unsupported
from neuroprompt.spiking.graph import steps_of, write_graph

SECONDS, BYTES = 5.0, 2**31
"""What one case may take: of the processor, and of memory beside what the process has already."""

CASES = 120
"""Of each of the 14 damages; 3 times 200 more are damaged bytes."""

Damage = Callable[[h5py.File, np.random.Generator], None]


def attempt(file: Path) -> str:
    """What a user gets who verifies that file for three steps: "ran", or the kind of refusal, which is one line."""
    said = ""
    try:
        graph = read_graph(file)
        lines = flatten(graph).lines
        if "steps" in graph.metadata:
            steps_of(graph)
        inputs = inputs_of("poisson:0.5", lines, 3)
        model = floats_of_graph(graph, inputs)
        for name, precision in (("reference", "float"), ("snntorch", "float"), ("loihi", "fixed")):
            target = SpikingTarget.named(name)
            target.run(model, inputs, precision, states=True)
    except NeuropromptError as refusal:
        kind, said = type(refusal).__name__, str(refusal)
    else:
        kind = "ran"
    assert "\n" not in said
    assert len(said) < 2000
    return kind


@contextmanager
def limited() -> Iterator[None]:
    """A limit of processor time (not of the clock, which others share) and of memory, while this lasts."""

    def over(*_: Any) -> None:
        raise AssertionError(f"more than {SECONDS} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = signal.signal(signal.SIGVTALRM, over)
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, hard))
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGVTALRM, before)


# --- damage ----------------------------------------------------------------------------------------------------------


def groups_of(file: h5py.File) -> list[h5py.Group]:
    found: list[h5py.Group] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Group) and "type" in item else None)
    return found


def datasets_of(file: h5py.File) -> list[h5py.Dataset]:
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return found


def put(dataset: h5py.Dataset, value: Any, **options: Any) -> None:
    parent, name = dataset.parent, dataset.name.rsplit("/", 1)[1]
    del parent[name]
    parent.create_dataset(name, data=value, **options)


def pick(items: list[Any], rng: np.random.Generator) -> Any:
    return items[int(rng.integers(len(items)))]


def numeric(file: h5py.File, rng: np.random.Generator) -> h5py.Dataset:
    return pick([d for d in datasets_of(file) if d.dtype.kind in "fiu"], rng)


def bad_number(file: h5py.File, rng: np.random.Generator) -> None:
    dataset = pick([d for d in datasets_of(file) if d.dtype.kind == "f"], rng)
    values = np.array(dataset[()], np.float64)
    bad = rng.choice([np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, -1e300, 1e-320, 1e30])
    if values.ndim:
        values.flat[int(rng.integers(max(values.size, 1)))] = bad
    put(dataset, values if values.ndim else bad)


def every_number(file: h5py.File, rng: np.random.Generator) -> None:
    dataset = numeric(file, rng)
    put(
        dataset,
        np.full(dataset.shape, rng.choice([0, -1, 1, 2**40, -(2**40)]), dataset.dtype if rng.random() < 0.5 else "f8"),
    )


def other_dtype(file: h5py.File, rng: np.random.Generator) -> None:
    dataset, kind = numeric(file, rng), str(rng.choice(["i1", "u8", "f2", "c16", "S4", "bool", "f4", "i8"]))
    put(dataset, np.zeros(dataset.shape, kind))


def text_instead(file: h5py.File, rng: np.random.Generator) -> None:
    put(pick(datasets_of(file), rng), pick(["", "Affine", "same", "x" * 5000, "\x01", "NIRGraph"], rng))


def other_shape(file: h5py.File, rng: np.random.Generator) -> None:
    shape = tuple(int(n) for n in rng.integers(0, 6, int(rng.integers(0, 5))))
    put(numeric(file, rng), rng.normal(size=shape))


def without(file: h5py.File, rng: np.random.Generator) -> None:
    item = pick([*datasets_of(file), *groups_of(file)], rng)
    del item.parent[item.name.rsplit("/", 1)[1]]


def group_instead(file: h5py.File, rng: np.random.Generator) -> None:
    dataset = pick(datasets_of(file), rng)
    parent, name = dataset.parent, dataset.name.rsplit("/", 1)[1]
    del parent[name]
    parent.create_group(name)


def other_type(file: h5py.File, rng: np.random.Generator) -> None:
    kinds = [n for n in dir(nir) if n[0].isupper()]
    put(pick(groups_of(file), rng)["type"], str(pick([*kinds, "", "Perceptron", "__class__", "x" * 300], rng)))


def other_edges(file: h5py.File, rng: np.random.Generator) -> None:
    nodes = [*file["node/nodes"], "nowhere", "", "input"]
    edges = [[str(pick(nodes, rng)).encode(), str(pick(nodes, rng)).encode()] for _ in range(int(rng.integers(0, 12)))]
    old = [list(edge) for edge in file["node/edges"][()]]
    put(
        file["node/edges"],
        np.array((old if rng.random() < 0.7 else []) + edges or np.zeros((0, 2)), dtype=object),
        dtype=h5py.string_dtype(),
    )


def huge(file: h5py.File, rng: np.random.Generator) -> None:
    """An array that declares a thousand million numbers and holds none."""
    dataset = numeric(file, rng)
    parent, name = dataset.parent, dataset.name.rsplit("/", 1)[1]
    del parent[name]
    shape = pick([(10**9,), (10**5, 10**5), (3, 10**6, 10**4)], rng)
    parent.create_dataset(name, shape, "f4", chunks=True)


def declared(file: h5py.File, rng: np.random.Generator) -> None:
    shapes = [d for d in datasets_of(file) if d.name.endswith(("/shape", "/input_shape", "/input_type"))]
    if shapes:
        put(
            pick(shapes, rng),
            np.array(pick([[10**9], [0], [-3], [2, 3, 4], [10**5, 10**5], [], [1] * 40, [2**62, 4]], rng), np.int64),
        )


def metadata(file: h5py.File, rng: np.random.Generator) -> None:
    where = file["node"].require_group("metadata")
    key = pick(["dt", "steps", "x"], rng)
    if key in where:
        del where[key]
    where[key] = pick([0.0, -1.0, np.nan, "text", np.zeros(3), np.zeros((0,)), 2**62, -5, 1e-300, 1e300], rng)


def links(file: h5py.File, rng: np.random.Generator) -> None:
    group = pick(groups_of(file), rng)
    kind = int(rng.integers(3))
    group[f"more{len(group)}"] = (
        file["node"] if kind == 0 else h5py.SoftLink("/nowhere") if kind == 1 else h5py.ExternalLink("x.nir", "/")
    )


def deep(file: h5py.File, rng: np.random.Generator) -> None:
    group = file["node/nodes"].create_group(f"deep{len(file['node/nodes'])}")
    for _ in range(int(rng.integers(30, 130))):
        group["type"] = "NIRGraph"
        group["edges"] = np.zeros((0, 2))
        group = group.create_group("nodes").create_group("deep")


DAMAGES: tuple[Damage, ...] = (
    bad_number, every_number, other_dtype, text_instead, other_shape, without, group_instead, other_type, other_edges,
    huge, declared, metadata, links, deep,
)  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Sound files of many kinds of graphs."""
    folder, found = tmp_path_factory.mktemp("sound"), []
    for seed in range(24):
        write_graph(random_graph(seed), folder / "g.nir")
        found.append((folder / "g.nir").read_bytes())
    return found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that hangs the HDF5 library is given up sooner than a user's."""
    monkeypatch.setattr(read, "SECONDS", 3.0)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
def test_a_hundred_files_damaged_alike(damage: Damage, sound: list[bytes], tmp_path: Path) -> None:
    kinds: Counter[str] = Counter()
    file = tmp_path / "g.nir"
    for case in range(CASES):
        rng = np.random.default_rng(case)
        file.write_bytes(sound[case % len(sound)])
        with h5py.File(file, "r+") as opened:
            for _ in range(int(rng.integers(1, 3))):
                damage(opened, rng)
        with limited():
            kinds[attempt(file)] += 1
    assert kinds.total() == CASES
    assert any(kind != "ran" for kind in kinds), kinds


@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "flipped", "overwritten"])
def test_two_hundred_files_with_damaged_bytes(how: str, sound: list[bytes], tmp_path: Path) -> None:
    file, kinds = tmp_path / "g.nir", Counter[str]()
    for case in range(200):
        rng = np.random.default_rng(case)
        data = bytearray(sound[case % len(sound)])
        if how == "truncated":
            del data[int(rng.integers(len(data))) :]
        elif how == "flipped":
            for _ in range(int(rng.integers(1, 40))):
                data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        else:
            start = int(rng.integers(len(data)))
            data[start : start + 64] = rng.bytes(min(64, len(data) - start))
        file.write_bytes(data)
        with limited():
            kinds[attempt(file)] += 1
    assert kinds["BadGraph"] > 20


def test_sound_files_run(sound: list[bytes], tmp_path: Path) -> None:
    kinds = Counter[str]()
    for data in sound:
        (tmp_path / "g.nir").write_bytes(data)
        with limited():
            kinds[attempt(tmp_path / "g.nir")] += 1
    assert kinds["ran"] > len(sound) * 0.8


def test_what_is_refused_is_said(sound: list[bytes], tmp_path: Path) -> None:
    """A few cases by their words."""
    file = tmp_path / "g.nir"

    def refused(change: Callable[[h5py.File], None], kind: type[NeuropromptError], words: str) -> None:
        write_graph(random_graph(1, portable=True), file)
        with h5py.File(file, "r+") as opened:
            change(opened)
        with pytest.raises(kind, match=words):
            floats_of_graph(read_graph(file), np.ones((3, flatten(read_graph(file)).lines)))

    refused(
        lambda f: f["node/nodes"].create_dataset("big", (10**9,), "f4", chunks=True), BadGraph, "declares arrays of"
    )
    refused(lambda f: f["node/nodes"].__setitem__("loop", f["node"]), BadGraph, "holds itself")
    refused(lambda f: f.__setitem__("elsewhere", h5py.ExternalLink("x", "/")), BadGraph, "links 'elsewhere'")
    refused(lambda f: put(f["node/nodes/input/shape"], np.array([10**9])), Unsupported, "declares 1,000,000,000 values")
