"""NNEF to ONNX: operations that move data."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....optimization.nnef import idioms
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import shape


@from_nnef("onnx", idioms.DEPTH_TO_SPACE)
def depth_to_space(b: OnnxBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """Blocks that come out of the channels, in which they are outermost -> DepthToSpace."""
    result: Tensor = b.DepthToSpace(x, blocksize=block_size, mode="DCR")
    return result


@from_nnef("onnx", idioms.PIXEL_SHUFFLE)
def pixel_shuffle(b: OnnxBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """Blocks that come out of the channels, in which they are innermost -> DepthToSpace."""
    result: Tensor = b.DepthToSpace(x, blocksize=block_size, mode="CRD")
    return result


@from_nnef("onnx", idioms.SPACE_TO_DEPTH)
def space_to_depth(b: OnnxBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """Blocks that become the outermost part of the channels -> SpaceToDepth."""
    result: Tensor = b.SpaceToDepth(x, blocksize=block_size)
    return result


@from_nnef("onnx", "unstack")
def unstack(b: OnnxBuilder, value: Tensor, *, axis: int) -> list[Tensor]:
    """unstack -> Split and Squeeze of each part."""
    return [b.squeeze(part, [axis]) for part in b.split(value, axis, [1] * shape(value)[axis])]


@from_nnef("onnx", "tile")
def tile(b: OnnxBuilder, input: Tensor, *, repeats: list[int]) -> Tensor:
    """tile -> Tile, or Expand where only extents of 1 are repeated."""
    own = shape(input)
    new = [n * r for n, r in zip(own, repeats, strict=True)]
    if all(n == 1 or r == 1 for n, r in zip(own, repeats, strict=True)):
        return known(b.Expand(input, b.ints(new)), new, input.dtype)
    return known(b.Tile(input, b.ints(repeats)), new, input.dtype)


@from_nnef("onnx", idioms.SIGNED_GATHER)
def signed_gather(b: OnnxBuilder, input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """gather with negative indices -> Gather, which counts these from the end."""
    return b.gather(input, indices, axis)


# our custom operations


@from_nnef("onnx", "gather_elements")
def gather_elements(b: OnnxBuilder, input: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    """gather_elements -> GatherElements."""
    return known(b.GatherElements(input, indices, axis=axis), shape(indices), input.dtype)


@from_nnef("onnx", "gather_nd")
def gather_nd(b: OnnxBuilder, input: Tensor, indices: Tensor, *, batch_dims: int) -> Tensor:
    """gather_nd -> GatherND."""
    result: Tensor = b.GatherND(input, indices, batch_dims=batch_dims)
    return result


def _numbers(b: OnnxBuilder, wanted: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors; truth values as integers if numbers are wanted, since ONNX or runtimes lack operators for them."""
    return tuple(b.cast(x, np.int32) if wanted and x.dtype is np.bool_ else x for x in tensors)


def _reduction(b: OnnxBuilder, reduction: str) -> str | None:
    if reduction != "none":
        b.need_version(16 if reduction in ("add", "mul") else 18, f"reduction = '{reduction}'")
    return reduction if reduction != "none" else None


@from_nnef("onnx", "scatter_elements")
def scatter_elements(
    b: OnnxBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, axis: int, reduction: str
) -> Tensor:
    """scatter_elements -> ScatterElements."""
    input, updates, dtype = *_numbers(b, reduction in ("max", "min"), input, updates), input.dtype
    result = b.ScatterElements(input, indices, updates, axis=axis, reduction=_reduction(b, reduction))
    return b.cast(known(result, shape(input), input.dtype), dtype)


@from_nnef("onnx", "scatter_nd")
def scatter_nd(b: OnnxBuilder, input: Tensor, indices: Tensor, updates: Tensor, *, reduction: str) -> Tensor:
    """scatter_nd -> ScatterND."""
    input, updates, dtype = *_numbers(b, reduction in ("max", "min"), input, updates), input.dtype
    result = b.ScatterND(input, indices, updates, reduction=_reduction(b, reduction))
    return b.cast(known(result, shape(input), input.dtype), dtype)


@from_nnef("onnx", "cum_sum")
def cum_sum(b: OnnxBuilder, x: Tensor, *, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """cum_sum -> CumSum."""
    (x,), dtype = _numbers(b, True, x), x.dtype
    result = b.CumSum(x, b.constant(axis, np.int64), exclusive=int(exclusive), reverse=int(reverse))
    return b.cast(known(result, shape(x), x.dtype), dtype)


@from_nnef("onnx", "cum_prod")
def cum_prod(b: OnnxBuilder, x: Tensor, *, axis: int, exclusive: bool, reverse: bool) -> Tensor:
    """cum_prod -> CumProd; before version 26 products by doubling the distance, log2(extent) steps."""
    if x.dtype is np.bool_:
        (number,) = _numbers(b, True, x)
        return b.cast(cum_prod(b, number, axis=axis, exclusive=exclusive, reverse=reverse), np.bool_)
    if b.version >= 26:
        result = b.CumProd(x, b.constant(axis, np.int64), exclusive=int(exclusive), reverse=int(reverse))
        return known(result, shape(x), x.dtype)
    k = axis + len(shape(x)) if axis < 0 else axis
    extent = shape(x)[k]

    def shifted(y: Tensor, distance: int) -> Tensor:
        kept = range(distance, extent) if reverse else range(extent - distance)
        ones = b.constant(np.ones([distance if j == k else n for j, n in enumerate(shape(x))]), x.dtype)
        part = b.slice(y, {k: kept})
        return b.concat([part, ones] if reverse else [ones, part], k)

    y = shifted(x, 1) if exclusive and extent > 1 else x
    if exclusive and extent == 1:
        return b.constant(np.ones(shape(x)), x.dtype)
    distance = 1
    while distance < extent:
        y = b.elementwise(b.Mul, y, shifted(y, distance))
        distance *= 2
    return y


@from_nnef("onnx", "top_k")
def top_k(b: OnnxBuilder, x: Tensor, *, k: int, axis: int, largest: bool, sorted: bool) -> tuple[Tensor, Tensor]:
    """top_k -> TopK."""
    (number,) = _numbers(b, True, x)
    values, indices = b.TopK(number, b.ints([k]), axis=axis, largest=int(largest), sorted=int(sorted), outputs=2)
    dims = [k if j == axis % len(shape(x)) else n for j, n in enumerate(shape(x))]
    return b.cast(known(values, dims, number.dtype), x.dtype), known(indices, dims, np.int64)


@from_nnef("onnx", "update")
def update(b: OnnxBuilder, variable: Tensor, value: Tensor) -> Tensor:
    """update: refused."""
    raise Unsupported("a variable that keeps its new value for the next run has no counterpart in ONNX")
