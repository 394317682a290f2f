"""NNEF to TensorFlow: shape and data movement, linear algebra."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....ops.inference import infer_shapes
from ....ops.move import slice_ranges as nnef_ranges
from ....optimization.nnef import idioms
from ...building.target import PlainBuilder
from ...engine.rules import from_nnef
from ...maths.padding import Pairs
from .. import building
from ..building import (
    TfBuilder,
    cast,
    data_format,
    elementwise,
    from_format,
    is_number,
    known,
    per_channel,
    right_extended,
    shape,
    to_format,
    vector,
)


@from_nnef("tf", "reshape")
def reshape(b: PlainBuilder, input: Tensor, *, shape: list[int], axis_start: int = 0, axis_count: int = -1) -> Tensor:
    """reshape -> Reshape to the whole shape of the result."""
    attribs = {"shape": shape, "axis_start": axis_start, "axis_count": axis_count}
    return building.reshape(b, input, infer_shapes("reshape", [input.shape], attribs))


@from_nnef("tf", idioms.DEPTH_TO_SPACE)
def depth_to_space(b: TfBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """Blocks that come out of the channels, in which they are outermost -> DepthToSpace."""
    return from_format(b, _move_blocks(b, "DepthToSpace", to_format(b, x), block_size, data_format(b, 2)))


@from_nnef("tf", idioms.SPACE_TO_DEPTH)
def space_to_depth(b: TfBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """Blocks that become the outermost part of the channels -> SpaceToDepth."""
    return from_format(b, _move_blocks(b, "SpaceToDepth", to_format(b, x), block_size, data_format(b, 2)))


@from_nnef("tf", idioms.DEPTH_TO_SPACE_NHWC)
def depth_to_space_nhwc(b: TfBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """DepthToSpace, where the channels are last."""
    return _move_blocks(b, "DepthToSpace", x, block_size, "NHWC")


@from_nnef("tf", idioms.SPACE_TO_DEPTH_NHWC)
def space_to_depth_nhwc(b: TfBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """SpaceToDepth, where the channels are last."""
    return _move_blocks(b, "SpaceToDepth", x, block_size, "NHWC")


def _move_blocks(b: TfBuilder, type: str, x: Tensor, size: int, data_format: str) -> Tensor:
    dims = dict(zip(data_format, shape(x), strict=True))
    for axis, factor in (("C", size**2), ("H", size), ("W", size)):
        enlarged = (axis == "C") == (type == "SpaceToDepth")
        dims[axis] = dims[axis] * factor if enlarged else dims[axis] // factor
    return known(b.op(type, x, block_size=size, data_format=data_format), list(dims.values()))


@from_nnef("tf", "transpose")
def transpose(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """transpose -> Transpose; dimensions that are not named stay."""
    return building.transpose(b, input, [*axes, *range(len(axes), len(shape(input)))])


@from_nnef("tf", "squeeze")
def squeeze(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """squeeze -> Squeeze."""
    return building.squeeze(b, input, axes)


@from_nnef("tf", "unsqueeze")
def unsqueeze(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """unsqueeze -> ExpandDims for one axis, Reshape for several."""
    return building.unsqueeze(b, input, axes)


@from_nnef("tf", "concat")
def concat(b: PlainBuilder, values: Sequence[Tensor], *, axis: int) -> Tensor:
    """concat -> ConcatV2."""
    return building.concat(b, values, axis)


@from_nnef("tf", "stack")
def stack(b: PlainBuilder, values: Sequence[Tensor], *, axis: int) -> Tensor:
    """stack -> Pack."""
    return building.stack(b, values, axis)


@from_nnef("tf", "split")
def split(b: PlainBuilder, value: Tensor, *, axis: int, ratios: list[int]) -> list[Tensor]:
    """split -> Split, or SplitV for parts of different extents."""
    unit = shape(value)[axis] // sum(ratios)
    return building.split(b, value, axis, [unit * ratio for ratio in ratios])


@from_nnef("tf", "unstack")
def unstack(b: PlainBuilder, value: Tensor, *, axis: int) -> list[Tensor]:
    """unstack -> Unpack."""
    own = shape(value)
    parts = b.op("Unpack", value, outputs=own[axis], num=own[axis], axis=axis)
    parts = parts if isinstance(parts, tuple) else [parts]
    return [known(part, [*own[:axis], *own[axis + 1 :]], value.dtype) for part in parts]


@from_nnef("tf", "slice")
def slice_(
    b: PlainBuilder, input: Tensor, *, axes: list[int], begin: list[int], end: list[int], stride: Sequence[int] = ()
) -> Tensor:
    """slice -> StridedSlice."""
    return building.slice_ranges(b, input, nnef_ranges(shape(input), axes, begin, end, stride))


@from_nnef("tf", "pad")
def pad(b: PlainBuilder, input: Tensor, *, padding: Pairs, border: str = "constant", value: float = 0.0) -> Tensor:
    """pad -> Pad, PadV2 or MirrorPad; GatherV2 for replicated borders, StridedSlice for what is cropped."""
    return building.pad(b, input, padding, border, value)


@from_nnef("tf", "tile")
def tile(b: PlainBuilder, input: Tensor, *, repeats: list[int]) -> Tensor:
    """tile -> Tile."""
    dims = [n * repeat for n, repeat in zip(shape(input), repeats, strict=True)]
    return known(b.Tile(input, vector(b, repeats)), dims, input.dtype)


@from_nnef("tf", "gather")
def gather(b: PlainBuilder, input: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """gather -> GatherV2."""
    return building.take(b, input, indices, axis)


@from_nnef("tf", "update")
def update(b: PlainBuilder, variable: Tensor, value: Tensor) -> Tensor:
    """update: variables are constants in a frozen graph."""
    raise Unsupported("a GraphDef without variables keeps no state between runs")


@from_nnef("tf", "matmul")
def matmul(b: PlainBuilder, A: Tensor, B: Tensor, *, transposeA: bool = False, transposeB: bool = False) -> Tensor:
    """matmul -> MatMul for matrices, BatchMatMulV2 for stacks of them."""
    return building.matmul(b, A, B, transposeA, transposeB)


@from_nnef("tf", "linear")
def linear(b: PlainBuilder, input: Tensor, filter: Tensor, bias: Tensor) -> Tensor:
    """linear -> MatMul and BiasAdd; the filter is transposed where it is constant."""
    if filter.data is not None:
        y = building.matmul(b, input, building.transpose(b, filter, [1, 0]))
    else:
        y = building.matmul(b, input, filter, transpose_y=True)
    if is_number(bias, 0.0):
        return y
    channels = per_channel(b, bias, shape(filter)[0])
    if channels is None:
        return elementwise(b, "AddV2", y, right_extended(b, bias, 2))
    return known(b.BiasAdd(y, channels, data_format="NHWC"), shape(y))


@from_nnef("tf", "gather_nd")
def gather_nd(b: PlainBuilder, input: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """gather_nd -> GatherNd; batch dimensions become part of the index tuples."""
    own, where = shape(input), shape(indices)
    index = nonnegative(b, indices, own[batch_dims : batch_dims + where[-1]])
    if batch_dims:
        grid = np.indices(where[:-1])[:batch_dims]
        index = building.concat(b, [b.constant(np.moveaxis(grid, 0, -1), np.int64), index], len(where) - 1)
    return known(b.GatherNd(input, index), [*where[:-1], *own[batch_dims + where[-1] :]], input.dtype)


def nonnegative(b: PlainBuilder, indices: Tensor, extents: Sequence[int]) -> Tensor:
    """Indices counted from the front. extents: of the axes that the last dimension of the indices goes through."""
    value = b.value(indices)
    if value is not None and np.all(value >= 0):
        return indices
    return elementwise(b, "FloorMod", indices, _trailing(b, indices, extents))


def _trailing(b: PlainBuilder, x: Tensor, values: Sequence[int]) -> Tensor:
    """Constants for the last dimension of x."""
    return b.constant(np.reshape(values, [1] * (len(shape(x)) - 1) + [-1]), np.int64)


@from_nnef("tf", "gather_elements")
def gather_elements(b: PlainBuilder, input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """gather_elements -> GatherNd with tuples of the own position, but for the axis."""
    tuples = _element_tuples(b, input, indices, axis)
    return known(b.GatherNd(input, tuples), shape(indices), input.dtype)


def _element_tuples(b: PlainBuilder, x: Tensor, indices: Tensor, axis: int) -> Tensor:
    own, where = shape(x), shape(indices)
    axis %= len(own)
    index = elementwise(b, "FloorMod", indices, building.integer(b, own[axis]))
    grid = np.indices(where)
    parts = [index if k == axis else b.constant(grid[k], np.int64) for k in range(len(own))]
    return building.stack(b, parts, len(own))


SCATTER = {
    "none": "TensorScatterUpdate",
    "add": "TensorScatterAdd",
    "min": "TensorScatterMin",
    "max": "TensorScatterMax",
}


def _scatter(b: PlainBuilder, x: Tensor, tuples: Tensor, updates: Tensor, reduction: str) -> Tensor:
    if reduction not in SCATTER:
        raise Unsupported(f"TensorFlow has no scatter with reduction '{reduction}'")
    return known(b.op(SCATTER[reduction], x, tuples, cast(b, updates, x.dtype)), shape(x), x.dtype)


@from_nnef("tf", "scatter_elements")
def scatter_elements(
    b: PlainBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str = "none"
) -> Tensor:
    """scatter_elements -> TensorScatter... with tuples of the own position, but for the axis."""
    return _scatter(b, input, _element_tuples(b, input, indices, axis), updates, reduction)


@from_nnef("tf", "scatter_nd")
def scatter_nd(b: PlainBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """scatter_nd -> TensorScatterUpdate and the like."""
    return _scatter(b, input, nonnegative(b, indices, shape(input)[: shape(indices)[-1]]), updates, reduction)
