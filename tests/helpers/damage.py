"""Damage to files of every format that a user hands in, drawn from a seeded generator."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import numpy as np

ESCAPE = "\x1b[2J\x1b]0;mine\x07"
"""Clears a terminal and names its window, where it is printed as it is."""
NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 10**9, 2**31, 2**63, -(2**63), 10**400, 0.5, 1e308, -1e-320),
    *(float("nan"), float("inf"), "", "x", "0", "x" * 20_000, ESCAPE, "\u202egpj.exe", "\ud800", "a\nb", "\x00"),
    *("/etc/passwd", "../../etc/passwd", "..", "/", "a/b", "C:\\x", "<script>alert(1)</script>", "%s{0}", "nan"),
    *([], {}, [[]], [None], [0], [1e9], ["x", 1], [0] * 3, [10**9, 10**9], {"": {}}, {"x": [1]}, [10**9] * 3),
)


def damaged_bytes(data: bytes, rng: Random) -> bytes:
    """Bytes that are cut off, flipped, overwritten, doubled, left out or put in."""
    changed = bytearray(data)
    size = len(changed)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        start = rng.randrange(len(changed) + 1)
        long = min(rng.choice((1, 2, 4, 8, 64, 1000)), size)
        what = rng.randrange(7)
        if what == 0:
            del changed[start:]
        elif what == 1 and changed:
            for _ in range(rng.randrange(1, 30)):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        elif what == 2:
            changed[start : start + long] = rng.randbytes(long)
        elif what == 3:
            changed[start:start] = changed[start : start + long] * rng.choice((1, 2, 50))
        elif what == 4:
            del changed[start : start + long]
        elif what == 5:
            changed[start : start + long] = rng.choice((b"\0", b"\xff", b"\x7f")) * long
        else:
            changed[start:start] = rng.randbytes(long)
    return bytes(changed)


def damaged_value(values: Any, rng: Random, swaps: tuple[Any, ...] = NASTY) -> Any:
    """JSON values of which one or a few are others, are gone, or are more."""
    values = json.loads(json.dumps(values))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = _places(values)
        if not places:
            return deepcopy(rng.choice(swaps))
        parent, key = rng.choice(places)
        what = rng.randrange(10)
        if what == 0:
            del parent[key]
        elif what == 1 and isinstance(parent, dict):
            parent[rng.choice(("", "x", ESCAPE, "../x", key + " "))] = deepcopy(parent[key])
        elif what == 2 and isinstance(parent[key], list):
            parent[key] = parent[key] * rng.choice((0, 2, 50))
        elif what == 3 and isinstance(parent[key], int | float):
            parent[key] = parent[key] * rng.choice((-1, 2, 1000, 0.5, 1e30))
        else:
            parent[key] = deepcopy(rng.choice(swaps))  # it may be damaged next
    return values


def damaged_json(data: bytes, rng: Random) -> bytes:
    """A JSON file with other values, or damaged as bytes, or too deep."""
    what = rng.randrange(12)
    if what == 0:
        return b"[" * rng.choice((100, 100_000))
    if what < 4:
        return damaged_bytes(data, rng)
    try:
        return json.dumps(damaged_value(json.loads(data), rng)).encode("utf-8", "surrogatepass")
    except (ValueError, OverflowError):
        return damaged_bytes(data, rng)


def damaged_text(data: bytes, rng: Random) -> bytes:
    """Lines that are doubled, left out, swapped, or hold something else: of CSV, TOML and lists."""
    if rng.random() < 0.25:
        return damaged_bytes(data, rng)
    lines = data.decode().splitlines()
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not lines:
            break
        i = rng.randrange(len(lines))
        word = str(rng.choice(NASTY))
        what = rng.randrange(7)
        if what == 0:
            del lines[i]
        elif what == 1:
            lines.insert(i, lines[i])
        elif what == 2:
            lines[i] = word
        elif what == 3:
            lines[i] = lines[i].replace(rng.choice((",", "=", "[", '"', ".", "0", "5")), word)
        elif what == 4:
            cells = lines[i].split(",")
            cells[rng.randrange(len(cells))] = word
            lines[i] = ",".join(cells)
        elif what == 5:
            before, equals, _ = lines[i].partition("=")
            lines[i] = before + equals + rng.choice((word, f'"{word}"', "[1]", "{x = 1}", "-1", "1e400", "inf", "''"))
        else:
            lines[i] = lines[i] + word
    return "\n".join(lines).encode("utf-8", "surrogatepass")


# --- arrays ----------------------------------------------------------------------------------------------------------


def strange_npy(rng: Random) -> bytes:
    """An .npy file of another type or shape, or one whose header claims what is not there, or what is code."""
    what = rng.randrange(8)
    shape = rng.choice(((), (0,), (3,), (4, 8, 6), (4, 8, 7), (1, 1, 1, 1, 1), (5, 6), (4, 0, 6), (400,)))
    if what == 0:
        kind = rng.choice(("O", "S8", "U4", "M8[s]", "c16", "?", "f2", "i8", "u1", "V4", "f4,i4"))
        return _npy_header(kind, shape, b"\0" * 4000)
    if what == 1:
        huge = rng.choice(((2**31, 8, 6), (2**40,), (400, 2**20, 6), (10**9, 10**9, 10**9), (2**62, 4)))
        return _npy_header(rng.choice(("<f4", "<f8", "|b1")), huge, b"\0" * 100)
    if what == 2:
        header = rng.choice(("__import__('os')", "{'descr': '<f4'}", "{", "[" * 500, "{'descr': 'O', 'shape': -1}"))
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    values = np.random.default_rng(rng.randrange(2**32)).normal(size=shape)
    if what == 3 and values.size:
        values.flat[0] = rng.choice((np.nan, np.inf, 1e300, -1e300, 1e-320))
    elif what == 4:
        values = values * rng.choice((1e6, 1e38, 1e300))
    stream = io.BytesIO()
    with np.errstate(all="ignore"):
        np.save(stream, values.astype(rng.choice(("f8", "f4", "i4"))) if what != 5 else values > 0)
    return stream.getvalue() if what != 6 else damaged_bytes(stream.getvalue(), rng)


def _npy_header(kind: str, shape: tuple[int, ...], data: bytes) -> bytes:
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def damaged_npz(data: bytes, rng: Random) -> bytes:
    """An archive of arrays of which some are strange, are gone, or expand to gigabytes."""
    if rng.random() < 0.3:
        return damaged_bytes(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sound = {name: archive.read(name) for name in archive.namelist()}
    members = dict(sound)
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(sorted(members))
        what = rng.randrange(6)
        if what == 0:
            del members[name]
        elif what == 1:
            members[name] = _npy_header("<f4", (2**30,), b"\0" * 2**24)
        elif what == 2:
            members[rng.choice(("../x.npy", "/x.npy", ESCAPE + ".npy", "x"))] = members[name]
        elif name.startswith("header") and what < 5 and members[name] == sound[name]:
            values = json.loads(np.load(io.BytesIO(members[name])).tobytes())
            text = json.dumps(damaged_value(values, rng)).encode()
            stream = io.BytesIO()
            np.save(stream, np.frombuffer(text, np.uint8))
            members[name] = stream.getvalue()
        else:
            members[name] = strange_npy(rng)
        if not members:
            break
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


# --- tensors and graphs ----------------------------------------------------------------------------------------------


def damaged_safetensors(data: bytes, rng: Random) -> bytes:
    """A header with other names, types, shapes and offsets, or a length that is not there; or damaged bytes."""
    if rng.random() < 0.3:
        return damaged_bytes(data, rng)
    (length,) = struct.unpack_from("<Q", data)
    header = damaged_value(json.loads(data[8 : 8 + length]), rng)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    claimed = len(text) if rng.random() < 0.8 else rng.choice((0, 2**31, 2**63, len(text) - 1))
    return struct.pack("<Q", claimed) + text + data[8 + length :]


def damaged_onnx(data: bytes, rng: Random) -> bytes:
    """A model with hostile metadata, weights outside, claims of gigabytes, other operators; or damaged bytes."""
    import onnx

    if rng.random() < 0.4:
        return damaged_bytes(data, rng)
    model = onnx.load_from_string(data)
    graph = model.graph
    for _ in range(rng.choice((1, 1, 2))):
        what = rng.randrange(8)
        if what == 0:
            entry = model.metadata_props.add()
            entry.key, entry.value = rng.choice(("mean", "classes", ESCAPE, "")), rng.choice((ESCAPE, "[" * 9999, "{}"))
        elif what in (1, 2):
            _weights(graph, rng, outside=what == 1)
        elif what == 3 and graph.node:
            rng.choice(graph.node).op_type = rng.choice(("Loop", "If", "Conv", "Nothing", "", "Expand", ESCAPE))
        elif what == 4 and graph.node:
            node = rng.choice(graph.node)
            if node.input:
                node.input[rng.randrange(len(node.input))] = rng.choice(("nowhere", "", *node.output))
        elif what == 5:
            for value in rng.choice((graph.input, graph.output)):
                for dim in value.type.tensor_type.shape.dim:
                    dim.dim_value = rng.choice((0, 1, -1, 10**6, 2**40))
        elif what == 6:
            del rng.choice((graph.node, graph.input, graph.output, model.opset_import))[:]
        else:
            model.opset_import[0].version = rng.choice((0, -1, 1, 99, 2**31))
            model.ir_version = rng.choice((0, 1, 99, 2**31))
    return bytes(model.SerializeToString())


def _weights(graph: Any, rng: Random, outside: bool) -> None:
    """A weight in a file outside, or of a size that is not there."""
    tensor = graph.initializer.add() if not graph.initializer else rng.choice(graph.initializer)
    tensor.name, tensor.data_type = tensor.name or "w", tensor.data_type or 1
    if not outside:
        tensor.dims[:] = rng.choice(([2**31], [2**40, 2**20], [-1], [], [0], [536870912]))
        return
    tensor.data_location = 1
    for key, values in (
        ("location", ("../../../etc/passwd", "/etc/passwd", "nothing.bin", "manifest.json", "")),
        ("offset", ("0", "-1", "99999999999")),
        ("length", ("4", "2147483648", "x")),
    ):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, rng.choice(values)


def _places(values: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in JSON values."""
    places: list[tuple[Any, Any]] = []
    waiting = [values]
    while waiting:
        value = waiting.pop()
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for key in keys:
            places.append((value, key))
            waiting.append(value[key])
    return places


def damaged_as(name: str) -> Callable[[bytes, Random], bytes]:
    """The damage for a file of that name."""
    for ending, damage in BY_ENDING.items():
        if name.endswith(ending):
            return damage
    return damaged_bytes


BY_ENDING: dict[str, Callable[[bytes, Random], bytes]] = {
    ".json": damaged_json,
    ".npz": damaged_npz,
    ".npy": lambda data, rng: strange_npy(rng) if rng.random() < 0.7 else damaged_bytes(data, rng),
    ".safetensors": damaged_safetensors,
    ".onnx": damaged_onnx,
    ".csv": damaged_text,
    ".txt": damaged_text,
    ".toml": damaged_text,
}
