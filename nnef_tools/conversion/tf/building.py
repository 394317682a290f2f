"""What the rules from NNEF share: TensorFlow operators with known results, and NNEF's broadcasting aligned on the left.

Here all tensors are `b.real` (float32), int64 or bool: what NNEF's scalar, integer and logical stand for. What is
made here has its shape and item type set, so that it can be used further. Attributes that tell types and counts of
inputs and outputs are left out; the converter knows them from the signatures of the operators.

Only what TensorFlow's plain kernels for the CPU can run is made here, not what needs its build with oneDNN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...model import Graph, Tensor
from ...ops.borders import source_index
from ..building.emitted import broadcast_shape, divisor, is_number, known, scalar
from ..building.shapes import rank, shape
from ..building.target import PlainBuilder
from ..maths import axis_orders
from ..maths.padding import Pairs

__all__ = ["broadcast_shape", "divisor", "is_number", "known", "rank", "scalar", "shape"]

Array = np.ndarray[Any, Any]

FORMATS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
MIRROR_RANK = 5
"""The highest rank that MirrorPad takes."""


class TfBuilder(PlainBuilder):
    """Builds TensorFlow operators. channels_last: the data format of those that have one."""

    def __init__(self, graph: Graph, channels_last: bool = True) -> None:
        super().__init__(graph, 1)
        self.channels_last = channels_last


# constants


def vector(b: PlainBuilder, values: Sequence[int]) -> Tensor:
    """A vector of int32, which TensorFlow takes for axes, extents and the like."""
    return b.constant([int(value) for value in values], np.int32)


def number(b: PlainBuilder, value: int) -> Tensor:
    """An int32 of rank 0."""
    return b.constant(int(value), np.int32)


def integer(b: PlainBuilder, value: int) -> Tensor:
    """An int64 of rank 0, to compute with NNEF's integers."""
    return b.constant(int(value), np.int64)


# shape and data movement


def reshape(b: PlainBuilder, x: Tensor, new: Sequence[int | None]) -> Tensor:
    """x in another shape; x itself if it is the same."""
    dims = [int(n or 0) for n in new]
    if shape(x) == dims:
        return x
    if x.data is not None:
        return b.constant(np.asarray(x.data).reshape(dims), base=x)
    return known(b.Reshape(x, vector(b, dims)), dims, x.dtype)


def unsqueeze(b: PlainBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """x with new axes at these positions of the result."""
    rest = iter(shape(x))
    new = [1 if k in axes else next(rest) for k in range(len(shape(x)) + len(axes))]
    if len(axes) != 1 or x.data is not None:
        return reshape(b, x, new)
    return known(b.ExpandDims(x, number(b, axes[0])), new, x.dtype)


def squeeze(b: PlainBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """x without the axes, which have extent 1."""
    new = [n for k, n in enumerate(shape(x)) if k not in axes]
    if not axes or x.data is not None:
        return reshape(b, x, new)
    return known(b.Squeeze(x, squeeze_dims=list(axes)), new, x.dtype)


def transpose(b: PlainBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """x with permuted axes; x itself for the identity."""
    if list(axes) == list(range(len(axes))):
        return x
    if x.data is not None:
        return b.constant(np.transpose(np.asarray(x.data), axes), base=x)
    return known(b.Transpose(x, vector(b, axes)), [shape(x)[k] for k in axes], x.dtype)


def full(b: PlainBuilder, x: Tensor, dims: Sequence[int]) -> Tensor:
    """x broadcast to a shape that its own fits on the right; x itself if it has that shape."""
    if shape(x) == list(dims):
        return x
    if x.data is None:
        return known(b.BroadcastTo(x, vector(b, dims)), dims, x.dtype)
    return b.constant(np.broadcast_to(np.asarray(x.data), dims), base=x)


def cast(b: PlainBuilder, x: Tensor, dtype: Any) -> Tensor:
    """x in another item type; real to integer truncates."""
    if x.dtype is dtype:
        return x
    if x.data is not None:
        with np.errstate(all="ignore"):
            return b.constant(np.asarray(x.data).astype(dtype), base=x)
    return known(b.Cast(x), x.shape, dtype)


def take(b: PlainBuilder, x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """The elements at the positions of an axis, which the dimensions of the indices replace."""
    own = shape(x)
    return known(b.GatherV2(x, indices, number(b, axis)), [*own[:axis], *shape(indices), *own[axis + 1 :]], x.dtype)


def take_constant(b: PlainBuilder, x: Tensor, positions: Array, axis: int) -> Tensor:
    """The elements at constant positions of an axis; x itself if that is all of them in order."""
    if np.array_equal(positions, np.arange(shape(x)[axis])):
        return x
    return take(b, x, vector(b, positions.tolist()), axis)


def slice_ranges(b: PlainBuilder, x: Tensor, ranges: Mapping[int, range]) -> Tensor:
    """The elements in a range for some axes; x itself if that is all of them."""
    own = shape(x)
    taken = {k: r for k, r in ranges.items() if r != range(own[k])}
    if not taken:
        return x
    begin, end, step, begin_mask, end_mask = [0] * len(own), [0] * len(own), [1] * len(own), 0, 0
    for k, n in enumerate(own):
        r = taken.get(k, range(n))
        begin[k], end[k], step[k] = r.start, max(r.stop, 0), r.step
        # a stop before the first element can only be said by the mask
        end_mask |= (k not in taken or r.stop < 0) << k
        begin_mask |= (k not in taken) << k
    y = b.StridedSlice(
        x, vector(b, begin), vector(b, end), vector(b, step), begin_mask=begin_mask, end_mask=end_mask,
        ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0,
    )  # fmt: skip
    return known(y, [len(taken[k]) if k in taken else n for k, n in enumerate(own)], x.dtype)


def concat(b: PlainBuilder, parts: Sequence[Tensor], axis: int) -> Tensor:
    """The parts joined along an axis; a single one itself."""
    if len(parts) == 1:
        return parts[0]
    own = shape(parts[0])
    extent = sum(shape(part)[axis] for part in parts)
    return known(b.ConcatV2(*parts, number(b, axis)), [*own[:axis], extent, *own[axis + 1 :]], parts[0].dtype)


def stack(b: PlainBuilder, parts: Sequence[Tensor], axis: int) -> Tensor:
    """The parts joined along a new axis."""
    own = shape(parts[0])
    return known(b.Pack(*parts, axis=axis), [*own[:axis], len(parts), *own[axis:]], parts[0].dtype)


def split(b: PlainBuilder, x: Tensor, axis: int, extents: Sequence[int]) -> list[Tensor]:
    """The parts of these extents along an axis."""
    if x.data is not None:
        ends = np.cumsum(extents)[:-1].tolist()
        return [b.constant(part, base=x) for part in np.split(np.asarray(x.data), ends, axis)]
    count, own = len(extents), shape(x)
    if count == 1:
        return [x]
    if len(set(extents)) == 1:
        parts = b.op("Split", number(b, axis), x, outputs=count, num_split=count)
    else:
        parts = b.op("SplitV", x, vector(b, extents), number(b, axis), outputs=count, num_split=count)
    return [known(part, [*own[:axis], n, *own[axis + 1 :]], x.dtype) for part, n in zip(parts, extents, strict=True)]


def pad(b: PlainBuilder, x: Tensor, pairs: Pairs, border: str = "constant", value: float = 0.0) -> Tensor:
    """x continued beyond its borders, one pair for each axis; cropped where padding is negative."""
    own = shape(x)
    if border in ("reflect", "reflect-even", "replicate"):
        return _continue(b, x, pairs, border)
    more = [(max(p, 0), max(q, 0)) for p, q in pairs]
    if any(pair != (0, 0) for pair in more):
        dims = [n + p + q for n, (p, q) in zip(own, more, strict=True)]
        amounts = b.constant(more, np.int32)
        y = (
            b.Pad(x, amounts)
            if value == 0 and not np.signbit(value)
            else b.PadV2(x, amounts, b.constant(value, x.dtype))
        )
        x = known(y, dims, x.dtype)
    rows = enumerate(zip(shape(x), pairs, strict=True))
    return slice_ranges(b, x, {k: range(max(-p, 0), n - max(-q, 0)) for k, (n, (p, q)) in rows})


def _continue(b: PlainBuilder, x: Tensor, pairs: Pairs, border: str) -> Tensor:
    """Continues with elements of x itself."""
    own = shape(x)
    if border != "replicate" and len(own) <= MIRROR_RANK and all(min(pair) >= 0 for pair in pairs):
        if all(pair == (0, 0) for pair in pairs):
            return x
        dims = [n + p + q for n, (p, q) in zip(own, pairs, strict=True)]
        mode = "REFLECT" if border == "reflect" else "SYMMETRIC"
        return known(b.MirrorPad(x, b.constant(pairs, np.int32), mode=mode), dims, x.dtype)
    for k, (n, (p, q)) in enumerate(zip(own, pairs, strict=True)):
        x = take_constant(b, x, source_index(np.arange(-p, n + q), n, border), k)
    return x


# arithmetic


def right_extended(b: PlainBuilder, x: Tensor, rank: int) -> Tensor:
    """x with axes of extent 1 at the end up to the rank; a tensor of rank 0 fits already."""
    own = shape(x)
    return x if not own else reshape(b, x, [*own, *[1] * (rank - len(own))])


def aligned(b: PlainBuilder, *tensors: Tensor) -> list[Tensor]:
    """The operands of an elementwise operation with new axes on the right, as NNEF's broadcasting wants."""
    rank = max(len(shape(x)) for x in tensors)
    return [right_extended(b, x, rank) for x in tensors]


def elementwise(b: PlainBuilder, type: str, *tensors: Tensor, dtype: Any = None, **attribs: Any) -> Tensor:
    """An elementwise operator with NNEF's broadcasting. dtype: of the result, by default that of the last operand."""
    result: Tensor = b.op(type, *aligned(b, *tensors), **attribs)
    return known(result, broadcast_shape(*tensors), dtype or tensors[-1].dtype)


def select(b: PlainBuilder, condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """yes where the condition holds, else no."""
    return elementwise(b, "SelectV2", condition, yes, no)


def reduce(b: PlainBuilder, type: str, x: Tensor, axes: Sequence[int]) -> Tensor:
    """A reduction that keeps the rank; x itself without axes."""
    if not axes:
        return x
    dims = [1 if k in axes else n for k, n in enumerate(shape(x))]
    return known(b.op(type, x, vector(b, axes), keep_dims=True), dims, x.dtype)


def matmul(b: PlainBuilder, x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    """Products of the matrices in the last two dimensions; ranks are equal, leading dimensions broadcast."""
    rows = shape(x)[-1 if transpose_x else -2]
    columns = shape(y)[-2 if transpose_y else -1]
    if len(shape(x)) == 2:
        product = b.MatMul(x, y, transpose_a=transpose_x, transpose_b=transpose_y)
    else:
        product = b.BatchMatMulV2(x, y, adj_x=transpose_x, adj_y=transpose_y)
    outer = np.broadcast_shapes(tuple(shape(x)[:-2]), tuple(shape(y)[:-2]))
    return known(product, [*outer, rows, columns], x.dtype)


def floor_half_up(b: PlainBuilder, x: Tensor) -> Tensor:
    """Rounding to the nearest, ties up: floor(x) + 1 where the rest is a half or more. floor(x + 0.5) would err."""
    low = elementwise(b, "Floor", x)
    up = elementwise(b, "GreaterEqual", elementwise(b, "Sub", x, low), scalar(b, 0.5), dtype=np.bool_)
    return elementwise(b, "AddV2", low, cast(b, up, b.real))


def per_channel(b: PlainBuilder, x: Tensor, channels: int) -> Tensor | None:
    """A parameter `[1, C]`, `[C]` or of one item as `[C]`; None if it varies in other dimensions."""
    own = shape(x)
    if math.prod(own) == 1:
        return full(b, reshape(b, x, [1]), [channels])
    if own == [channels] or (own[:2] == [1, channels] and math.prod(own) == channels):
        return reshape(b, x, [channels])
    return None


# layout


def data_format(b: TfBuilder, rank: int) -> str:
    """The data format for that many spatial dimensions: NHWC, or NCHW if channels are to be second."""
    return FORMATS[rank] if b.channels_last else "NC" + FORMATS[rank][1:-1]


def in_format(b: TfBuilder, spatial: Sequence[Any], batch: Any = 1, channels: Any = 1) -> list[Any]:
    """Items for all dimensions of the data format."""
    return [batch, *spatial, channels] if b.channels_last else [batch, channels, *spatial]


def to_format(b: TfBuilder, x: Tensor) -> Tensor:
    """x, whose channels are second, in the data format."""
    return transpose(b, x, axis_orders.ncx_to_nxc_perm(len(shape(x)))) if b.channels_last else x


def from_format(b: TfBuilder, x: Tensor) -> Tensor:
    """x, which is in the data format, with its channels second."""
    return transpose(b, x, axis_orders.nxc_to_ncx_perm(len(shape(x)))) if b.channels_last else x
