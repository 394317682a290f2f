"""Operators of StableHLO that differ from TensorFlow's in their options, and that NNEF can express."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building import shapes
from ...building.nnef import Builder
from ...building.shapes import shape, unsqueeze
from ...compose.arithmetic import clip
from ...compose.number_types import convert_dtype
from ...compose.slicing import expand_to, joined, padded, reshape_inferred, slice_axes
from ...engine.refusal import is_known
from ...engine.rules import Ints, Number, to_nnef
from .move import dilate

_COMPARISONS = ("eq", "ne", "ge", "gt", "le", "lt")


@to_nnef("tflite", "STABLEHLO_COMPARE")
def compare(b: Builder, x: Tensor, y: Tensor, *, comparison_direction: int = 0, compare_type: int = 0) -> Tensor:
    """STABLEHLO_COMPARE -> eq, ne, ge, gt, le or lt."""
    if comparison_direction not in range(len(_COMPARISONS)):
        raise Unsupported(f"comparison_direction = {comparison_direction}")
    return b.single(_COMPARISONS[comparison_direction], x, y)


@to_nnef("tflite", "STABLEHLO_AND")
def conjunction(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """STABLEHLO_AND -> and, bitwise_and for integers."""
    return b.and_(x, y) if x.dtype is np.bool_ else b.bitwise_and(x, y)


@to_nnef("tflite", "STABLEHLO_OR")
def disjunction(b: Builder, x: Tensor, y: Tensor) -> Tensor:
    """STABLEHLO_OR -> or, bitwise_or for integers."""
    return b.or_(x, y) if x.dtype is np.bool_ else b.bitwise_or(x, y)


@to_nnef("tflite", "STABLEHLO_CLAMP")
def clamp(b: Builder, low: Tensor, x: Tensor, high: Tensor) -> Tensor:
    """STABLEHLO_CLAMP -> clamp."""
    return clip(b, x, low, high)


@to_nnef("tflite", "STABLEHLO_CONVERT")
def convert(b: Builder, x: Tensor, *, result_type: Any) -> Tensor:
    """STABLEHLO_CONVERT -> cast."""
    return convert_dtype(b, x, result_type, saturate=False)


def _extents(sizes: Sequence[int | None] | None) -> list[int]:
    if not is_known(sizes):
        raise Unsupported("the shape of the result is not known")
    return list(sizes)


@to_nnef("tflite", "STABLEHLO_RESHAPE")
def reshape(b: Builder, x: Tensor, *, result_shape: Any) -> Tensor:
    """STABLEHLO_RESHAPE -> reshape, to the shape of the result."""
    return reshape_inferred(b, x, _extents(result_shape))


@to_nnef("tflite", "STABLEHLO_BROADCAST_IN_DIM")
def broadcast_in_dim(
    b: Builder, x: Tensor, axes: Ints | None = None, *, result_shape: Any, broadcast_dimensions: list[int] | None = None
) -> Tensor:
    """STABLEHLO_BROADCAST_IN_DIM: the axes of the operand put in their places, then tile."""
    sizes = _extents(result_shape)
    places = axes if axes is not None else broadcast_dimensions or []
    if len(places) != len(shape(x)) or places != sorted(places):
        raise Unsupported(f"axes {places} for an operand of shape {shape(x)}")
    return expand_to(b, unsqueeze(b, x, [k for k in range(len(sizes)) if k not in places]), sizes)


@to_nnef("tflite", "STABLEHLO_IOTA")
def iota(b: Builder, *, result_shape: Any, result_type: Any, iota_dimension: int = 0) -> Tensor:
    """STABLEHLO_IOTA: positions along an axis, a constant."""
    return b.constant(np.indices(_extents(result_shape))[iota_dimension].astype(result_type))


@to_nnef("tflite", "STABLEHLO_CONCATENATE")
def concatenate(b: Builder, *xs: Tensor, dimension: int = 0) -> Tensor:
    """STABLEHLO_CONCATENATE -> concat."""
    return joined(b, xs, dimension)


@to_nnef("tflite", "STABLEHLO_TRANSPOSE")
def transpose(b: Builder, x: Tensor, *, permutation: list[int]) -> Tensor:
    """STABLEHLO_TRANSPOSE -> transpose."""
    return shapes.transpose(b, x, permutation)


@to_nnef("tflite", "STABLEHLO_SLICE")
def slice_ranges(
    b: Builder, x: Tensor, *, start_indices: list[int], limit_indices: list[int], strides: list[int]
) -> Tensor:
    """STABLEHLO_SLICE -> slice."""
    return slice_axes(b, x, start_indices, limit_indices, range(len(shape(x))), strides)


@to_nnef("tflite", "STABLEHLO_PAD")
def pad(
    b: Builder,
    x: Tensor,
    filling: Number,
    *,
    edge_padding_low: list[int],
    edge_padding_high: list[int],
    interior_padding: list[int],
) -> Tensor:
    """STABLEHLO_PAD: the filling between items, then around them; negative edges crop."""
    y = dilate(b, x, [count + 1 for count in interior_padding], filling)
    pairs = list(zip(edge_padding_low, edge_padding_high, strict=True))
    return padded(b, y, pairs, "constant", filling) if any(map(any, pairs)) else y
