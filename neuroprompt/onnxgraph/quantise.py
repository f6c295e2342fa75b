"""Writes an ONNX file with 8-bit products: calibrated on images, or with ranges that each run finds anew (dynamic).

    x ~ s_x (q_x - z_x), q_x in 0..255;   W_j ~ s_j q_j, q_j in -127..127, by channel j

Products of tokens with weights, and convolutions, take 8 bits; the first convolution where it makes tokens of patches
(`patches`). Any other first one and a depthwise one right after it, the products of attention with its constant prompt
keys and values, and the head stay as they are: few of the operations, and most of the damage.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from neuroprompt.contracts.deployment import Floats
from neuroprompt.contracts.specs import Preprocess
from neuroprompt.errors import ParityError, Unsupported
from neuroprompt.onnxgraph.activations import largest, powers
from neuroprompt.onnxgraph.convolutions import follows, is_depthwise, round_convolutions
from neuroprompt.onnxgraph.counts import integer_products
from neuroprompt.onnxgraph.patches import round_patches
from neuroprompt.onnxgraph.ranges import ranges_of
from neuroprompt.onnxgraph.rotate import rotate
from neuroprompt.onnxgraph.rounding import round_weights
from neuroprompt.onnxgraph.sensitive import sensitive
from neuroprompt.onnxgraph.smooth import Scaled, scale_inputs, scale_values, smooth, unscale
from neuroprompt.progress import SILENT, Progress

MOST_POWERS = 10**8
"""Numbers of all inputs' powers, k^2 of a product of k inputs, that are in memory at once."""


def quantise(
    file: Path,
    out: Path,
    images: Floats,
    pixels: Preprocess | None = None,
    *,
    reduce_range: bool = True,
    progress: Progress = SILENT,
) -> int:
    """Write `file` with 8-bit products to `out`, calibrated on normalised images (B, C, H, W); how many there are.

    pixels: how images were normalised; without it the convolution of patches stays in 32 bits.

    Products of tokens whose activations 8 bits hurt most stay in 32 bits (`sensitive`), with at most a fifth of all
    weights; `progress` says how many.

    reduce_range: 7 bits for weights of convolutions of several pixels and inputs. Where a processor adds two 8-bit
    products in 16 bits (AVX2 and AVX-512 without VNNI), sums of full-range weights saturate, and the same file answers
    otherwise there. All other weights have 8 bits and do not saturate (`convolutions`, `rounding`).

    Raises Unsupported where there is nothing to quantise, ParityError where a product that should be was not.
    """
    model, scaled = _smoothed(file, images)
    chosen = _chosen(model)
    tensors = _inputs(model, chosen)
    tensors += [node.output[0] for node in chosen if node.op_type == "Conv"]
    ranges = ranges_of(model, tensors, images)
    tokens = [node for node in chosen if node.op_type == "MatMul"]
    left = sensitive(model, tokens, ranges, images, progress) if tokens else frozenset[str]()
    unscale(model, scaled, left)
    chosen = [node for node in chosen if node.name not in left]
    if left:
        progress.say(f"{len(left)} of {len(tokens)} products of tokens stay in 32 bits: 8 would hurt them most")
    names = [node.name for node in chosen]
    convolutions = [node for node in chosen if node.op_type == "Conv"]
    by_channel = round_convolutions(model, convolutions, images, reduce_range=reduce_range)
    _static(model, out, images, _overrides(ranges, by_channel), names, reduce_range=reduce_range)
    return _counted(out, len(chosen) + _round(model, out, chosen, images, pixels))


def _round(
    model: onnx.ModelProto, out: Path, chosen: Sequence[onnx.NodeProto], images: Floats, pixels: Preprocess | None
) -> int:
    """Round the weights of tokens' products in `out` so that the products stay right; 1 if patches take 8 bits now."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    products = [node for node in chosen if node.op_type == "MatMul"]
    eight = onnx.load(str(out))
    for part in _parts(products, constants):
        weights = {node.name: numpy_helper.to_array(constants[node.input[1]]) for node in part}
        by_input = powers(model, _inputs(model, part), images)
        round_weights(eight, weights, {node.name: by_input[node.input[0]] for node in part})
    patches = 0 if pixels is None else round_patches(eight, pixels, images)
    onnx.save(eight, str(out))
    return patches


def _parts(
    products: Sequence[onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]
) -> Iterator[list[onnx.NodeProto]]:
    """The products in parts whose inputs' powers fit into memory together, each activation in one part."""
    part: list[onnx.NodeProto] = []
    room, known = MOST_POWERS, set[str]()
    for node in products:
        size = 0 if node.input[0] in known else constants[node.input[1]].dims[0] ** 2
        if part and size > room:
            yield part
            part, room, known = [], MOST_POWERS, set()
            size = constants[node.input[1]].dims[0] ** 2
        part.append(node)
        known.add(node.input[0])
        room -= size
    if part:
        yield part


def _overrides(
    ranges: Mapping[str, tuple[float, float]], by_channel: Mapping[str, NDArray[np.float32]]
) -> dict[str, list[dict[str, Any]]]:
    """What ONNX Runtime need not find: ranges of activations, scales of weights that are whole multiples of them."""
    found = {name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in ranges.items()}
    zero = np.array(0, np.int8)
    given = {
        name: [{"axis": 0, "scale": np.array(scale), "zero_point": zero} for scale in each]
        for name, each in by_channel.items()
    }
    return found | given


def _static(
    model: onnx.ModelProto,
    out: Path,
    images: Floats,
    overrides: Mapping[str, list[dict[str, Any]]],
    names: list[str],
    *,
    reduce_range: bool,
) -> None:
    """Write `model` with the nodes of these names in 8 bits, as ONNX Runtime quantises it but for `overrides`."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with TemporaryDirectory() as folder, _quiet():
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, str(plain))
        quantize_static(
            plain,
            out,
            _reader(model, images[:4]),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=names,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "OpTypesToExcludeOutputQuantization": ["MatMul"],  # the next operator takes floats
                "TensorQuantOverrides": dict(overrides),
            },
        )


def quantise_dynamic(file: Path, out: Path, images: Floats | None = None, pixels: Preprocess | None = None) -> int:
    """Write `file` with 8-bit weights and activations whose range each run finds; returns how many products there are.

    images: normalised, (B, C, H, W); with them wide channels are smoothed, and weights rounded for their products.
    pixels: as of `quantise`.

    Raises Unsupported where there is nothing to quantise, ParityError where a product that should be was not.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = _named(file)
    if not any(node.op_type == "MatMul" for node in _chosen(model)):
        raise Unsupported(f"{file.name} without products of tokens and weights", "--precision int8 for convolutions")
    if images is not None:
        model, scaled = _smoothed(file, images)
        unscale(model, scaled, ())
    chosen = [node for node in _chosen(model) if node.op_type == "MatMul"]
    with TemporaryDirectory() as folder, _quiet():
        plain = Path(folder) / "plain.onnx"
        onnx.save(model, str(plain))
        names = [node.name for node in chosen]
        quantize_dynamic(
            plain, out, nodes_to_quantize=names, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
        )
    patches = 0 if images is None else _round(model, out, chosen, images, pixels)
    return _counted(out, len(chosen) + patches)


# --- which products --------------------------------------------------------------------------------------------------


def _smoothed(file: Path, images: Floats) -> tuple[onnx.ModelProto, Scaled]:
    """The model of `file`, tokens rotated and their wide channels in the weights; and what `scale_inputs` changed."""
    model = _named(file)
    rotate(model)
    smooth(model, largest(model, _inputs(model, _chosen(model)), images))
    tokens = [node for node in _chosen(model) if node.op_type == "MatMul"]
    if not tokens:
        return model, {}
    wide = largest(model, _inputs(model, tokens), images)
    smoothed = scale_values(model, wide)
    return model, scale_inputs(model, {name: peaks for name, peaks in wide.items() if name not in smoothed})


def _named(file: Path) -> onnx.ModelProto:
    """The model of `file`, every node with a name."""
    model = onnx.load(str(file))
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{i}"
    return model


def _chosen(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The products with weights that take 8 bits: all but the head and the first convolution.

    A depthwise convolution that follows the first one stays in 32 bits with it: the channels that it takes are of very
    different ranges, and it is about a hundredth of the multiply-accumulates.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    products = [
        node
        for node in model.graph.node
        if node.op_type in ("MatMul", "Conv") and node.input[1] in constants and node.input[0] not in constants
    ]
    first = next((node for node in products if node.op_type == "Conv"), None)
    outputs = {value.name for value in model.graph.output}
    early = [
        node for node in products if first is not None and follows(model, first, node) and is_depthwise(model, node)
    ]
    chosen = [node for node in products if node is not first and node not in early and not outputs & set(node.output)]
    if not chosen:
        raise Unsupported("a network without products to quantise", "one with tokens or several convolutions")
    return chosen


def _inputs(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> list[str]:
    """The activations that the nodes take, each once."""
    return list(dict.fromkeys(node.input[0] for node in nodes))


def _counted(file: Path, expected: int) -> int:
    """The quantised products of `file`; raises ParityError where they are fewer than expected."""
    count = len(integer_products(onnx.load(str(file), load_external_data=False).graph))
    if count < expected:
        raise ParityError(f"{count} products of {file.name} take 8 bits", f"{expected}")
    return count


def _reader(model: onnx.ModelProto, images: Floats) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """One image at a time, as ONNX Runtime asks for them."""

        def __init__(self) -> None:
            name = model.graph.input[0].name
            self.left = iter([{name: image[None].astype(np.float32)} for image in images])

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            return next(self.left, None)

    return Reader()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser logs and prints advice for its own developers; a command's output must not hold that."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
