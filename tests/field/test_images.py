"""Images of every kind that people bring: training and deployment read each as people see it, or say why not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from neuroprompt.bundles.image_files import read_image
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.errors import BadData
from neuroprompt.images import as_rgb, read_rgb
from neuroprompt.training.dataset import load_data

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
GREY = np.stack([RAMP] * 3, axis=-1)
WHITE = [255, 255, 255]


def shown(file: Path, exif: bool = True) -> np.ndarray:
    return np.asarray(read_rgb(file, exif))


def rejected(file: Path, *words: str) -> None:
    with pytest.raises(BadData) as caught:
        read_rgb(file)
    assert "\n" not in str(caught.value)
    for word in (file.name, *words):
        assert word in str(caught.value)


# --- more than 8 bits ------------------------------------------------------------------------------------------------


def wide(file: Path) -> Path:
    """RAMP in 16 bits, or as floats, in the format of the file's name."""
    sixteen = RAMP.astype(np.uint16) * 257
    if file.name == "float.tif":
        Image.fromarray((RAMP / 255).astype(np.float32)).save(file)
    elif file.name == "white_is_zero.tif":
        Image.fromarray(65535 - sixteen).save(file, tiffinfo={262: 0})
    elif file.name == "big_endian.tif":
        Image.fromarray(sixteen.astype(">u2")).save(file)
    elif file.name == "maxval.pgm":  # 510 of 510 is white
        file.write_bytes(b"P5\n16 16\n510\n" + (RAMP.astype(np.uint16) * 2).astype(">u2").tobytes())
    elif file.name == "text.pgm":
        file.write_text("P2\n16 16\n1020\n" + " ".join(str(int(v) * 4) for v in RAMP.flat))
    else:
        Image.fromarray(sixteen).save(file)
    return file


NAMES = (
    *("a.png", "a.tif", "big_endian.tif", "white_is_zero.tif", "float.tif", "a.jp2"),
    *("a.pgm", "maxval.pgm", "text.pgm"),
)


@pytest.mark.parametrize("name", NAMES)
def test_wide_values_are_scaled_by_their_range(name: str, tmp_path: Path) -> None:
    assert np.array_equal(shown(wide(tmp_path / name)), GREY)


@given(st.integers(0, 65535))
def test_sixteen_bits_become_the_nearest_of_eight(value: int) -> None:
    image = Image.fromarray(np.full((1, 1), value, dtype=np.uint16))
    assert abs(int(np.asarray(as_rgb(image))[0, 0, 0]) * 257 - value) <= 128


def test_twelve_bits_of_tiff_are_scaled_by_twelve(tmp_path: Path) -> None:
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x10])  # 0, 2048, 4095, 16
    tags = {256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 6}
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 14) + packed + directory)
    assert shown(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 128, 255, 1]


def test_colour_of_sixteen_bits(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + b"".join(struct.pack(">3H", 65535, 257 * v, 0) for v in range(16)) for _ in range(2))
    write_png(tmp_path / "a.png", 16, 2, depth=16, colour=2, rows=rows)
    assert shown(tmp_path / "a.png")[0].tolist() == [[255, v, 0] for v in range(16)]


def test_the_transparent_colour_of_sixteen_bits_is_white(tmp_path: Path) -> None:
    """Pillow reads the colours in 8 bits, and which of them is transparent in 16."""
    rows = b"\0" + struct.pack(">6H", 100 * 257, 0, 65535, 100 * 257, 0, 0)
    clear = struct.pack(">3H", 100 * 257, 0, 65535)
    write_png(tmp_path / "a.png", 2, 1, depth=16, colour=2, rows=rows, clear=clear)
    assert shown(tmp_path / "a.png")[0].tolist() == [WHITE, [100, 0, 0]]


def write_png(file: Path, width: int, height: int, *, depth: int, colour: int, rows: bytes, clear: bytes = b"") -> None:
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0))
    header += chunk(b"tRNS", clear) if clear else b""
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((2, 2), 70000, np.int32), "32 bits"),
        (np.full((2, 2), 1.5, np.float32), "floats from 1.5 to 1.5"),
        (np.full((2, 2), -0.1, np.float32), "expected floats from 0 to 1"),
        (np.full((2, 2), np.nan, np.float32), "floats from nan"),
    ],
)
def test_a_range_that_nothing_tells_is_one_line(values: np.ndarray, said: str, tmp_path: Path) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    rejected(tmp_path / "a.tif", said)


@pytest.mark.parametrize("name", ["a.png", "float.tif"])
def test_training_and_deployment_read_the_same(name: str, tmp_path: Path) -> None:
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        for i in range(5):
            wide(tmp_path / label / name).rename(tmp_path / label / f"{i}{Path(name).suffix}")
    preprocess = Preprocess((8, 24))
    trained = load_data(f"folder:{tmp_path}", preprocess, 0).train[0][0]
    deployed = read_image(tmp_path / "ant" / f"0{Path(name).suffix}", asdict(preprocess))
    assert torch.equal(trained.float() / 255, torch.from_numpy(deployed))
    eight = Image.fromarray(GREY).resize((24, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(trained.permute(1, 2, 0).numpy(), np.asarray(eight))


# --- rotation --------------------------------------------------------------------------------------------------------

CORNERS = {1: "abcd", 2: "badc", 3: "dcba", 4: "cdab", 5: "acbd", 6: "cadb", 7: "dbca", 8: "bdac"}
"""Where the four pixels a b / c d stand, by EXIF's orientation: Exif 2.3, section 4.6.4."""


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_stands_as_people_see_it(orientation: int, suffix: str, tmp_path: Path) -> None:
    stored = np.array([[10, 80], [150, 220]], np.uint8).repeat(8, 0).repeat(8, 1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / f"a{suffix}"
    Image.fromarray(stored).convert("RGB").save(file, exif=exif, lossless=True)
    turned = shown(file)[4::8, 4::8, 0]
    assert turned.flatten().tolist() == [{"a": 10, "b": 80, "c": 150, "d": 220}[c] for c in CORNERS[orientation]]
    if suffix != ".tif":  # a tag of TIFF itself, and no EXIF
        assert np.array_equal(shown(file, exif=False)[..., 0], stored)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's
def test_damaged_exif_says_nothing(tmp_path: Path) -> None:
    for junk in (b"Exif\0\0" + b"\xff" * 40, b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM"):
        Image.fromarray(GREY).save(tmp_path / "a.png", exif=junk)
        assert np.array_equal(shown(tmp_path / "a.png"), GREY)


def test_a_run_and_its_bundle_turn_images_alike_or_not_at_all(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        for i in range(5):
            Image.fromarray(GREY).save(tmp_path / label / f"{i}.png", exif=exif)
    for preprocess in (Preprocess((16, 16)), Preprocess((16, 16), exif=False)):
        trained = load_data(f"folder:{tmp_path}", preprocess, 0).train[0][0]
        deployed = read_image(tmp_path / "ant" / "0.png", asdict(preprocess))
        assert torch.equal(trained.float() / 255, torch.from_numpy(deployed))
        assert np.array_equal(trained.permute(1, 2, 0).numpy(), np.rot90(GREY, -1) if preprocess.exif else GREY)


# --- transparency, palettes, animations ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_transparency_lies_on_white(mode: str, tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (80, 80, 80, 255))
    if mode in ("P", "PA"):
        image = Image.new("P", (2, 1))
        image.putpalette([9, 9, 9, 80, 80, 80])
        image.putpixel((1, 0), 1)
        image.info["transparency"] = 0
    elif mode == "LA":
        image = image.convert("LA")
    image = image.convert("PA") if mode == "PA" else image
    assert np.asarray(as_rgb(image))[0].tolist() == [WHITE, [80, 80, 80]]


def test_a_grey_that_png_calls_transparent_is_white(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257 * 80]], np.uint16)).save(tmp_path / "a.png", transparency=0)
    assert shown(tmp_path / "a.png")[0].tolist() == [WHITE, [80, 80, 80]]


def test_cmyk_and_other_colours(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100, subsampling=0)
    red, green, blue = shown(tmp_path / "a.jpg")[4, 4].tolist()
    assert red > 250
    assert max(green, blue) < 5
    for mode in ("1", "YCbCr", "LAB", "HSV", "RGBX"):
        assert as_rgb(Image.new(mode, (2, 2))).mode == "RGB"


def test_of_an_animation_the_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    for name in ("a.gif", "a.png", "a.tif", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        assert shown(tmp_path / name)[0, 0].tolist() == [200, 0, 0], name


# --- sizes and damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (20_000, 3)])
def test_extreme_sizes_are_resized_like_any_other(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, (1, 2, 3)).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", asdict(Preprocess((16, 16))))
    assert np.rint(image[:, 7, 7] * 255).tolist() == [1, 2, 3]


def test_an_image_that_would_fill_the_memory_is_one_line(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", 20_000, 20_000, depth=8, colour=0, rows=b"")
    rejected(tmp_path / "a.png", "400000000 pixels")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as neuroprompt.images has it
def test_a_large_image_is_only_large(tmp_path: Path) -> None:
    Image.new("1", (20_000, 5_000)).save(tmp_path / "a.png")
    assert shown(tmp_path / "a.png").shape == (5_000, 20_000, 3)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "text": lambda data: b"no image at all",
    "no header": lambda data: bytes(20) + data[20:],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif", ".webp", ".bmp", ".pgm", ".jp2"])
def test_damaged_files_are_one_line(suffix: str, damage: str, tmp_path: Path) -> None:
    file = tmp_path / f"a{suffix}"
    Image.fromarray(RAMP.repeat(8, 0)).save(file)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    rejected(file, "cannot be read as an image")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's
@given(data=st.data())
def test_no_bytes_make_it_fail_otherwise(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed"
    format_ = data.draw(st.sampled_from(["PNG", "TIFF", "GIF", "BMP", "PPM", "WEBP", "JPEG"]))
    Image.fromarray(RAMP).save(file, format_)
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    try:
        image = read_rgb(file)
    except BadData:
        return
    assert image.mode == "RGB"


def test_tiff_knows_no_other_range() -> None:
    """Modes in which Pillow opens TIFF: whoever adds one must say what is white in it."""
    modes = {mode for mode, _ in TiffImagePlugin.OPEN_INFO.values()}
    wide_modes = {mode for mode in modes if mode == "F" or mode.startswith("I")}
    assert wide_modes == {"I", "F", "I;16", "I;16B"}
