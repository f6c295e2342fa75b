"""Event data of tonic: files in the sets' own layout become frames, bin by bin, and run on a graph by the command."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from contextlib import redirect_stdout
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from in_turn import InTurn, exit_code
from numpy.typing import NDArray

from neuroprompt.bundles.data_run import run_items
from neuroprompt.bundles.shards import Split
from neuroprompt.errors import BadData, BadSetting, RuntimeMissing, UnknownName
from neuroprompt.simulators.events import EventItems, EventSet, event_items
from neuroprompt.spiking.graph import write_graph

tonic = pytest.importorskip("tonic", reason="tonic is not installed (the extra 'events')")

STEPS = 7
Events = NDArray[np.int64]
"""Columns x, y, t (microseconds), p, in the order of time."""


def events(rng: np.random.Generator, width: int, height: int, polarities: int, count: int = 200) -> Events:
    columns = [rng.integers(0, most, count) for most in (width, height, 100_000, polarities)]
    columns[2].sort()
    return np.stack(columns, axis=1)


def binned(recorded: Events, width: int, height: int, polarities: int) -> NDArray[np.int64]:
    """The definition: bins of a whole number of microseconds from the first event on, (T, p, y, x)."""
    frames = np.zeros((STEPS, polarities, height, width), np.int64)
    first, last = recorded[0, 2], recorded[-1, 2]
    long = (last - first) // STEPS
    for x, y, t, p in recorded.tolist():
        step = (t - first) // long
        if step < STEPS:  # what is left after the last whole bin is dropped
            frames[step, p, y, x] += 1
    return frames


def nmnist(folder: Path, recordings: dict[tuple[int, int], Events], split: str = "Test") -> None:
    """5 bytes an event: x, y, the polarity in the highest bit before 23 bits of time."""
    for (label, number), recorded in recordings.items():
        x, y, t, p = recorded.T
        rows = np.stack([x, y, (p << 7) | (t >> 16), (t >> 8) & 255, t & 255], axis=1)
        file = folder / "NMNIST" / split / str(label) / f"{number:05}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(rows.astype(np.uint8).tobytes())


def gestures(folder: Path, recordings: dict[tuple[int, int], Events]) -> None:
    """A file for each label in a user's folder; columns x, y, p and t in milliseconds."""
    for (label, user), recorded in recordings.items():
        x, y, t, p = recorded.T
        place = folder / "DVSGesture" / "ibmGestureTest" / f"user{user:02}_fluorescent"
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{label}.npy", np.stack([x, y, p, t // 1000], axis=1))


def digits_spoken(folder: Path, recordings: list[tuple[int, Events]], name: str = "SHD") -> None:
    """An HDF5 file with times in seconds and units, each of its own length."""
    (folder / name).mkdir(parents=True)
    with h5py.File(folder / name / f"{name.lower()}_test.h5", "w") as file:
        for key, column, kind, unit in (("times", 2, np.float32, 1e6), ("units", 0, np.uint16, 1)):
            rows = file.create_dataset(f"spikes/{key}", (len(recordings),), h5py.vlen_dtype(kind))
            for i, (_, recorded) in enumerate(recordings):
                rows[i] = (recorded[:, column] / unit).astype(kind)
        file["labels"] = np.array([label for label, _ in recordings], np.uint16)
        file["extra/keys"] = np.array([b"null", b"eins"])
        file["extra/speaker"] = np.zeros(len(recordings), np.uint16)


def taken(items: EventItems) -> NDArray[Any]:
    return items.part(0, len(items))


def test_nmnist_is_counted_bin_by_bin(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    recordings = {(label, i): events(rng, 34, 34, 2) for label in (3, 8) for i in (1, 2)}
    nmnist(tmp_path, recordings)
    items = event_items(f"tonic:NMNIST@{tmp_path}", (2, 34, 34), STEPS)
    expected = np.stack([binned(recorded, 34, 34, 2) for recorded in recordings.values()])
    assert np.array_equal(taken(items), expected.reshape(4, STEPS, -1))
    assert items.labels is not None
    assert items.labels.tolist() == [3, 3, 8, 8]
    assert items.largest == expected.max()
    last = event_items(f"tonic:NMNIST:test:3@{tmp_path}", (34, 34, 2), STEPS)
    assert np.array_equal(taken(last), np.moveaxis(expected[:3], 2, -1).reshape(3, STEPS, -1))


def test_frames_are_those_of_tonic(tmp_path: Path) -> None:
    """Also times that overflow 23 bits' lowest part, which N-MNIST marks by an event at y 240."""
    rng = np.random.default_rng(1)
    nmnist(tmp_path, {(5, i): events(rng, 34, 34, 2, 50 + i) for i in range(3)})
    file = tmp_path / "NMNIST" / "Test" / "5" / "00001.bin"
    file.write_bytes(file.read_bytes() + bytes([0, 240, 0, 0, 0, 9, 9, 129, 150, 0]))
    items = event_items(f"tonic:NMNIST@{tmp_path}", (2 * 34 * 34,), STEPS)
    kind = type("NMNIST", (tonic.datasets.NMNIST,), {"_check_exists": lambda _: True})
    bins = tonic.transforms.ToFrame(sensor_size=(34, 34, 2), n_time_bins=STEPS)
    theirs = [frames for frames, _ in kind(str(tmp_path), train=False, transform=bins)]
    assert len(theirs) == 3
    assert np.array_equal(taken(items), np.stack(theirs).reshape(3, STEPS, -1))


def test_gestures_are_in_one_order_everywhere(tmp_path: Path) -> None:
    """tonic lists them in the order of the file system."""
    rng = np.random.default_rng(2)
    recordings = {(label, user): events(rng, 128, 128, 2) for user in (2, 1) for label in (7, 0, 4)}
    gestures(tmp_path, recordings)
    items = event_items(f"tonic:DVSGesture@{tmp_path}", (2, 128, 128), STEPS)
    order = sorted(recordings, key=lambda key: (key[1], key[0]))
    assert items.labels is not None
    assert items.labels.tolist() == [label for label, _ in order] == [0, 4, 7, 0, 4, 7]
    for i, key in enumerate(order):
        whole = recordings[key].copy()
        whole[:, 2] = whole[:, 2] // 1000 * 1000
        assert np.array_equal(items.part(i, i + 1).reshape(STEPS, 2, 128, 128), binned(whole, 128, 128, 2))


@pytest.mark.parametrize("name", ["SHD", "SSC"])
def test_spoken_digits_have_one_polarity(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    recordings = [(label, events(rng, 700, 1, 1, 100 + label)) for label in (1, 0, 19)]
    digits_spoken(tmp_path, recordings, name)
    items = event_items(f"tonic:{name}@{tmp_path}", (700,), STEPS)
    assert items.labels is not None
    assert items.labels.tolist() == [1, 0, 19]
    for i, (_, recorded) in enumerate(recordings):
        stored = (recorded[:, 2] / 1e6).astype(np.float32).astype(np.float64) * 1e6
        recorded[:, 2] = stored.astype(np.int64)
        assert np.array_equal(items.part(i, i + 1).reshape(STEPS, 1, 1, 700), binned(recorded, 700, 1, 1))


# --- by the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Ten LIF neurons on the frames of N-MNIST."""
    rng, ones = np.random.default_rng(4), np.ones(10)
    lif = nir.LIF(tau=4e-4 * ones, r=ones, v_leak=0 * ones, v_threshold=ones, v_reset=0 * ones)
    shape = np.array([2, 34, 34])
    nodes = {"input": nir.Input({"input": shape}), "flat": nir.Flatten({"input": shape}, start_dim=0)}
    nodes |= {"fc": nir.Linear(rng.normal(0.2, 0.1, (10, 2312))), "lif": lif}
    nodes["output"] = nir.Output({"output": np.array([10])})
    edges = [("input", "flat"), ("flat", "fc"), ("fc", "lif"), ("lif", "output")]
    write_graph(nir.NIRGraph(nodes, edges, metadata={"dt": 1e-4}), tmp_path / "graph.nir")
    return tmp_path / "graph.nir"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    nmnist(tmp_path / "events", {(label, i): events(rng, 34, 34, 2) for label in range(10) for i in range(2)})
    return tmp_path / "events"


def test_a_graph_runs_on_events_as_on_a_file_of_their_frames(graph: Path, recorded: Path, tmp_path: Path) -> None:
    word = f"tonic:NMNIST@{recorded}"
    items = event_items(word, (2, 34, 34), STEPS)
    assert items.labels is not None
    np.savez(tmp_path / "frames.npz", inputs=taken(items), labels=items.labels)
    ours, file = run_items(graph, word, steps=STEPS), run_items(graph, tmp_path / "frames.npz")
    assert ours.items == 20
    assert np.array_equal(ours.tally.predicted, file.tally.predicted)
    assert np.array_equal(ours.tally.spikes, file.tally.spikes)
    assert ours.tally.spikes.sum() > 0
    assert ours.accuracy == file.accuracy


def test_shards_of_events_give_what_one_run_gives(graph: Path, recorded: Path, tmp_path: Path) -> None:
    word = f"tonic:NMNIST:test:13@{recorded}"
    whole = run_items(graph, word, steps=STEPS)
    shards = run_items(graph, word, steps=STEPS, split=Split(InTurn(), 2, tmp_path / "work"))
    assert np.array_equal(whole.tally.predicted, shards.tally.predicted)
    assert np.array_equal(whole.tally.spikes, shards.tally.spikes)


def test_the_verbs_take_events(graph: Path, recorded: Path, tmp_path: Path) -> None:
    def json_of(*words: object) -> dict[str, Any]:
        with redirect_stdout(io.StringIO()) as text:
            assert exit_code(*words, "--steps", STEPS, "--json") == 0
        values: dict[str, Any] = json.loads(text.getvalue())
        return values

    word = f"tonic:NMNIST:test:6@{recorded}"
    ran = json_of("run", graph, "--data", word)
    verified = json_of("verify", graph, "--data", word, "--targets", "loihi")
    assert (ran["items"], verified["items"]) == (6, 6)
    assert verified["targets"]["loihi-fixed"]["accuracy"] == ran["accuracy"]
    json_of("export", graph, "--target", "lava", "--calibrate", word, "--out", tmp_path / "bundle")
    frames = event_items(word, (2, 34, 34), STEPS).part(0, 1)[0]
    assert np.array_equal(np.load(tmp_path / "bundle" / "inputs.npy"), frames)
    assert run_items(tmp_path / "bundle", word).items == 6


@pytest.mark.parametrize(
    ("word", "kind", "said"),
    [
        ("tonic:MNIST", UnknownName, "one of: NMNIST, DVSGesture, SHD, SSC"),
        ("tonic:NMNIST:val", BadSetting, "one of: train, test"),
        ("tonic:NMNIST:test:0", BadSetting, "tonic:NAME:SPLIT:N"),
        ("tonic:NMNIST@", BadSetting, "@FOLDER"),
        ("tonic:NMNIST:train@FOLDER", BadData, "neuroprompt pull tonic:NMNIST:train"),
        ("tonic:SHD@FOLDER", BadData, "neuroprompt pull tonic:SHD:test"),
        ("tonic:DVSGesture@FOLDER", BadData, "neuroprompt pull tonic:DVSGesture:test"),
    ],
)
def test_what_is_not_there_is_one_line(
    word: str, kind: type[Exception], said: str, graph: Path, recorded: Path
) -> None:
    with pytest.raises(kind, match=said.replace("?", r"\?")) as refused:
        run_items(graph, word.replace("FOLDER", str(recorded)), steps=STEPS)
    assert "\n" not in str(refused.value)


def test_recordings_that_are_not_as_they_should_be_are_one_line(graph: Path, recorded: Path, tmp_path: Path) -> None:
    word, file = f"tonic:NMNIST@{recorded}", recorded / "NMNIST" / "Test" / "4" / "00001.bin"
    with pytest.raises(BadSetting, match="for example --steps 100"):
        run_items(graph, word)
    with pytest.raises(BadSetting, match="the labels of that data set"):
        run_items(graph, word, tmp_path / "labels.npy", steps=STEPS)
    whole = file.read_bytes()
    outside = whole[:500] + b"\x22" + whole[501:]  # x 34 of 0 to 33
    for wrong, said in ((b"", "holds no event"), (whole[:-2], "cannot be read"), (outside, "cannot be read")):
        file.write_bytes(wrong)
        with pytest.raises(BadData, match=rf"4/00001\.bin {said}"):
            run_items(graph, word, steps=STEPS)
    file.write_bytes(whole)
    digits_spoken(recorded, [(1, events(np.random.default_rng(0), 700, 1, 1))])
    with pytest.raises(BadData, match="700 numbers; expected 2312: the graph's input is 2 x 34 x 34"):
        run_items(graph, f"tonic:SHD@{recorded}", steps=STEPS)
    (recorded / "SHD" / "shd_test.h5").write_bytes(b"not HDF5")
    with pytest.raises(BadData, match="neuroprompt pull"):
        run_items(graph, f"tonic:SHD@{recorded}", steps=STEPS)


def test_without_tonic_the_command_to_type_is_named(
    graph: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuroprompt.extras.find_spec", lambda _: None)
    with pytest.raises(RuntimeMissing, match=r'pip install "neuroprompt-toolkit\[events\]"'):
        run_items(graph, f"tonic:NMNIST@{recorded}", steps=STEPS)


def test_downloads_only_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server of this test, which counts what is asked of it; what is there is not downloaded again."""
    rng, site = np.random.default_rng(6), tmp_path / "site"
    nmnist(site, {(1, i): events(rng, 34, 34, 2) for i in range(3)})
    archive = site / "test.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted((site / "NMNIST" / "Test").rglob("*.bin")):
            packed.write(file, file.relative_to(site / "NMNIST"))
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, code: object = "-", size: object = "-") -> None:
            asked.append(self.path)

    kind = tonic.datasets.NMNIST
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(kind, "test_url", f"http://127.0.0.1:{server.server_port}/test.zip")
        monkeypatch.setattr(kind, "test_md5", hashlib.md5(archive.read_bytes()).hexdigest())
        wanted = EventSet.parse(f"tonic:NMNIST:test@{tmp_path / 'here'}")
        with pytest.raises(BadData, match="neuroprompt pull"):
            wanted.opened()
        assert not asked
        wanted.download()
        assert asked
        server.shutdown()
    assert len(wanted.opened()) == 3
    with pytest.raises(BadData, match="tonic cannot download NMNIST"):  # the server is gone
        EventSet.parse(f"tonic:NMNIST:test@{tmp_path / 'there'}").download()
