"""The web page in a real browser: its inputs and answers are those of `run`, and nothing comes from elsewhere."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from browser import Browser
from few_blocks import few_blocks
from PIL import Image
from torch import nn

from neuroprompt.bundles import web_runtime
from neuroprompt.bundles.artefact import run
from neuroprompt.bundles.bundle import Bundle
from neuroprompt.bundles.export import export
from neuroprompt.bundles.forms import chosen_form, forms_of
from neuroprompt.bundles.image_files import read_image
from neuroprompt.bundles.web_page import SOURCES
from neuroprompt.bundles.web_runtime import runtime_files
from neuroprompt.contracts.deployment import Floats, ImageTarget
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadData, BadSetting, RuntimeMissing
from neuroprompt.images import FILTERS, pixels
from neuroprompt.onnxgraph.parity import TOLERANCE
from neuroprompt.training.assemble import assemble
from neuroprompt.training.backbone import load_backbone
from neuroprompt.training.config import RunConfig
from neuroprompt.training.metrics import TrainingMetrics
from neuroprompt.training.run_folder import Run

HOSTILE = "</script><script>window.hostile = 1</script>"
CLASSES = (HOSTILE, "<img src=x onerror='window.hostile = 1'>", "$title", "a & b", *"456789")
FILE = "document.getElementById('file').files[0]"


_few_blocks = few_blocks(2)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of onnxruntime-web as npm's .tgz has them."""
    try:
        files = runtime_files()
    except RuntimeMissing as error:
        pytest.skip(f"onnxruntime-web cannot be had: {error}")
    file = tmp_path_factory.mktemp("package") / "package.tgz"
    with tarfile.open(file, "w:gz", compresslevel=1) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file


@pytest.fixture(scope="module")
def untrained() -> Run:
    torch.manual_seed(1)
    spec = BackboneSpec("embedded", image_size=16, random=True)
    config = RunConfig("spike-nvpt", {"tokens": 4}, backbone=spec, data="digits", limit=40, classes=CLASSES)
    model = assemble(config, load_backbone(spec)).eval()
    nn.init.normal_(model.head.get_parameter("weight"))
    return Run(Path("nowhere"), config, model, TrainingMetrics())


def written(untrained: Run, package: Path, out: Path, precision: str = "fp32") -> Bundle:
    settings = {"package": str(package)}
    export(untrained, out, target="web", settings=settings, precision=precision, max_drop=100.0)
    return Bundle.open(out)


@pytest.fixture(scope="module")
def page(untrained: Run, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return written(untrained, package, tmp_path_factory.mktemp("web") / "page")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "an image <b>.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (37, 61, 3), dtype=np.uint8)).save(file)
    return file


def logits_here(bundle: Bundle, image: Path) -> Floats:
    inputs = read_image(image, bundle.about["preprocess"])[None]
    logits: Floats = ImageTarget.named("onnxruntime").logits(forms_of(bundle)[chosen_form(bundle)], inputs)[0]
    return logits


@contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/index.html"
    finally:
        server.shutdown()
        server.server_close()


def test_a_page_from_the_disk_gives_what_run_gives(browser: Browser, page: Bundle, image: Path) -> None:
    shown = """new Promise(function wait(done) {
      document.getElementById("top").children.length ? done(document.body.innerText) : setTimeout(() => wait(done), 50);
    })"""
    address = (page.folder / "index.html").as_uri()
    scripts = (f"classify({FILE})", shown, "window.hostile === undefined && document.scripts.length")
    (answer, text, scripts_there), seen = browser.ask(address, *scripts, files={"file": image})
    expected, (here,) = logits_here(page, image), run(page, [image]).json()["images"]
    got = np.array(answer["logits"])
    assert np.abs(got - expected).max() <= TOLERANCE * np.ptp(expected)
    assert [label for label, _ in answer["top"]] == [label for label, _ in here["top5"]]
    shares = [[share for _, share in top] for top in (answer["top"], here["top5"])]
    apart = np.abs(np.array(shares[0]) - np.array(shares[1])).max()
    assert apart <= TOLERANCE * np.ptp(expected), "a share moves less than its logit"
    assert answer["ms"]["model"] > 0
    for label, _ in here["top5"]:
        assert label in text, "as text, whatever it says"
    assert "ms in the model" in text
    assert scripts_there == 4 + 3  # those of the page, and the three files that scripts carry
    assert seen.complaints == []
    assert {address.partition(":")[0] for address in seen.addresses} == {"file", "blob"}


def test_a_served_page_in_8_bits(browser: Browser, untrained: Run, page: Bundle, package: Path, image: Path) -> None:
    bundle = written(untrained, package, image.parent / "page", "int8")
    assert set(forms_of(bundle)) == {"int8"}
    with served(bundle.folder) as address:
        (answer,), seen = browser.ask(address, f"classify({FILE})", files={"file": image})
    expected = logits_here(bundle, image)
    got = np.array(answer["logits"])
    # Another build may round a number to the next of 256 levels, and moves logits less than having levels does.
    moved = np.abs(expected - logits_here(page, image)).max()
    assert np.abs(got - expected).max() <= moved
    assert got.argmax() == expected.argmax()
    assert not [address for address in seen.addresses if not address.startswith(("http://127.0.0.1:", "blob:"))]


def test_a_file_that_is_no_image_is_one_line(browser: Browser, page: Bundle, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    said = """new Promise(function wait(done) {
      const text = document.getElementById("state").textContent;
      text.startsWith("cannot") ? done(text) : setTimeout(() => wait(done), 50);
    })"""
    (text,), _ = browser.ask((page.folder / "index.html").as_uri(), said, files={"file": tmp_path / "a.png"})
    assert text.startswith("cannot classify a.png: ")


def cases() -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """Images (height, width), and how they are fitted: every filter up and down, every crop, halves, and strips."""
    for name in FILTERS:
        for shape in ((23, 41), (64, 31), (66, 37), (5, 7), (9, 40), (90, 12), (60, 104)):
            yield shape, {"size": [16, 16], "interpolation": name, "crop_pct": None, "crop_mode": "center"}
        yield (37, 50), {"size": [16, 16], "interpolation": name, "crop_pct": 0.875, "crop_mode": "center"}
        yield (50, 37), {"size": [12, 17], "interpolation": name, "crop_pct": 0.9, "crop_mode": "center"}
        yield (50, 37), {"size": [15, 15], "interpolation": name, "crop_pct": 0.8, "crop_mode": "squash"}
    yield (16, 16), {"size": [16, 16], "interpolation": "bicubic", "crop_pct": None, "crop_mode": "center"}
    yield (3, 60_000), {"size": [224, 224], "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": "center"}


def test_pixels_are_pillows_in_every_number(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>pixels</title><script src='pixels.js'></script>")
    (tmp_path / "pixels.js").write_bytes((SOURCES / "pixels.js").read_bytes())
    rng = np.random.default_rng(0)
    images = [(rng.integers(0, 256, (*shape, 3), dtype=np.uint8), how) for shape, how in cases()]
    scripts = []
    for array, how in images:
        height, width, _ = array.shape
        data = f"Uint8Array.from(atob('{base64.b64encode(array.tobytes()).decode()}'), (c) => c.charCodeAt(0))"
        image = f"{{data: {data}, width: {width}, height: {height}}}"
        scripts.append(f"btoa(String.fromCharCode(...Pixels.fitted({image}, {json.dumps(how)}).data.slice(0, 60000)))")
    values, _ = browser.ask((tmp_path / "index.html").as_uri(), *scripts)
    for (array, how), value in zip(images, values, strict=True):
        crop = (how["crop_pct"], how["crop_mode"])
        expected = pixels(Image.fromarray(array), tuple(how["size"]), how["interpolation"], *crop)
        got = np.frombuffer(base64.b64decode(value), np.uint8)
        np.testing.assert_array_equal(got, expected.reshape(-1)[:60000], err_msg=f"{array.shape} {how}")


def test_another_version_of_the_package_is_rejected(package: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(b"no archive")
    with pytest.raises(BadData, match=r"a.tgz cannot be read as npm's package.*npm pack onnxruntime-web@"):
        runtime_files(str(tmp_path / "a.tgz"))
    for name, data in runtime_files(str(package)).items():
        (tmp_path / "dist" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "dist" / name).write_bytes(data)
    assert runtime_files(str(tmp_path)) == runtime_files(str(package)) == runtime_files(str(tmp_path / "dist"))
    with (tmp_path / "dist" / "ort.wasm.min.js").open("ab") as file:
        file.write(b"//")
    with pytest.raises(BadData, match="another version's, or was changed"):
        runtime_files(str(tmp_path))
    with pytest.raises(BadData, match="has no dist/"):
        runtime_files(str(tmp_path / "dist" / ".." / ".."))


def test_without_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(web_runtime, "cache_folder", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeMissing, match=r"npm is not installed.*--set package=onnxruntime-web"):
        runtime_files()


def test_a_setting_of_another_target(untrained: Run, tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="has no setting 'package'"):
        export(untrained, tmp_path / "out", target="onnx", settings={"package": "x"})
