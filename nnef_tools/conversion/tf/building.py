"""The builder of TensorFlow graphs.

Attributes for types and counts of inputs and outputs are left out; the converter takes them from the signatures of the
operators. The builder only makes operators that TensorFlow's plain kernels for the CPU can run, without oneDNN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ...model import Graph, Tensor
from ...ops.borders import source_index
from ..building.shapes import shape
from ..building.target import Array, Reduction, known
from ..maths import axis_orders, names
from ..maths.generated import positions
from ..maths.padding import Pairs
from .operators import TfOperators

FORMATS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
MIRROR_RANK = 5
"""The highest rank that MirrorPad supports."""


_PLAIN = (
    ("sqr", "Square"),
    ("rsqrt", "Rsqrt"),
    ("pow", "Pow"),
    ("min", "Minimum"),
    ("max", "Maximum"),
    ("fmod", "Mod"),
    ("bitwise_not", "Invert"),
    ("bitwise_and", "BitwiseAnd"),
    ("bitwise_or", "BitwiseOr"),
    ("bitwise_xor", "BitwiseXor"),
    ("shift_left", "LeftShift"),
    ("shift_right", "RightShift"),
)
REDUCTIONS = {**{row.nnef: row.tf for row in names.REDUCE}, "any_reduce": "Any", "all_reduce": "All"}


class TfBuilder(TfOperators):
    """Builds TensorFlow operators. channels_last: the data format of operators that have one.

    pool_rank: the most spatial dimensions of pooling. has_explicit_padding: can the operators with windows over images
    have a padding for each side? tells_depthwise: are convolutions depthwise only with `groups = 0`, as in the source?
    """

    dialect = "tf"
    tells_depthwise = False
    pool_rank: ClassVar[int] = 3
    has_explicit_padding: ClassVar[bool] = True
    plain: ClassVar[Mapping[str, str]] = {**{row.nnef: row.tf for row in names.ELEMENTWISE}, **dict(_PLAIN)}

    def __init__(self, graph: Graph, channels_last: bool = True) -> None:
        super().__init__(graph)
        self.channels_last = channels_last

    # constants

    def view(self, base: Tensor, *form: Any, make: Callable[[], Any]) -> Tensor:
        """The constant in another form, not shared: a constant is named after the one operator that reads it."""
        return self.constant(make(), base=base)

    def vector(self, values: Sequence[int]) -> Tensor:
        """A vector of int32, the type of axes, extents and the like in TensorFlow."""
        return self.constant([int(value) for value in values], np.int32)

    def number(self, value: int) -> Tensor:
        """An int32 of rank 0."""
        return self.constant(int(value), np.int32)

    # shape and data movement

    def stack(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """The parts joined along a new axis."""
        own = shape(parts[0])
        return known(self.Pack(*parts, axis=axis), [*own[:axis], len(parts), *own[axis:]], parts[0].dtype)

    def split(self, x: Tensor, axis: int, extents: Sequence[int]) -> list[Tensor]:
        """The parts of these extents along an axis; those of constants are constants."""
        if x.data is None:
            return super().split(x, axis, extents)
        ends = np.cumsum(extents)[:-1].tolist()
        return [self.constant(part, base=x) for part in np.split(np.asarray(x.data), ends, axis)]

    def pad(self, x: Tensor, pairs: Pairs, border: str = "constant", value: float = 0.0) -> Tensor:
        """Pads by Pad, PadV2 or MirrorPad, by GatherV2 for replicated borders, and crops by StridedSlice."""
        own = shape(x)
        if border in ("reflect", "reflect-even", "replicate"):
            return self._continued(x, pairs, border)
        more = [(max(p, 0), max(q, 0)) for p, q in pairs]
        if any(pair != (0, 0) for pair in more):
            dims = [n + p + q for n, (p, q) in zip(own, more, strict=True)]
            amounts = self.constant(more, np.int32)
            zero = value == 0 and not np.signbit(value)
            y = self.Pad(x, amounts) if zero else self.PadV2(x, amounts, self.constant(value, x.dtype))
            x = known(y, dims, x.dtype)
        rows = enumerate(zip(shape(x), pairs, strict=True))
        return self.slice(x, {k: range(max(-p, 0), n - max(-q, 0)) for k, (n, (p, q)) in rows})

    def _continued(self, x: Tensor, pairs: Pairs, border: str) -> Tensor:
        """Extends x by its own elements."""
        own = shape(x)
        if border != "replicate" and len(own) <= MIRROR_RANK and all(min(pair) >= 0 for pair in pairs):
            if all(pair == (0, 0) for pair in pairs):
                return x
            dims = [n + p + q for n, (p, q) in zip(own, pairs, strict=True)]
            mode = "REFLECT" if border == "reflect" else "SYMMETRIC"
            return known(self.MirrorPad(x, self.constant(pairs, np.int32), mode=mode), dims, x.dtype)
        for k, (n, (p, q)) in enumerate(zip(own, pairs, strict=True)):
            x = self.take(x, source_index(positions(p + n + q) - p, n, border), k)
        return x

    def _reshape(self, x: Tensor, dims: Sequence[int]) -> Tensor:
        return self.Reshape(x, self.vector(dims))

    def _unsqueeze(self, x: Tensor, axes: Sequence[int], dims: Sequence[int]) -> Tensor:
        return self.ExpandDims(x, self.number(axes[0])) if len(axes) == 1 else self._reshape(x, dims)

    def _squeeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return self.Squeeze(x, squeeze_dims=list(axes))

    def _transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return self.Transpose(x, self.vector(axes))

    def _expand(self, x: Tensor, dims: Sequence[int]) -> Tensor:
        return self.BroadcastTo(x, self.vector(dims))

    def _cast(self, x: Tensor, dtype: Any) -> Tensor:
        return self.Cast(x)

    def _identity(self, x: Tensor) -> Tensor:
        return self.Identity(x)

    def _positions(self, values: Array) -> Tensor:
        return self.vector(values.tolist())

    def _gather(self, x: Tensor, indices: Tensor, axis: int) -> Tensor:
        return self.GatherV2(x, indices, self.number(axis))

    def _slice(self, x: Tensor, ranges: Mapping[int, range]) -> Tensor:
        own = shape(x)
        begin, end, step, begin_mask, end_mask = [0] * len(own), [0] * len(own), [1] * len(own), 0, 0
        for k, n in enumerate(own):
            r = ranges.get(k, range(n))
            begin[k], end[k], step[k] = r.start, max(r.stop, 0), r.step
            # only the mask can express a stop before the first element
            end_mask |= (k not in ranges or r.stop < 0) << k
            begin_mask |= (k not in ranges) << k
        return self.StridedSlice(
            x, self.vector(begin), self.vector(end), self.vector(step), begin_mask=begin_mask, end_mask=end_mask,
            ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0,
        )  # fmt: skip

    def _concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        return self.ConcatV2(*parts, self.number(axis))

    def _split(self, x: Tensor, axis: int, extents: Sequence[int]) -> Sequence[Tensor]:
        count = len(extents)
        if len(set(extents)) == 1:
            return self.Split(self.number(axis), x, outputs=count, num_split=count)
        return self.SplitV(x, self.vector(extents), self.number(axis), outputs=count, num_split=count)

    # arithmetic

    def right_extended(self, x: Tensor, rank: int) -> Tensor:
        """x with axes of extent 1 at the end up to the rank, by one Reshape."""
        own = shape(x)
        return x if not own else self.reshape(x, [*own, *[1] * (rank - len(own))])

    def matmul(self, x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
        """Products of the matrices in the last two dimensions; ranks are equal, leading dimensions broadcast."""
        rows = shape(x)[-1 if transpose_x else -2]
        columns = shape(y)[-2 if transpose_y else -1]
        if len(shape(x)) == 2:
            product = self.MatMul(x, y, transpose_a=transpose_x, transpose_b=transpose_y)
        else:
            product = self.BatchMatMulV2(x, y, adj_x=transpose_x, adj_y=transpose_y)
        outer = np.broadcast_shapes(tuple(shape(x)[:-2]), tuple(shape(y)[:-2]))
        return known(product, [*outer, rows, columns], x.dtype)

    def _reduce(self, kind: Reduction, x: Tensor, axes: Sequence[int]) -> Tensor:
        result: Tensor = self.op(REDUCTIONS[f"{kind}_reduce"], x, self.vector(axes), keep_dims=True)
        return result

    # layout

    def data_format(self, rank: int) -> str:
        """The data format for that many spatial dimensions: NHWC, or NCHW for channels in second place."""
        return FORMATS[rank] if self.channels_last else "NC" + FORMATS[rank][1:-1]

    def in_format(self, spatial: Sequence[Any], batch: Any = 1, channels: Any = 1) -> list[Any]:
        """Items for all dimensions of the data format."""
        return [batch, *spatial, channels] if self.channels_last else [batch, channels, *spatial]

    def to_format(self, x: Tensor) -> Tensor:
        """x, whose channels are second, in the data format."""
        return self.transpose(x, axis_orders.ncx_to_nxc_perm(len(shape(x)))) if self.channels_last else x

    def from_format(self, x: Tensor) -> Tensor:
        """x, which is in the data format, with its channels second."""
        return self.transpose(x, axis_orders.nxc_to_ncx_perm(len(shape(x)))) if self.channels_last else x
