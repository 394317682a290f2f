"""What the rules from NNEF share: ONNX operators with known results, and NNEF's broadcasting aligned on the left.

Here all tensors are `b.real` (float32), int64 or bool: what NNEF's scalar, integer and logical stand for. What is
made here has its shape and item type set, so that it can be used further.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ...ops.borders import source_index
from ..building.emitted import broadcast_shape, divisor, is_number, known, scalar
from ..building.quantized import QuantizedArray, quantized_constant
from ..building.target import PlainBuilder
from ..maths import padding
from ..maths.padding import Pairs
from .common import dtype_code, shape

__all__ = ["broadcast_shape", "divisor", "is_number", "known", "scalar"]

Array = np.ndarray[Any, Any]


def ints(b: PlainBuilder, values: Sequence[int]) -> Tensor:
    """A vector of int64, as one constant however often it is asked for: models repeat axes and extents a lot."""
    key = (np.int64, *values)
    if key not in b.views:
        b.views[key] = b.constant(list(values), np.int64)
    return b.views[key]


def full(b: PlainBuilder, x: Tensor, dims: Sequence[int]) -> Tensor:
    """A constant broadcast to a shape that its own fits on the right; x itself if it has that shape."""
    if shape(x) == list(dims):
        return x
    if x.data is None:
        return known(b.Expand(x, ints(b, dims)), dims, x.dtype)
    return b.view(x, "full", *dims, make=lambda: np.broadcast_to(np.asarray(x.data), dims))


def reshape(b: PlainBuilder, x: Tensor, new: Sequence[int]) -> Tensor:
    """x in another shape; x itself if it is the same."""
    if shape(x) == list(new):
        return x
    moved = x.data.reshaped(new) if isinstance(x.data, QuantizedArray) else None
    if moved is not None:
        return quantized_constant(b, moved, base=x)
    if x.data is not None and not isinstance(x.data, QuantizedArray):
        return b.view(x, "shape", *new, make=lambda: np.asarray(x.data).reshape(new))
    return known(b.Reshape(x, ints(b, new)), new, x.dtype)


def unsqueeze(b: PlainBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """x with new axes at these positions of the result."""
    rank = len(shape(x)) + len(axes)
    rest = iter(shape(x))
    new = [1 if k in axes else next(rest) for k in range(rank)]
    if not axes or x.data is not None:
        return reshape(b, x, new)
    return known(b.Unsqueeze(x, ints(b, axes)), new, x.dtype)


def squeeze(b: PlainBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """x without the axes, which have extent 1."""
    new = [n for k, n in enumerate(shape(x)) if k not in axes]
    if not axes or x.data is not None:
        return reshape(b, x, new)
    return known(b.Squeeze(x, ints(b, axes)), new, x.dtype)


def transpose(b: PlainBuilder, x: Tensor, axes: Sequence[int]) -> Tensor:
    """x with permuted axes; x itself for the identity."""
    if list(axes) == list(range(len(axes))):
        return x
    new = [shape(x)[k] for k in axes]
    if isinstance(x.data, QuantizedArray):
        return quantized_constant(b, x.data.transposed(axes), base=x)
    if x.data is not None:
        return b.view(x, "axes", *axes, make=lambda: np.transpose(np.asarray(x.data), axes))
    return known(b.Transpose(x, perm=list(axes)), new, x.dtype)


def cast(b: PlainBuilder, x: Tensor, dtype: Any) -> Tensor:
    """x in another item type; real to integer truncates."""
    if x.dtype is dtype:
        return x
    if x.data is not None and not isinstance(x.data, QuantizedArray):
        with np.errstate(all="ignore"):
            return b.view(x, "type", dtype, make=lambda: np.asarray(x.data).astype(dtype))
    return known(b.Cast(x, to=dtype_code(dtype)), x.shape, dtype)


def gather(b: PlainBuilder, x: Tensor, positions: Sequence[int] | Array, axis: int) -> Tensor:
    """The elements at constant positions of an axis; x itself if that is all of them in order."""
    own, positions = shape(x), np.asarray(positions, np.int64)
    if np.array_equal(positions, np.arange(own[axis])):
        return x
    new = [len(positions) if k == axis else n for k, n in enumerate(own)]
    return known(b.Gather(x, b.constant(positions), axis=axis), new, x.dtype)


def slice_ranges(b: PlainBuilder, x: Tensor, ranges: dict[int, range]) -> Tensor:
    """The elements in a range for some axes; x itself if that is all of them."""
    own = shape(x)
    taken = {k: r for k, r in ranges.items() if r != range(own[k])}
    if not taken:
        return x
    ends = [r.stop if r.stop >= 0 else -own[k] - 1 for k, r in taken.items()]
    steps = [r.step for r in taken.values()]
    result = b.Slice(
        x,
        ints(b, [r.start for r in taken.values()]),
        ints(b, ends),
        ints(b, list(taken)),
        ints(b, steps) if any(step != 1 for step in steps) else None,
    )
    return known(result, [len(taken[k]) if k in taken else n for k, n in enumerate(own)], x.dtype)


def aligned(b: PlainBuilder, *tensors: Tensor) -> list[Tensor]:
    """The operands of an elementwise operation with new axes on the right, as NNEF's broadcasting wants."""
    ranks = [len(shape(x)) for x in tensors]
    rank = max(ranks)
    computed = [x.data is None and own == rank for x, own in zip(tensors, ranks, strict=True)]
    if all(computed):
        return list(tensors)
    extended = [right_extended(b, x, rank) for x in tensors]
    return [lean(b, x) for x in extended] if any(computed) else extended


def lean(b: PlainBuilder, x: Tensor) -> Tensor:
    """A constant without leading axes of extent 1, which ONNX's broadcasting adds; anything else as it is."""
    if x.data is None:
        return x
    own = shape(x)
    first = next((k for k, extent in enumerate(own) if extent != 1), len(own))
    return reshape(b, x, own[first:])


def right_extended(b: PlainBuilder, x: Tensor, rank: int) -> Tensor:
    """x with axes of extent 1 at the end up to the rank; a tensor of rank 0 fits already."""
    own = len(shape(x))
    return x if own in (0, rank) else unsqueeze(b, x, range(own, rank))


def elementwise(b: PlainBuilder, type: str, *tensors: Tensor, dtype: Any = None, **attribs: Any) -> Tensor:
    """An elementwise operator with NNEF's broadcasting. dtype: of the result, by default that of the last operand."""
    result: Tensor = b.op(type, *aligned(b, *tensors), **attribs)
    return known(result, broadcast_shape(*tensors), dtype or tensors[-1].dtype)


BORDERS = {"constant": "constant", "ignore": "constant", "replicate": "edge", "reflect": "reflect"}


def pad(b: PlainBuilder, x: Tensor, pairs: Pairs, border: str, value: float = 0.0) -> Tensor:
    """x continued beyond its borders, one pair for each axis; cropped where padding is negative."""
    pairs = [(int(p), int(q)) for p, q in pairs]
    if all(pair == (0, 0) for pair in pairs):
        return x
    own = shape(x)
    if all(max(pair) <= 0 for pair in pairs):
        return slice_ranges(b, x, {k: range(-p, n + q) for k, (n, (p, q)) in enumerate(zip(own, pairs, strict=True))})
    # Runtimes crop before they continue, and may then lack what they should continue.
    mixed = BORDERS.get(border) != "constant" and any(min(pair) < 0 for pair in pairs)
    if border == "reflect-even" or mixed:
        for k, (p, q) in enumerate(pairs):
            x = gather(b, x, source_index(np.arange(-p, own[k] + q), own[k], border), k)
        return x
    amounts = ints(b, padding.pairs_to_onnx(pairs))
    filler = b.constant(value, x.dtype) if value or np.signbit(value) else None
    result = b.Pad(x, amounts, filler, mode=BORDERS[border])
    return known(result, [n + p + q for n, (p, q) in zip(own, pairs, strict=True)], x.dtype)


def reduce(b: PlainBuilder, type: str, x: Tensor, axes: Sequence[int]) -> Tensor:
    """A reduction that keeps the rank; x itself without axes. The axes are an attribute up to version 17."""
    if not axes:
        return x
    by_input = b.version >= (13 if type == "ReduceSum" else 18)
    if by_input:
        result = b.op(type, x, ints(b, axes), keepdims=1)
    else:
        result = b.op(type, x, axes=list(axes), keepdims=1)
    return known(result, [1 if k in axes else n for k, n in enumerate(shape(x))], x.dtype)


def concat(b: PlainBuilder, parts: Sequence[Tensor], axis: int) -> Tensor:
    """The parts joined along an axis; a single one itself."""
    if len(parts) == 1:
        return parts[0]
    own = shape(parts[0])
    extent = sum(shape(part)[axis] for part in parts)
    return known(b.Concat(*parts, axis=axis), [*own[:axis], extent, *own[axis + 1 :]], parts[0].dtype)


def floor_half_up(b: PlainBuilder, x: Tensor) -> Tensor:
    """Rounding to the nearest, ties up: floor(x) + 1 where the rest is a half or more. floor(x + 0.5) would err."""
    low = elementwise(b, "Floor", x)
    rest = elementwise(b, "Sub", x, low)
    up = elementwise(b, "GreaterOrEqual", rest, scalar(b, 0.5), dtype=np.bool_)
    return elementwise(b, "Add", low, cast(b, up, b.real))


def need_version(b: PlainBuilder, version: int, what: str) -> None:
    """Unsupported if the target's operator set is older."""
    if b.version < version:
        raise Unsupported(f"{what} needs operator set version {version} (--opset {version})")


def per_channel(b: PlainBuilder, x: Tensor, channels: int) -> Tensor | None:
    """A parameter `[1, C]`, `[C]` or of one item as `[C]`; None if it varies in other dimensions."""
    own = shape(x)
    if math.prod(own) == 1:
        return full(b, reshape(b, x, [1]), [channels])
    if own == [channels] or (own[:2] == [1, channels] and math.prod(own) == channels):
        return reshape(b, x, [channels])
    return None
