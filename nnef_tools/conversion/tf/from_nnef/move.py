"""NNEF to TensorFlow: shape and data movement."""

from __future__ import annotations

from ....model import Tensor
from ....optimization.nnef import idioms
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import TfBuilder


@from_nnef("tf", idioms.DEPTH_TO_SPACE)
def depth_to_space(b: TfBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """Blocks that come out of the channels, in which they are outermost -> DepthToSpace."""
    return b.from_format(_move_blocks(b, "DepthToSpace", b.to_format(x), block_size, b.data_format(2)))


@from_nnef("tf", idioms.SPACE_TO_DEPTH)
def space_to_depth(b: TfBuilder, x: Tensor, *, block_size: int) -> Tensor:
    """Blocks that become the outermost part of the channels -> SpaceToDepth."""
    return b.from_format(_move_blocks(b, "SpaceToDepth", b.to_format(x), block_size, b.data_format(2)))


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


@from_nnef("tf", "unstack")
def unstack(b: TfBuilder, value: Tensor, *, axis: int) -> list[Tensor]:
    """unstack -> Unpack."""
    own = shape(value)
    parts = b.Unpack(value, outputs=own[axis], num=own[axis], axis=axis)
    return [known(part, [*own[:axis], *own[axis + 1 :]], value.dtype) for part in parts]


@from_nnef("tf", "tile")
def tile(b: TfBuilder, input: Tensor, *, repeats: list[int]) -> Tensor:
    """tile -> Tile."""
    dims = [n * repeat for n, repeat in zip(shape(input), repeats, strict=True)]
    return known(b.Tile(input, b.vector(repeats)), dims, input.dtype)
