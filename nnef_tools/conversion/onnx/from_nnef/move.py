"""NNEF to ONNX: operations that move data."""

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
from ..building import ints, known
from ..common import shape


@from_nnef("onnx", "reshape")
def reshape(b: PlainBuilder, input: Tensor, *, shape: list[int], axis_start: int, axis_count: int) -> Tensor:
    """reshape -> Reshape to the whole new shape."""
    attribs = {"shape": shape, "axis_start": axis_start, "axis_count": axis_count}
    return building.reshape(b, input, infer_shapes("reshape", [input.shape], attribs))


@from_nnef("onnx", idioms.DEPTH_TO_SPACE)
def depth_to_space(b: PlainBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """Blocks that come out of the channels, in which they are outermost -> DepthToSpace."""
    result: Tensor = b.DepthToSpace(x, blocksize=block_size, mode="DCR")
    return result


@from_nnef("onnx", idioms.PIXEL_SHUFFLE)
def pixel_shuffle(b: PlainBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """Blocks that come out of the channels, in which they are innermost -> DepthToSpace."""
    result: Tensor = b.DepthToSpace(x, blocksize=block_size, mode="CRD")
    return result


@from_nnef("onnx", idioms.SPACE_TO_DEPTH)
def space_to_depth(b: PlainBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """Blocks that become the outermost part of the channels -> SpaceToDepth."""
    result: Tensor = b.SpaceToDepth(x, blocksize=block_size)
    return result


@from_nnef("onnx", "transpose")
def transpose(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """transpose -> Transpose; axes that are not named stay."""
    return building.transpose(b, input, [*axes, *range(len(axes), len(shape(input)))])


@from_nnef("onnx", "squeeze")
def squeeze(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """squeeze -> Squeeze."""
    return building.squeeze(b, input, axes)


@from_nnef("onnx", "unsqueeze")
def unsqueeze(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """unsqueeze -> Unsqueeze."""
    return building.unsqueeze(b, input, axes)


@from_nnef("onnx", "concat")
def concat(b: PlainBuilder, values: Sequence[Tensor], *, axis: int) -> Tensor:
    """concat -> Concat."""
    return building.concat(b, values, axis)


@from_nnef("onnx", "stack")
def stack(b: PlainBuilder, values: Sequence[Tensor], *, axis: int) -> Tensor:
    """stack -> Unsqueeze of each and Concat."""
    return building.concat(b, [building.unsqueeze(b, value, [axis]) for value in values], axis)


def _parts(b: PlainBuilder, x: Tensor, axis: int, extents: Sequence[int]) -> list[Tensor]:
    if len(extents) == 1:
        return [x]
    parts = b.Split(x, ints(b, extents), axis=axis, outputs=len(extents))
    own = shape(x)
    return [known(part, [*own[:axis], n, *own[axis + 1 :]], x.dtype) for part, n in zip(parts, extents, strict=True)]


@from_nnef("onnx", "split")
def split(b: PlainBuilder, value: Tensor, *, axis: int, ratios: list[int]) -> list[Tensor]:
    """split -> Split with the extents."""
    unit = shape(value)[axis] // sum(ratios)
    return _parts(b, value, axis, [unit * ratio for ratio in ratios])


@from_nnef("onnx", "unstack")
def unstack(b: PlainBuilder, value: Tensor, *, axis: int) -> list[Tensor]:
    """unstack -> Split and Squeeze of each part."""
    return [building.squeeze(b, part, [axis]) for part in _parts(b, value, axis, [1] * shape(value)[axis])]


@from_nnef("onnx", "slice")
def slice_(
    b: PlainBuilder, input: Tensor, *, axes: list[int], begin: list[int], end: list[int], stride: list[int]
) -> Tensor:
    """slice -> Slice."""
    return building.slice_ranges(b, input, nnef_ranges(shape(input), axes, begin, end, stride))


@from_nnef("onnx", "pad")
def pad(b: PlainBuilder, input: Tensor, *, padding: Pairs, border: str, value: float) -> Tensor:
    """pad -> Pad; by Gather with border 'reflect-even', and where that also crops."""
    return building.pad(b, input, padding, border, value)


@from_nnef("onnx", "tile")
def tile(b: PlainBuilder, input: Tensor, *, repeats: list[int]) -> Tensor:
    """tile -> Tile, or Expand where only extents of 1 are repeated."""
    own = shape(input)
    new = [n * r for n, r in zip(own, repeats, strict=True)]
    if all(n == 1 or r == 1 for n, r in zip(own, repeats, strict=True)):
        return known(b.Expand(input, ints(b, new)), new, input.dtype)
    return known(b.Tile(input, ints(b, repeats)), new, input.dtype)


@from_nnef("onnx", "gather", idioms.SIGNED_GATHER)
def gather(b: PlainBuilder, input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """gather -> Gather, which counts negative indices from the end."""
    own = shape(input)
    return known(b.Gather(input, indices, axis=axis), [*own[:axis], *shape(indices), *own[axis + 1 :]], input.dtype)


# our custom operations


@from_nnef("onnx", "gather_elements")
def gather_elements(b: PlainBuilder, input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """gather_elements -> GatherElements."""
    return known(b.GatherElements(input, indices, axis=axis), shape(indices), input.dtype)


@from_nnef("onnx", "gather_nd")
def gather_nd(b: PlainBuilder, input: Tensor, indices: Tensor, *, batch_dims: int) -> Tensor:
    """gather_nd -> GatherND."""
    result: Tensor = b.GatherND(input, indices, batch_dims=batch_dims)
    return result


def _numbers(b: PlainBuilder, wanted: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors; truth values as integers if numbers are wanted, since ONNX or runtimes lack operators for them."""
    return tuple(building.cast(b, x, np.int32) if wanted and x.dtype is np.bool_ else x for x in tensors)


def _reduction(b: PlainBuilder, reduction: str) -> str | None:
    if reduction != "none":
        building.need_version(b, 16 if reduction in ("add", "mul") else 18, f"reduction = '{reduction}'")
    return reduction if reduction != "none" else None


@from_nnef("onnx", "scatter_elements")
def scatter_elements(
    b: PlainBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str
) -> Tensor:
    """scatter_elements -> ScatterElements."""
    input, updates, dtype = *_numbers(b, reduction in ("max", "min"), input, updates), input.dtype
    result = b.ScatterElements(input, indices, updates, axis=axis, reduction=_reduction(b, reduction))
    return building.cast(b, known(result, shape(input), input.dtype), dtype)


@from_nnef("onnx", "scatter_nd")
def scatter_nd(b: PlainBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, reduction: str) -> Tensor:
    """scatter_nd -> ScatterND."""
    input, updates, dtype = *_numbers(b, reduction in ("max", "min"), input, updates), input.dtype
    result = b.ScatterND(input, indices, updates, reduction=_reduction(b, reduction))
    return building.cast(b, known(result, shape(input), input.dtype), dtype)


@from_nnef("onnx", "cum_sum")
def cum_sum(b: PlainBuilder, x: Tensor, *, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """cum_sum -> CumSum."""
    (x,), dtype = _numbers(b, True, x), x.dtype
    result = b.CumSum(x, b.constant(axis, np.int64), exclusive=int(exclusive), reverse=int(reverse))
    return building.cast(b, known(result, shape(x), x.dtype), dtype)


@from_nnef("onnx", "cum_prod")
def cum_prod(b: PlainBuilder, x: Tensor, *, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """cum_prod -> CumProd; before version 26 products by doubling the distance, log2(extent) steps."""
    if x.dtype is np.bool_:
        (number,) = _numbers(b, True, x)
        return building.cast(b, cum_prod(b, number, axis=axis, exclusive=exclusive, reverse=reverse), np.bool_)
    if b.version >= 26:
        result = b.CumProd(x, b.constant(axis, np.int64), exclusive=int(exclusive), reverse=int(reverse))
        return known(result, shape(x), x.dtype)
    k = axis + len(shape(x)) if axis < 0 else axis
    extent = shape(x)[k]

    def shifted(y: Tensor, distance: int) -> Tensor:
        kept = range(distance, extent) if reverse else range(extent - distance)
        ones = b.constant(np.ones([distance if j == k else n for j, n in enumerate(shape(x))]), x.dtype)
        part = building.slice_ranges(b, y, {k: kept})
        return building.concat(b, [part, ones] if reverse else [ones, part], k)

    y = shifted(x, 1) if exclusive and extent > 1 else x
    if exclusive and extent == 1:
        return b.constant(np.ones(shape(x)), x.dtype)
    distance = 1
    while distance < extent:
        y = building.elementwise(b, "Mul", y, shifted(y, distance))
        distance *= 2
    return y


@from_nnef("onnx", "top_k")
def top_k(b: PlainBuilder, x: Tensor, *, k: int, axis: int, largest: bool, sorted: bool) -> tuple[Tensor, Tensor]:
    """top_k -> TopK."""
    (number,) = _numbers(b, True, x)
    values, indices = b.TopK(number, ints(b, [k]), axis=axis, largest=int(largest), sorted=int(sorted), outputs=2)
    dims = [k if j == axis % len(shape(x)) else n for j, n in enumerate(shape(x))]
    return building.cast(b, known(values, dims, number.dtype), x.dtype), known(indices, dims, np.int64)


@from_nnef("onnx", "update")
def update(b: PlainBuilder, variable: Tensor, value: Tensor) -> Tensor:
    """update: refused."""
    raise Unsupported("a variable that keeps its new value for the next run has no counterpart in ONNX")
