from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from neuroprompt import pictures
from neuroprompt.errors import BadData, BadSetting, CannotWrite

BITS = (np.random.default_rng(0).random((6, 5, 192)) < 0.3) * 0.5
SPIKES = np.random.default_rng(1).random((4, 960)) < 0.25
CURVES = {
    "linear": {"clean": 0.9, "gaussian:0.1": 0.7, "gaussian:0.2": 0.5, "jpeg:25": 0.8},
    "spike-nvpt": {"clean": 0.95, "gaussian:0.1": 0.85, "jpeg:25": 0.9},
}
DRAW: dict[str, tuple[Callable[[Path], Path], tuple[int, int]]] = {
    "bits": (lambda file: pictures.prompt_bits(BITS, file), (1200, 500)),
    "raster": (lambda file: pictures.spike_raster(SPIKES, file), (1200, 500)),
    "curve": (lambda file: pictures.noise_curve(CURVES, file), (1200, 500)),
    "overview": (lambda file: pictures.overview(BITS, SPIKES, CURVES, file), (1200, 400)),
}


def pixels(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(file) as image:
        image.verify()
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def part_of(file: Path, colour: str) -> float:
    """The part of the picture's pixels that have nearly that colour."""
    distance = np.abs(pixels(file).astype(float) - 255 * np.array(to_rgb(colour))).max(axis=2)
    return float((distance < 8).mean())


@pytest.mark.parametrize("name", DRAW)
def test_a_png_of_the_size_that_was_said_and_not_blank(name: str, tmp_path: Path) -> None:
    draw, size = DRAW[name]
    file = draw(tmp_path / "new" / "picture.png")
    assert file == tmp_path / "new" / "picture.png"
    assert [p.name for p in file.parent.iterdir()] == ["picture.png"]
    assert pixels(file).shape == (size[1], size[0], 3)
    assert len(np.unique(pixels(file).astype(int) @ [65536, 256, 1])) > 20


@pytest.mark.parametrize("name", DRAW)
def test_an_svg(name: str, tmp_path: Path) -> None:
    root = ElementTree.parse(DRAW[name][0](tmp_path / "picture.svg")).getroot()
    assert root.tag.endswith("svg")
    assert len(list(root.iter())) > 50


def test_every_picture_shows_other_data_otherwise(tmp_path: Path) -> None:
    a = pictures.prompt_bits(BITS, tmp_path / "a.png")
    b = pictures.prompt_bits(BITS[:, ::-1], tmp_path / "b.png")
    assert (pixels(a) != pixels(b)).any()


@pytest.mark.parametrize("density", [0.0, 0.25, 1.0])
def test_the_dark_part_is_the_part_of_ones(density: float, tmp_path: Path) -> None:
    # 20 x 24 cells of some 40 x 20 pixels each: big enough that their edges do not count.
    bits = np.zeros((1, 20, 24))
    bits.flat[: int(density * bits.size)] = 0.7
    file = pictures.prompt_bits(bits, tmp_path / "a.png")
    dark, light = part_of(file, pictures.INK), part_of(file, pictures.PAPER)
    assert dark + light == pytest.approx(0.8, abs=0.05), "the axes' part of the picture"
    assert dark / (dark + light) == pytest.approx(density, abs=0.02)


def test_each_method_has_a_colour_of_its_own(tmp_path: Path) -> None:
    file = pictures.noise_curve(CURVES, tmp_path / "a.png")
    shown = [part_of(file, colour) > 5e-4 for colour in pictures.LINES[:4]]
    assert shown == [True, True, False, False]


def test_no_two_of_56_lines_look_alike() -> None:
    looks = {(i % len(pictures.LINES), i % len(pictures.MARKERS)) for i in range(56)}
    assert len(looks) == 56


def test_one_neuron_one_step_one_block_one_accuracy(tmp_path: Path) -> None:
    one = {"linear": {"clean": 1.0}}
    assert pictures.overview(np.ones((1, 1, 1)), np.ones((1, 1)), one, tmp_path / "a.png").is_file()


def test_many_steps_and_few_neurons(tmp_path: Path) -> None:
    assert pictures.spike_raster(SPIKES.T, tmp_path / "a.png", max_neurons=2).is_file()


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (np.zeros((5, 192)), r"shape \(5, 192\); expected"),
        (np.zeros((0, 5, 192)), r"shape \(0, 5, 192\); expected"),
        (np.random.default_rng(0).random((2, 3, 4)), "not bits"),
        (np.full((2, 3, 4), np.nan), "finite"),
    ],
)
def test_tokens_that_are_not_bits(tokens: pictures.Array, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=said):
        pictures.prompt_bits(tokens, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_scale_of_its_own_in_each_block_is_still_bits(tmp_path: Path) -> None:
    scaled = (BITS != 0) * np.linspace(0.5, 2, 6).reshape(6, 1, 1)
    a, b = pictures.prompt_bits(BITS, tmp_path / "a.png"), pictures.prompt_bits(scaled, tmp_path / "b.png")
    assert (pixels(a) == pixels(b)).all()


@pytest.mark.parametrize("spikes", [np.zeros(4), np.zeros((4, 0)), np.full((4, 3), 2), np.full((4, 3), 0.5)])
def test_what_is_not_spikes(spikes: pictures.Array, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="0 and 1"):
        pictures.spike_raster(spikes, tmp_path / "a.png")


@pytest.mark.parametrize("curves", [{}, {"linear": {}}])
def test_no_accuracy(curves: dict[str, dict[str, float]], tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no accuracy"):
        pictures.noise_curve(curves, tmp_path / "a.png")


@pytest.mark.parametrize("value", [-0.1, 95.0, float("nan")])
def test_an_accuracy_that_cannot_be(value: float, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="linear under jpeg:25; expected a number from 0 to 1"):
        pictures.noise_curve({"linear": {"jpeg:25": value}}, tmp_path / "a.png")


def test_a_name_that_says_no_format(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"picture\.jpg.*\.png or \.svg"):
        pictures.noise_curve(CURVES, tmp_path / "picture.jpg")


def test_no_neurons_to_show(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="max_neurons 0"):
        pictures.spike_raster(SPIKES, tmp_path / "a.png", max_neurons=0)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CannotWrite, match="cannot write"):
        pictures.noise_curve(CURVES, tmp_path / "file" / "a.png")
