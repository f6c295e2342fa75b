"""A user's mistake is one clear line on stderr and exit code 2; nothing is half-written, nothing is lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import nir
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

Command = Callable[..., Any]
EDGES = [("i", "n"), ("n", "o")]


class Result(NamedTuple):
    code: int
    out: str
    err: str


def refused(result: Any, *words: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that holds `words`."""
    assert result.code == 2, result
    assert result.out == ""
    (line,) = [line for line in result.err.splitlines() if line.startswith("error:")]
    assert "Traceback" not in result.err
    for word in words:
        assert word in line, line


def images(folder: Path, classes: int = 2, count: int = 4) -> Path:
    generator = np.random.default_rng(0)
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for i in range(count):
            image = generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / f"class{label}" / f"{i}.png")
    return folder


def train_words(out: Path, *more: object) -> tuple[object, ...]:
    return ("train", "--random-weights", "--epochs", "1", "--limit", "20", "--out", out, *more)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--method", "spike-nvtp"), ("spike-nvtp", "spike-nvpt")),
        (("--backbone", "vit_hugest"), ("vit_hugest",)),
        (("--backbone", "mobilevit_xxs"), ("spike-nvpt", "no blocks that take tokens", "neuroprompt backbones")),
        (("--data", "digitz"), ("digitz", "digits")),
        (("--data", "folder"), ("folder:PATH",)),
        (("--set", "stepz=3"), ("stepz", "steps")),
        (("--set", "steps"), ("KEY=VALUE",)),
        (("--set", "steps=0"), ("steps", "at least 1")),
        (("--lr", "-1"), ("lr",)),
        (("--precision", "64-true"), ("precision",)),
        (("--devices", "two"), ("devices 'two'", "--devices 2")),
        (("--devices", "0"), ("devices '0'", "at least 1")),
        (("--tokens", 10**13), ("more memory than there is", "fewer tokens")),
        (("--tokens", 2**62), ("more memory than there is",)),
        (("--image-size", 2**60), ("image size", "at most 65535")),
        (("--image-size", 7), ("cannot take images of 7 pixels",)),
        (("--classifier", "absent.safetensors"), ("absent.safetensors",)),
    ],
)
def test_unknown_names_and_settings(
    command: Command, tmp_path: Path, words: tuple[object, ...], said: tuple[str, ...]
) -> None:
    refused(command(*train_words(tmp_path / "run", *words)), *said)
    assert not (tmp_path / "run").exists()


def test_an_unknown_export_target(command: Command, trained: Path, tmp_path: Path) -> None:
    refused(command("export", trained, "--target", "lawa", "--out", tmp_path / "x"), "lawa", "lava", "onnx", "nir")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("given", ["poisson:2", "poisson:often", "absent.npy", "wide.npy", "words.npy"])
def test_an_input_that_does_not_fit_the_graph(command: Command, tmp_path: Path, given: str) -> None:
    ones = np.ones(1)
    nodes = {"i": nir.Input({"input": ones.astype(int)}), "n": nir.IF(ones, ones, ones * 0)}
    nir.write(tmp_path / "g.nir", nir.NIRGraph({**nodes, "o": nir.Output({"output": ones.astype(int)})}, EDGES))
    np.save(tmp_path / "wide.npy", np.ones((4, 3)))
    (tmp_path / "words.npy").write_text("no array")
    drive = given if given.startswith("poisson") else tmp_path / given
    refused(command("verify", tmp_path / "g.nir", "--steps", "4", "--input", drive), given)


def test_an_unknown_target_of_verify(command: Command, lava_bundle: Path) -> None:
    refused(command("verify", lava_bundle, "--targets", "norze"), "norze", "loihi")


def test_an_empty_image_folder(command: Command, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    refused(command(*train_words(tmp_path / "run", "--data", f"folder:{tmp_path / 'images'}")), "images")


def test_one_class(command: Command, tmp_path: Path) -> None:
    folder = images(tmp_path / "images", classes=1)
    refused(command(*train_words(tmp_path / "run", "--data", f"folder:{folder}")), "class")


@pytest.mark.parametrize("damage", ["truncated", "text"])
def test_an_unreadable_image_is_named(command: Command, tmp_path: Path, damage: str) -> None:
    folder = images(tmp_path / "images", count=8)
    for bad in (folder / "class0").iterdir():  # whichever split it falls into
        bad.write_bytes(bad.read_bytes()[:300] if damage == "truncated" else b"this is no image")
    refused(command(*train_words(tmp_path / "run", "--data", f"folder:{folder}")), ".png")


def test_weights_that_do_not_fit(command: Command, tmp_path: Path) -> None:
    save_file({"blocks.0.norm1.weight": torch.ones(7)}, tmp_path / "w.safetensors")
    words = ("train", "--backbone", "vit_tiny_patch16_224", "--weights", tmp_path / "w.safetensors")
    refused(command(*words, "--out", tmp_path / "run"), "w.safetensors")
    assert not (tmp_path / "run").exists()


def test_pickled_weights_that_are_more_than_tensors(command: Command, tmp_path: Path) -> None:
    torch.save({"x": Fraction(1, 2)}, tmp_path / "w.pth")
    words = ("train", "--backbone", "vit_tiny_patch16_224", "--weights", tmp_path / "w.pth")
    refused(command(*words, "--out", tmp_path / "run"), "more than tensors", "safetensors")


def test_a_checkpoint_of_another_method(command: Command, trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert command(*train_words(other, "--method", "linear")).code == 0
    mixed = shutil.copytree(trained, tmp_path / "mixed")
    shutil.copyfile(other / "prompt.safetensors", mixed / "prompt.safetensors")
    refused(command("eval", mixed), "linear", "spike-nvpt")


def test_runs_that_cannot_be_compared(command: Command, trained: Path, tmp_path: Path) -> None:
    refused(command("eval", trained, trained), "same seed")
    other = tmp_path / "other"
    assert command(*train_words(other, "--method", "linear", "--seed", "1")).code == 0
    refused(command("eval", trained, other, "--csv", tmp_path / "a.csv"), "method", "spike-nvpt", "linear")
    assert not (tmp_path / "a.csv").exists()


def test_elsewhere_with_strange_classes(command: Command, trained: Path, tmp_path: Path) -> None:
    refused(command("eval", trained, "--ood", f"folder:{images(tmp_path / 'p')}"), "class0", "not trained on")


def test_output_mappings(command: Command, tmp_path: Path) -> None:
    def words(*more: str) -> tuple[object, ...]:
        return train_words(tmp_path / "run", "--method", "lor-vp", *more)

    tiny = ("--backbone", "test_vit", "--image-size", "32", "--head", "iterative")
    refused(command(*words("--head", "itterative")), "itterative", "iterative")
    refused(command(*words("--head", "iterative")), "embedded", "classifier")
    refused(command(*words(*tiny, "--head-set", "source=2")), "source", "sources")
    refused(command(*words(*tiny, "--head-set", "sources")), "--head-set", "sources=2")
    refused(command(*words(*tiny, "--head-set", "sources=101")), "1010", "1000")
    refused(command(*train_words(tmp_path / "run", "--method", "linear", *tiny)), "nothing learns")
    assert not (tmp_path / "run").exists()
    assert command(*words(*tiny, "--head-set", "sources=2")).code == 0


def test_reports_that_cannot_be_made(command: Command, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    refused(command("report", trained, "--out", tmp_path / "r.pdf"), "r.pdf", ".html")
    refused(command("report", trained, "--out", out, "--skip", "everything"), "everything", "accuracy, latency, verify")
    refused(command("report", trained, "--out", out, "--noise", "gausian:0.1"), "gausian")
    refused(command("report", tmp_path, "--out", out), "manifest.json")
    other = tmp_path / "other"
    assert command("train", "--random-weights", "--epochs", "1", "--limit", "40", "--out", other).code == 0
    refused(command("report", trained, other, "--out", out), "cannot be compared", "limit", "30", "40")
    assert [p.name for p in tmp_path.iterdir()] == ["other"]


def test_cards_and_the_hub(
    command: Command, lava_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "eval.json").write_text("no json")
    refused(command("card", lava_bundle, "--accuracy", tmp_path / "eval.json"), "eval.json", "neuroprompt eval")
    refused(command("card", tmp_path), "manifest.json")
    refused(command("card", lava_bundle, "--generator-prices", "loihi2"), "loihi2")
    refused(command("push", tmp_path, "me/digits"), "manifest.json")
    refused(command("push", lava_bundle, "no such name"), "OWNER/NAME")
    refused(command("pull", "me/digits", "--out", tmp_path / "x"), "cannot be reached", "HF_ENDPOINT")
    assert [p.name for p in tmp_path.iterdir()] == ["eval.json"]


def test_no_run_at_all(command: Command, tmp_path: Path) -> None:
    refused(command("eval", tmp_path), "run.json")


def test_a_changed_and_a_missing_file_of_a_bundle(command: Command, lava_bundle: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(lava_bundle, tmp_path / "changed")
    data = bytearray((changed / "program.fixed.npz").read_bytes())
    data[100] ^= 1
    (changed / "program.fixed.npz").write_bytes(bytes(data))
    refused(command("verify", changed), "program.fixed.npz", "changed")
    missing = shutil.copytree(lava_bundle, tmp_path / "missing")
    (missing / "generator.nir").unlink()
    refused(command("run", missing), "generator.nir", "missing")


def test_a_bundle_of_the_other_kind(command: Command, lava_bundle: Path, onnx_bundle: Path) -> None:
    refused(command("bench", lava_bundle), "lava", "onnx")
    refused(command("bench", lava_bundle, "--bulk", "8"), "lava", "onnx")
    refused(command("bench", onnx_bundle, "--bulk", "0"), "0 images")
    refused(command("verify", onnx_bundle), "onnx", "lava")


def test_nir_files_that_nobody_can_run(command: Command, tmp_path: Path, lava_bundle: Path) -> None:
    text = tmp_path / "text.nir"
    text.write_text("not HDF5")
    refused(command("verify", text), "text.nir")
    whole = (lava_bundle / "generator.nir").read_bytes()
    short = tmp_path / "short.nir"
    short.write_bytes(whole[: len(whole) // 2])
    refused(command("verify", short), "short.nir")
    odd = tmp_path / "odd.nir"
    odd.write_bytes(whole)
    with h5py.File(odd, "r+") as file:
        neurons = next(n for n in file["node/nodes"].values() if n["type"][()] == b"IF")
        del neurons["type"]
        neurons["type"] = b"Hologram"
    refused(command("verify", odd), "odd.nir")
    refused(command("verify", tmp_path / "absent.nir"), "absent.nir")


def test_a_method_without_neurons_has_no_lava_bundle(command: Command, tmp_path: Path) -> None:
    assert command(*train_words(tmp_path / "run", "--method", "linear")).code == 0
    out = tmp_path / "out"
    refused(command("export", tmp_path / "run", "--target", "lava", "--out", out), "linear", "spike-nvpt")
    assert not out.exists()


def test_no_python_3_10(command: Command, lava_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROPROMPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NEUROPROMPT_LAVA_PYTHON", str(tmp_path / "no-python"))
    refused(command("targets", "install", "lava"), "NEUROPROMPT_LAVA_PYTHON")
    refused(command("run", lava_bundle), "neuroprompt targets install lava")


def test_export_never_overwrites_what_is_not_ours(command: Command, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    refused(command("export", trained, "--target", "lava", "--out", tmp_path / "mine"), "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_a_full_disk_leaves_nothing_half_written(trained: Path, tmp_path: Path) -> None:
    # A limit on a file's size fails a write half-way, as a full disk does; it lasts for the child alone.
    script = (
        "import resource, sys; from neuroprompt.cli import main; "
        "sys.argv = ['neuroprompt', 'export', sys.argv[1], '--target', 'lava', '--out', sys.argv[2]]; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); main()"
    )
    words = [sys.executable, "-c", script, str(trained), str(tmp_path / "lava")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    refused(Result(done.returncode, done.stdout, done.stderr), "lava")
    assert list(tmp_path.iterdir()) == []


def test_wrong_noise_and_wrong_options(command: Command, trained: Path, lava_bundle: Path) -> None:
    refused(command("eval", trained, "--noise", "gausian:0.1"), "gausian")
    refused(command("eval", trained, "--noise", "jpeg:900"), "jpeg")
    refused(command("eval", trained, "--noise", "fog:9"), "fog:9", "1 to 5")
    refused(command("eval", trained, "--ood", "folder:nowhere"), "nowhere")
    refused(command("eval", trained, "--csv", trained / "no" / "a.csv"), "a.csv")
    refused(command("bench"), "--backbone")
    refused(command("bench", "--bulk", "8"), "--bulk", "BUNDLE")
    refused(command("energy", lava_bundle, "--generator-prices", "loihi2"), "loihi2", "loihi")
    refused(command("run", lava_bundle, "--precision", "half", "--target", "loihi"), "half")
