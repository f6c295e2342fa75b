"""A projection as a C function: what fired adds its weights to the sums of the neurons that hear it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuroprompt.csource.writer import Array, Writer
from neuroprompt.loihi.synapses import stored
from neuroprompt.spiking.program import Projection
from neuroprompt.spiking.weights import Weights


@dataclass(frozen=True)
class Bytes:
    """Weights as single bytes of the C type `kind`, each standing for `factor` times itself."""

    weights: Weights
    kind: str
    factor: int


def as_bytes(weights: Weights) -> Bytes:
    """The chip's weights in a byte each: of one sign 0 to 255, of both halved, since the chip drops the lowest bit."""
    kept = stored(weights)
    values = kept.values
    if values.min(initial=0) < 0 < values.max(initial=0):
        return Bytes(kept.with_values(values >> 1), "int8_t", 2)
    sign = -1 if values.min(initial=0) < 0 else 1
    return Bytes(kept.with_values(values * sign), "uint8_t", sign)


@dataclass(frozen=True)
class Synapses:
    """One projection's function in C: `name(sent, to)`, and the shift to the right that its sums need after it."""

    name: str
    shift: int


def write_synapses(writer: Writer, name: str, projection: Projection, about: str, sent: str) -> Synapses:
    """Write weights and function of a projection.

    `sent` is the C type of what its source emits: uint8_t are spikes of 0 and 1, others numbers. In float where the
    weights are; else the chip's bytes, times 2^exponent, and a shift that is left over where it is below 0.
    """
    fixed = projection.weights.values.dtype.kind in "iu"
    if fixed:
        packed = as_bytes(projection.weights)
        weights, kind, factor = packed.weights, packed.kind, packed.factor << max(0, projection.exponent)
    else:
        weights, kind, factor = projection.weights, "float", 1
    of = f"weights_{name}"
    (rows, columns), times = weights.shape, f" * {factor}" if factor != 1 else ""

    def term(weight: str) -> str:
        cast = f"(net_sum){weight}{times}"
        return f"{cast} * sent[j]" if sent != "uint8_t" else cast

    writer.add(f"\n/* {about}: {rows} x {columns} weights, {weights.form} */")
    if weights.is_one_to_one:
        weight = writer.number(of, weights.raw, kind)
        body = f"""\
    for (int i = 0; i < {rows}; i++) {{
        to[i] += (net_sum){weight}{times} * sent[i];
    }}"""
    elif weights.is_sparse:
        _write_columns(writer, of, weights, kind)
        body = f"""\
    for (int j = 0; j < {columns}; j++) {{
        if (sent[j] != 0) {{
            for (uint32_t k = {of}_start[j]; k < {of}_start[j + 1]; k++) {{
                to[{of}_row[k]] += {term(f"{of}[k]")};
            }}
        }}
    }}"""
    else:
        writer.constant(of, np.ascontiguousarray(weights.raw.T), kind)
        body = f"""\
    for (int j = 0; j < {columns}; j++) {{
        if (sent[j] != 0) {{
            for (int i = 0; i < {rows}; i++) {{
                to[i] += {term(f"{of}[j][i]")};
            }}
        }}
    }}"""
    writer.add(f"static void from_{name}(const {sent} *sent, net_sum *to)\n{{\n{body}\n}}")
    return Synapses(f"from_{name}", max(0, -projection.exponent) if fixed else 0)


def _write_columns(writer: Writer, name: str, weights: Weights, kind: str) -> None:
    """Sparse weights by source: of source j those from start[j] to start[j + 1], each with its row."""
    columns = weights.raw.tocsc()
    writer.constant(f"{name}_start", columns.indptr)
    writer.constant(f"{name}_row", _not_empty(columns.indices))
    writer.constant(name, _not_empty(columns.data), kind)


def _not_empty(values: Array) -> Array:
    """C has no empty arrays."""
    return values if values.size else np.zeros(1, values.dtype)


def is_silent(projection: Projection) -> bool:
    """Whether a projection delivers nothing."""
    return not projection.weights.values.any()
