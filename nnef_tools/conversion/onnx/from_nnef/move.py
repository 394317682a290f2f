"""NNEF to ONNX: operations that move data."""

from __future__ import annotations

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
