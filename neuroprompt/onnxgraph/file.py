"""Writes a torch module as one lean ONNX file with a dynamic batch, and reads back what such a file is made of."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

OPSET = 20
"""Of torch's exporter; every operator of a Vision Transformer stands in it, so older runtimes can read the file."""

SINGLE_FILE_BYTES = 1_900_000_000
"""Protobuf holds 2 GB: weights beyond that go into a file beside it."""

INPUT, OUTPUT = "images", "logits"


def to_onnx(
    module: nn.Module,
    image: tuple[int, int, int],
    file: Path,
    metadata: Mapping[str, str] | None = None,
    output: str = OUTPUT,
) -> None:
    """Write `module` (images (B, C, H, W) -> logits (B, K)) to `file`, with `metadata` as its metadata_props.

    Traced with two images: with one, torch would take the batch for a constant. Raises OSError.
    """
    images = torch.zeros(2, *image)
    with _quiet():
        program: Any = torch.onnx.export(
            module.eval(),
            (images,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[output],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
        _strip(program.model)
        program.model.metadata_props.update(metadata or {})
        size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
        program.save(str(file), external_data=size > SINGLE_FILE_BYTES)


def operators(file: Path) -> Counter[str]:
    """How many nodes of each operator the graph has."""
    graph = onnx.load(str(file), load_external_data=False).graph
    return Counter(node.op_type for node in graph.node)


def metadata(file: Path) -> dict[str, str]:
    """The file's metadata_props."""
    return {p.key: p.value for p in onnx.load(str(file), load_external_data=False).metadata_props}


def _strip(model: Any) -> None:
    """Drop what the exporter notes about the machine it ran on: stack traces with the paths of source files."""
    model.metadata_props.clear()
    graph = model.graph
    graph.metadata_props.clear()
    for node in graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in [*graph.inputs, *graph.initializers.values()]:
        value.metadata_props.clear()


@contextlib.contextmanager
def _quiet() -> Any:
    """The exporter prints, logs and warns about itself; a command's output must not hold that."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
