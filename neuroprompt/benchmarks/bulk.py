"""Times `run BUNDLE FOLDER` on many small files beside ONNX Runtime alone on the same images, decoded before."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neuroprompt.benchmarks.rounds import Middle, in_turn, middle, ratio
from neuroprompt.bundles.artefact import run
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.classify import workers_for
from neuroprompt.bundles.forms import PORTABLE, forms_of
from neuroprompt.bundles.image_files import normalised, read_batch
from neuroprompt.bundles.image_settings import preprocess_of
from neuroprompt.bundles.predict import BATCH
from neuroprompt.bundles.results import Labels
from neuroprompt.contracts.deployment import Floats
from neuroprompt.errors import BadSetting
from neuroprompt.images import pixels
from neuroprompt.progress import SILENT, Progress


@dataclass(frozen=True)
class BulkBenchmark:
    """Images a second, medians, of `images` JPEG files in batches of `batch` on `threads` threads, and their ratios.

    run            `neuroprompt.run` of the folder with its labels in a CSV file: decoding, and loading the model, too
    alone          ONNX Runtime on the same batches, decoded before: one after the other, all threads inside each
    alone_at_once  the same, a thread for each of several batches, as `run` does it
    one_by_one     the loop that people write, and that `run` was once: read an image with Pillow, ask ONNX Runtime, in
                   one thread, with the 32-bit file

    The ratios are `run` over the others, in images a second, of the same round; and `alone_at_once` over `one_by_one`,
    which is what `run` would reach if reading took no time. `form` is the file of all but the last. With `cpu_time` a
    second is one of processor time, of all threads together, and `alone` is missing: its threads spin as they wait.
    """

    images: int
    batch: int
    threads: int
    rounds: int
    size: tuple[int, int]
    form: str
    images_per_second: dict[str, float]
    ratio: dict[str, Middle]
    cpu_time: bool = False

    def json(self) -> dict[str, object]:
        """The figures, quartiles beside medians."""
        return {
            "images": self.images,
            "batch": self.batch,
            "threads": self.threads,
            "rounds": self.rounds,
            "size": list(self.size),
            "form": self.form,
            "images_per_second": self.images_per_second,
            "ratio": {name: value.median for name, value in self.ratio.items()},
            "quartiles": {name: value.quartiles for name, value in self.ratio.items()},
            "cpu_time": self.cpu_time,
        }


def bench_bulk(
    folder: Path,
    images: int,
    *,
    batch: int = BATCH,
    threads: int | None = None,
    rounds: int = 5,
    cpu_time: bool = False,
    progress: Progress = SILENT,
) -> BulkBenchmark:
    """An ONNX bundle on `images` files of the model's own size, smooth noise as JPEG of quality 90.

    `threads` are by default one a core.

    Raises BadSetting, and what opening and running the bundle raises.
    """
    threads = os.cpu_count() or 1 if threads is None else threads
    if min(images, batch, threads, rounds) < 1:
        got = f"{images} images, batch {batch}, {threads} threads, {rounds} rounds"
        raise BadSetting(got, "each at least 1")
    bundle = Bundle.open(folder)
    if bundle.kind != "onnx":
        raise BadSetting(f"{folder} is a bundle for {bundle.kind!r}", "one for 'onnx'")
    preprocess = preprocess_of(bundle)
    height, width = preprocess["size"]
    with tempfile.TemporaryDirectory(prefix="np-") as scratch:
        files = _write(Path(scratch) / "images", images, (width, height))
        out = Path(scratch) / "labels.csv"

        def whole() -> Labels:
            ran = run(bundle, [files], out=out, threads=threads, batch_size=batch)
            assert isinstance(ran, Labels)
            return ran

        how = whole().how
        assert how is not None
        there = sorted(files.iterdir())
        decoded = [read_batch(there[i : i + batch], preprocess)[0] for i in range(0, images, batch)]
        workers, inside = workers_for(threads, len(decoded))
        model = forms_of(bundle)[how.form]
        runs: dict[str, Callable[[], object]] = {
            "run": whole,
            "alone": _alone(model, decoded, 1, threads),
            "alone_at_once": _alone(model, decoded, workers, inside),
            "one_by_one": _one_by_one(forms_of(bundle)[PORTABLE], there, preprocess),
        }
        if cpu_time:
            del runs["alone"]
        seconds = in_turn(runs, rounds, progress, time.process_time if cpu_time else time.perf_counter)
    over = {f"run_over_{name}": ratio(times, seconds["run"]) for name, times in seconds.items() if name != "run"}
    return BulkBenchmark(
        images=images,
        batch=batch,
        threads=threads,
        rounds=rounds,
        size=(width, height),
        form=how.form,
        images_per_second={name: images / middle(times).median for name, times in seconds.items()},
        cpu_time=cpu_time,
        ratio={**over, "alone_at_once_over_one_by_one": ratio(seconds["one_by_one"], seconds["alone_at_once"])},
    )


def _alone(model: Path, batches: list[Floats], workers: int, threads: int) -> Callable[[], object]:
    """A session of ONNX Runtime on all batches, so many at a time; it is opened before, and not timed."""
    logits = _session(model, threads)

    def all_batches() -> object:
        if workers == 1:
            return [logits(images) for images in batches]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(logits, batches))

    return all_batches


def _one_by_one(model: Path, files: list[Path], preprocess: Mapping[str, Any]) -> Callable[[], object]:
    """Every image read and classified by itself, in this thread; the session is opened before, and not timed."""
    logits = _session(model, 1)
    return lambda: [int(np.argmax(logits(read_by_hand(file, preprocess)[None])[0])) for file in files]


def read_by_hand(file: Path, preprocess: Mapping[str, Any]) -> Floats:
    """A model's input (3, H, W) of an RGB image by Pillow alone, without what makes our reading fast or careful."""
    crop = (preprocess.get("crop_pct"), preprocess.get("crop_mode", "center"))
    with Image.open(file) as image:
        rgb = pixels(image.convert("RGB"), tuple(preprocess["size"]), preprocess["interpolation"], *crop)
    values: Floats = normalised(rgb[None], preprocess)[0]
    return values


def _session(model: Path, threads: int) -> Callable[[Floats], Any]:
    """The outputs of an ONNX file for a batch, by ONNX Runtime's own interface."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")  # as in `run`
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})


def _write(folder: Path, images: int, size: tuple[int, int]) -> Path:
    """So many files, named by their number."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for i in range(images):
        small = Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize(size, Image.Resampling.BICUBIC).save(folder / f"{i:07}.jpg", quality=90)
    return folder
