"""OpenVINO as a target: it runs the files of a bundle, 8-bit ones too, as ONNX Runtime does."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from label_images import means_bundle
from net_bounds import rounding
from PIL import Image
from torch import nn

from neuroprompt.bundles.artefact import run
from neuroprompt.bundles.labels import FORMAT, part_of
from neuroprompt.contracts.deployment import ImageTarget, Target
from neuroprompt.contracts.learning import BackboneSpec
from neuroprompt.errors import BadBundle, BadCheckpoint, BadSetting, RuntimeMissing, Unsupported
from neuroprompt.onnxgraph.file import to_onnx
from neuroprompt.onnxgraph.fuse import fuse
from neuroprompt.onnxgraph.quantise import quantise
from neuroprompt.training.backbone import EMBEDDED, load_backbone


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def module() -> nn.Module:
    """Two blocks with constant keys and values of prompts."""
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EMBEDDED, "depth", 2)
        backbone = load_backbone(BackboneSpec("embedded", image_size=16, random=True))
        return nn.Sequential(backbone.baked(torch.randn(2, 4, 128)), nn.Linear(128, 10)).eval()


@pytest.fixture(scope="module")
def file(module: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("net") / "model.onnx"
    to_onnx(module, (3, 16, 16), file)
    return file


@pytest.mark.floats
@pytest.mark.skipif(os.environ.get("ONEDNN_MAX_CPU_ISA") == "SSE41", reason="OpenVINO needs AVX")
def test_both_32_bit_files_compute_in_float32(module: nn.Module, file: Path) -> None:
    """In bfloat16, which is its own choice where the processor has it, logits would differ by 1 in 256."""
    fused = file.with_name("fused.onnx")
    assert fuse(file, fused) == 2
    for path in (file, fused):
        target = ImageTarget.named("openvino", threads=1)
        for batch in (1, 3):
            images = torch.randn(batch, 3, 16, 16)
            with torch.inference_mode():
                expected = module(images).numpy()
            assert np.abs(target.logits(path, images.numpy()) - expected).max() <= 2 * rounding(module, images)


def test_bf16_on_request(module: nn.Module, file: Path) -> None:
    """bfloat16 keeps 8 bits of a number's 24, so its roundings are 2^16 times as large as those of float32."""
    if not ImageTarget.part("openvino").computes_in("bf16"):
        pytest.skip("this processor has no bf16 instructions")
    images = torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        expected = module(images).numpy()
    wrong = np.abs(ImageTarget.named("openvino", threads=1, precision="bf16").logits(file, images.numpy()) - expected)
    bound = 2 * rounding(module, images)
    assert bound < wrong.max() <= 2**16 * bound


def test_what_the_processor_does_not_compute_in(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = ImageTarget.part("openvino")
    assert openvino.computes_in("float")
    monkeypatch.setattr(f"{openvino.__module__}._abilities", lambda core, device: ["FP32", "INT8"])
    assert not openvino.computes_in("bf16")
    with pytest.raises(BadSetting, match=r"^precision bf16 of OpenVINO's cpu; expected what it has here: float$"):
        ImageTarget.named("openvino", precision="bf16").logits(file, np.zeros((1, 3, 16, 16), np.float32))


def test_what_the_processor_may_not_compute_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    openvino = ImageTarget.part("openvino")
    assert openvino.computes_in("float")
    assert not openvino.computes_in("bf16")


def test_run_in_bf16(tmp_path: Path) -> None:
    """Means that bfloat16 holds exactly, labelled; and a file that was begun in 32 bits does not go on."""
    size = {"size": [4, 4], "mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bicubic"}
    bundle = means_bundle(tmp_path / "means", size, ("r", "g", "b"))
    Image.new("RGB", (4, 4), (0, 255, 0)).save(tmp_path / "green.png")
    asked: dict[str, Any] = {"images": [tmp_path / "green.png"], "out": tmp_path / "labels.jsonl"}
    with pytest.raises(
        BadSetting, match=r"^precision bf16 of images in ONNX Runtime; expected float; for bf16 add --target"
    ):
        run(bundle, **asked, precision="bf16")
    if not ImageTarget.part("openvino").computes_in("bf16"):
        pytest.skip("this processor has no bf16 instructions")
    ran = run(bundle, **asked, target="openvino", precision="bf16")
    assert ran.json()["how"]["runtime"] == "OpenVINO in bf16"
    rows = (tmp_path / "labels.jsonl").read_text()
    assert '"label": "g"' in rows
    begun = {"format": FORMAT, "batch": 8, "bundle": bundle.digest, "form": "portable", "runtime": "openvino"}
    part_of(tmp_path / "labels.jsonl").write_text(f"{json.dumps(begun)}\n{rows}")
    with pytest.raises(BadCheckpoint, match="of another bundle or other settings"):
        run(bundle, **asked, target="openvino", precision="bf16")


def test_products_of_8_bits_stay_8_bits(file: Path) -> None:
    """Its logits are ONNX Runtime's of the same file, and not those of the file in 32 bits."""
    images = np.random.default_rng(0).standard_normal((8, 3, 16, 16)).astype(np.float32)
    quantise(file, file.with_name("int8.onnx"), images)
    there = {
        (target, name): ImageTarget.named(target).logits(file.with_name(name), images)
        for target in ("openvino", "onnxruntime")
        for name in ("int8.onnx", "model.onnx")
    }
    eight = there["openvino", "int8.onnx"]
    moved = np.abs(there["onnxruntime", "int8.onnx"] - there["onnxruntime", "model.onnx"]).mean()
    assert np.abs(eight - there["onnxruntime", "int8.onnx"]).mean() < 0.5 * moved
    assert np.abs(eight - there["openvino", "model.onnx"]).mean() > 0.5 * moved


def test_threads_may_call_it_at_once_and_results_are_kept(file: Path) -> None:
    target = ImageTarget.named("openvino", threads=1, at_once=2)
    images = np.random.default_rng(0).standard_normal((12, 1, 3, 16, 16)).astype(np.float32)
    alone = [target.logits(file, image) for image in images]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda image: target.logits(file, image), images))
    for one_by_one, at_once in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one_by_one, at_once)
    assert not np.array_equal(alone[0], alone[1])


def test_wrong_input_is_one_line(file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing of the kind")
    for path in (broken, tmp_path / "none.onnx"):
        with pytest.raises(BadBundle, match="cannot be run by OpenVINO"):
            ImageTarget.named("openvino").logits(path, np.zeros((1, 3, 16, 16), np.float32))
    with pytest.raises(BadBundle, match=r"shape \(1, 3, 9, 9\)"):
        ImageTarget.named("openvino").logits(file, np.zeros((1, 3, 9, 9), np.float32))
    with pytest.raises(BadSetting, match="provider 'abacus' of OpenVINO; expected one of cpu"):
        ImageTarget.named("openvino", provider="abacus").logits(file, np.zeros((1, 3, 16, 16), np.float32))
    with pytest.raises(BadSetting, match=r"^precision 'half' of images; expected one of float, bf16, fp16$"):
        ImageTarget.named("openvino", precision="half")
    with pytest.raises(BadSetting, match="threads -1"):
        ImageTarget.named("openvino", threads=-1)


def test_without_avx_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """There it gives no rows and no error, or dies of SIGSEGV with a second file."""
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    there = Target.part("openvino").available()
    assert (there.ok, there.fix) == (False, "needs a processor with AVX")
    with pytest.raises(Unsupported, match=r"^OpenVINO on a processor without AVX; expected a processor with AVX; run"):
        ImageTarget.named("openvino")


NO_ROWS = """
import sys
from pathlib import Path

import numpy as np

from neuroprompt.contracts.deployment import ImageTarget
from neuroprompt.errors import Unsupported

sys.modules[ImageTarget.part("openvino").__module__]._has_avx = lambda: True
try:
    ImageTarget.named("openvino", threads=1).logits(Path(sys.argv[1]), np.ones((3, 3, 16, 16), np.float32))
except Unsupported as error:
    print(error)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="another kind of processor")
def test_where_nothing_says_that_there_is_no_avx_its_rows_are_counted(file: Path) -> None:
    env = {**os.environ, "ONEDNN_MAX_CPU_ISA": "SSE41"}
    command = [sys.executable, "-c", NO_ROWS, str(file)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.startswith("0 rows of logits for 3 images from OpenVINO; expected a processor with AVX"), (
        done.stderr
    )


def test_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Target.part("openvino").available().ok
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("neuroprompt.extras.find_spec", lambda name: None)
    there = Target.part("openvino").available()
    assert (there.ok, there.fix) == (False, 'pip install "neuroprompt-toolkit[openvino]"')
    with pytest.raises(RuntimeMissing, match="openvino is not installed"):
        ImageTarget.named("openvino")


TWO_OF_THEM = """
import os, signal, sys
from pathlib import Path

import numpy as np

from neuroprompt.contracts.deployment import ImageTarget

there = [ImageTarget.named("openvino", threads=1) for _ in range(2)]
for target in there:
    target.logits(Path(sys.argv[1]), np.ones((1, 3, 16, 16), np.float32))
del target
while there:
    del there[0]
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("stopped")
"""


def test_ctrl_c_after_two_of_them(file: Path) -> None:
    """The memory in which a signal is handled is still there, where OpenVINO has brought its own (with AMX)."""
    command = [sys.executable, "-c", TWO_OF_THEM, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")


SENDS_NOTHING = """
import sys
from pathlib import Path

import numpy as np

from neuroprompt.contracts.deployment import ImageTarget

asked = []
sys.addaudithook(lambda event, words: asked.append(words) if event.startswith("socket.") else None)
logits = ImageTarget.named("openvino", threads=1).logits(Path(sys.argv[1]), np.ones((2, 3, 4, 4), np.float32))
assert logits.tolist() == [[1, 1, 1], [1, 1, 1]], logits
assert asked == [], asked
assert not any(name.startswith("openvino_telemetry.") for name in sys.modules)
"""


def test_its_import_asks_nobody_for_anything(tmp_path: Path) -> None:
    """OpenVINO's package sends an event to Google Analytics as it is imported, by a file that it makes at home."""
    size = {"size": [4, 4], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    bundle = means_bundle(tmp_path / "means", size, ("r", "g", "b"))
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-c", SENDS_NOTHING, str(bundle.folder / "model.onnx")]
    done = subprocess.run(
        command, env={**os.environ, "HOME": str(home)}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (home / "intel").exists()
