"""SpaceToBatch and BatchToSpace: blocks of space laid out along the batch.

Where they stand around a convolution of stride 1, they make a dilated convolution of it (see dilation.py); these rules
move the data for all other cases.
"""

from __future__ import annotations

import math

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, transpose
from ...compose.slicing import slice_axes
from ...engine.rules import Array, Ints, to_nnef


@to_nnef("tf", "SpaceToBatchND")
def space_to_batch(b: Builder, x: Tensor, block: Ints, paddings: Array) -> Tensor:
    """SpaceToBatchND: pad, then positions inside a block become the outermost part of the batch."""
    rank, count = len(shape(x)), len(block)
    pairs = [(0, 0)] + [(int(p), int(q)) for p, q in paddings.reshape(-1, 2)]
    pairs += [(0, 0)] * (rank - len(pairs))
    if any(p or q for p, q in pairs):
        x = b.pad(x, padding=pairs)
    batch, *extents = shape(x)
    if any(extent % s for extent, s in zip(extents, block, strict=False)):
        raise Unsupported(f"padded extents {extents[:count]} do not divide by the block {block}")
    split = [part for extent, s in zip(extents, block, strict=False) for part in (extent // s, s)]
    y = reshape(b, x, [batch, *split, *extents[count:]])
    inner = [2 + 2 * k for k in range(count)]
    y = transpose(b, y, [*inner, 0, *(k - 1 for k in inner), *range(1 + 2 * count, len(shape(y)))])
    outer = [extent // s for extent, s in zip(extents, block, strict=False)]
    return reshape(b, y, [batch * math.prod(block), *outer, *extents[count:]])


@to_nnef("tf", "BatchToSpaceND")
def batch_to_space(b: Builder, x: Tensor, block: Ints, crops: Array) -> Tensor:
    """BatchToSpaceND: the outermost part of the batch becomes positions inside a block, then crop."""
    count = len(block)
    batch, *extents = shape(x)
    if batch % math.prod(block):
        raise Unsupported(f"batch {batch} does not divide by the block {block}")
    y = reshape(b, x, [*block, batch // math.prod(block), *extents])
    pairs = [axis for k in range(count) for axis in (count + 1 + k, k)]
    y = transpose(b, y, [count, *pairs, *range(2 * count + 1, len(shape(y)))])
    whole = [extent * s for extent, s in zip(extents, block, strict=False)]
    y = reshape(b, y, [batch // math.prod(block), *whole, *extents[count:]])
    begin, end = crops.reshape(-1, 2).T
    return slice_axes(
        b,
        y,
        [int(p) for p in begin],
        [extent - int(q) for extent, q in zip(whole, end, strict=True)],
        range(1, count + 1),
        [1] * count,
    )


@to_nnef("tf", "SpaceToBatch")
def space_to_batch_2d(b: Builder, x: Tensor, paddings: Array, *, block_size: int) -> Tensor:
    """SpaceToBatch of images."""
    return space_to_batch(b, x, [block_size, block_size], paddings)


@to_nnef("tf", "BatchToSpace")
def batch_to_space_2d(b: Builder, x: Tensor, crops: Array, *, block_size: int) -> Tensor:
    """BatchToSpace of images."""
    return batch_to_space(b, x, [block_size, block_size], np.asarray(crops))
