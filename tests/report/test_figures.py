"""Figures show their data, look the same every time, and refuse what is not what they draw."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from neuroprompt.errors import BadData, BadSetting
from neuroprompt.report import figures as images

BITS = (np.random.default_rng(0).random((6, 5, 192)) < 0.3) * 0.5
SPIKES = np.random.default_rng(1).random((4, 960)) < 0.25
CURVES = {
    "linear": {"clean": 0.9, "gaussian:0.1": 0.7, "gaussian:0.2": 0.5, "jpeg:25": 0.8},
    "spike-nvpt": {"clean": 0.95, "gaussian:0.1": 0.85, "jpeg:25": 0.9},
}
DRAW: dict[str, Callable[[Axes], None]] = {
    "bits": lambda axes: images.draw_bits(axes, BITS),
    "raster": lambda axes: images.draw_raster(axes, SPIKES),
    "curve": lambda axes: images.draw_curves(axes, CURVES),
}


def drawn(draw: Callable[[Axes], None], form: Literal["png", "svg"] = "png") -> bytes:
    figure = images.new_figure(12, 5)
    draw(figure.subplots())
    return images.rendered(figure, form)


def pixels(draw: Callable[[Axes], None]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(drawn(draw))) as image:
        return np.asarray(image.convert("RGB"))


def bits(tokens: images.Array) -> Callable[[Axes], None]:
    return lambda axes: images.draw_bits(axes, tokens)


def raster(spikes: images.Array, most: int = 60) -> Callable[[Axes], None]:
    return lambda axes: images.draw_raster(axes, spikes, most)


def curves(accuracy: images.Curves) -> Callable[[Axes], None]:
    return lambda axes: images.draw_curves(axes, accuracy)


def part_of(draw: Callable[[Axes], None], colour: str) -> float:
    """The part of the image's pixels that have nearly that colour."""
    distance = np.abs(pixels(draw).astype(float) - 255 * np.array(to_rgb(colour))).max(axis=2)
    return float((distance < 8).mean())


@pytest.mark.parametrize("name", DRAW)
def test_a_png_that_is_not_blank_and_the_same_every_time(name: str) -> None:
    found = pixels(DRAW[name])
    assert found.shape == (800, 1920, 3)
    assert len(np.unique(found.astype(int) @ [65536, 256, 1])) > 20
    assert drawn(DRAW[name]) == drawn(DRAW[name])


@pytest.mark.parametrize("name", DRAW)
def test_an_svg_whose_text_is_text(name: str) -> None:
    root = ElementTree.fromstring(drawn(DRAW[name], "svg"))
    assert root.tag.endswith("svg")
    assert any(of.tag.endswith("text") and of.text for of in root.iter())
    assert drawn(DRAW[name], "svg") == drawn(DRAW[name], "svg")


def test_other_data_looks_otherwise() -> None:
    assert (pixels(bits(BITS)) != pixels(bits(BITS[:, ::-1]))).any()


@pytest.mark.parametrize("density", [0.0, 0.25, 1.0])
def test_the_dark_part_is_the_part_of_ones(density: float) -> None:
    # 20 x 24 cells of some 40 x 20 pixels each: big enough that their edges do not count.
    tokens = np.zeros((1, 20, 24))
    tokens.flat[: int(density * tokens.size)] = 0.7
    dark, light = part_of(bits(tokens), images.INK), part_of(bits(tokens), images.PAPER)
    assert abs(dark + light - 0.8) <= 0.05, "the axes' part of the image"
    assert abs(dark / (dark + light) - density) <= 0.02


def test_each_method_has_a_colour_of_its_own() -> None:
    shown = [part_of(curves(CURVES), colour) > 5e-4 for colour in images.LINES[:4]]
    assert shown == [True, True, False, False]


def test_no_two_of_56_lines_look_alike() -> None:
    looks = {(i % len(images.LINES), i % len(images.MARKERS)) for i in range(56)}
    assert len(looks) == 56


def test_one_neuron_one_step_one_block_one_accuracy() -> None:
    for draw in (bits(np.ones((1, 1, 1))), raster(np.ones((1, 1))), curves({"linear": {"clean": 1.0}})):
        assert drawn(draw)


def test_many_steps_and_few_neurons() -> None:
    assert drawn(raster(SPIKES.T, 2))


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (np.zeros((5, 192)), r"shape \(5, 192\); expected"),
        (np.zeros((0, 5, 192)), r"shape \(0, 5, 192\); expected"),
        (np.random.default_rng(0).random((2, 3, 4)), "not bits"),
        (np.full((2, 3, 4), np.nan), "finite"),
    ],
)
def test_tokens_that_are_not_bits(tokens: images.Array, said: str) -> None:
    with pytest.raises(BadData, match=said):
        drawn(bits(tokens))


def test_a_scale_of_its_own_in_each_block_is_still_bits() -> None:
    scaled = (BITS != 0) * np.linspace(0.5, 2, 6).reshape(6, 1, 1)
    assert drawn(bits(BITS)) == drawn(bits(scaled))


@pytest.mark.parametrize("spikes", [np.zeros(4), np.zeros((4, 0)), np.full((4, 3), 2), np.full((4, 3), 0.5)])
def test_what_is_not_spikes(spikes: images.Array) -> None:
    with pytest.raises(BadData, match="0 and 1"):
        drawn(raster(spikes))


@pytest.mark.parametrize("accuracy", [{}, {"linear": {}}])
def test_no_accuracy(accuracy: dict[str, dict[str, float]]) -> None:
    with pytest.raises(BadData, match="no accuracy"):
        drawn(curves(accuracy))


@pytest.mark.parametrize("value", [-0.1, 95.0, float("nan")])
def test_an_accuracy_that_cannot_be(value: float) -> None:
    with pytest.raises(BadData, match="linear under jpeg:25; expected a number from 0 to 1"):
        drawn(curves({"linear": {"jpeg:25": value}}))


def test_no_neurons_to_show() -> None:
    with pytest.raises(BadSetting, match="max_neurons 0"):
        drawn(raster(SPIKES, 0))


def test_ctrl_c_while_it_is_drawn_comes_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside matplotlib's compiled code it would be a TypeError."""
    drawn: list[bytes] = []

    def save(self: Figure, file: io.BytesIO, **_: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        drawn.append(b"whole")

    monkeypatch.setattr(Figure, "savefig", save)
    with pytest.raises(KeyboardInterrupt):
        images.rendered(images.new_figure(1, 1), "png")
    assert drawn == [b"whole"]
