"""Read HDF5 files as plain arrays, in a process of its own: on damaged bytes libhdf5 may loop for ever, or crash.

A request is a line of JSON, a path and seconds of the processor; an answer is a line of JSON and, where it went well,
an `.npz` of so many bytes: arrays "0", "1", ... whose places in the file are the answer's "paths". Needs numpy, h5py.
"""

import io
import json
import sys
from math import prod
from typing import Any

import h5py
import numpy as np

MOST_BYTES = 2**31
"""What the arrays of a file may take once read (a chunked array may declare more than its file holds)."""
MOST_ITEMS = 100_000
DEEPEST = 100
"""Groups in groups; a graph in a graph is two."""


class Refused(Exception):
    """A file that is not read: (got, expected)."""


def read(path: str) -> tuple[list[list[str]], bytes]:
    """The places of all arrays below /node, and the arrays; a text is an array of bytes. Raises Refused."""
    with h5py.File(path, "r") as file:
        survey(file)
        if "node" not in file:
            netx = "is a network of lava-dl's netx, integers for the chip, and holds no NIR graph"
            raise Refused(netx if "layer" in file else "holds no NIR graph", "a NIR file")
        places: list[list[str]] = []
        arrays: dict[str, Any] = {}
        stack: list[tuple[list[str], Any]] = [([], file["node"])]
        while stack:
            place, item = stack.pop()
            if isinstance(item, h5py.Group):
                stack += [([*place, name], item[name]) for name in item]
                if not len(item):  # an empty group is an empty mapping
                    places.append([*place, ""])
                    arrays[str(len(arrays))] = np.zeros(0)
                continue
            value = np.asarray(item[()])
            if value.dtype.kind == "O":
                value = np.array(
                    [v if isinstance(v, bytes) else str(v).encode() for v in value.reshape(-1)], "S"
                ).reshape(value.shape)
            if value.dtype.kind not in "fiubSc":
                raise Refused(f"{'/'.join(place)} is of type {value.dtype}", "numbers and texts")
            places.append(place)
            arrays[str(len(arrays))] = value
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **arrays)
    return places, packed.getvalue()


def survey(file: Any) -> None:
    """Walk the file by its links, without reading an array; raises Refused."""
    size = items = 0
    stack: list[tuple[Any, int, tuple[int, ...]]] = [(file, 0, ())]
    while stack:
        group, depth, above = stack.pop()
        if depth > DEEPEST:
            raise Refused(f"nests groups deeper than {DEEPEST}", "graphs in graphs to a depth of 50")
        address = h5py.h5o.get_info(group.id).addr
        if address in above:
            raise Refused("has a group that holds itself", "a tree of groups")
        for name in group:
            items += 1
            if items > MOST_ITEMS:
                raise Refused(f"holds more than {MOST_ITEMS} items", "a smaller graph")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise Refused(f"links {name!r} to another place or file", "a file that holds all of itself")
            item = group[name]
            if isinstance(item, h5py.Group):
                stack.append((item, depth + 1, (*above, address)))
                continue
            if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
                raise Refused(f"keeps {name!r} elsewhere", "a file that holds all of itself")
            size += prod(item.shape or (1,)) * item.dtype.itemsize
            if size > MOST_BYTES:
                raise Refused(f"declares arrays of {size:,} bytes", f"at most {MOST_BYTES:,}")


def main() -> None:
    """Answer requests until there are no more."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (4 * MOST_BYTES, 4 * MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        data = b""
        path, seconds = json.loads(line)
        if sys.platform == "linux":
            used = resource.getrusage(resource.RUSAGE_SELF)
            most, hard = int(used.ru_utime + used.ru_stime + seconds) + 1, resource.getrlimit(resource.RLIMIT_CPU)[1]
            resource.setrlimit(resource.RLIMIT_CPU, (most if hard < 0 else min(most, hard), hard))
        try:
            paths, data = read(path)
            answer: dict[str, Any] = {"paths": paths}
        except Refused as refusal:
            answer = {"refused": list(refusal.args)}
        except (Exception, RecursionError, MemoryError) as error:  # h5py raises whatever the bytes lead it to
            answer = {
                "refused": [f"cannot be read as NIR ({type(error).__name__}: {error})", "a whole NIR file (HDF5)"]
            }
        sys.stdout.buffer.write(json.dumps({**answer, "size": len(data)}).encode() + b"\n" + data)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
