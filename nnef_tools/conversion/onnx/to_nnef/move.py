"""Operators that move data: reshapes, transposes, slices, padding, tiling."""

from __future__ import annotations

import math

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.slicing import expand_to, joined, padded, reshape_inferred, reverse_sequence, slice_axes, split_sizes
from ...compose.windows import between, distance, from_start, items, known_length, range_length, taken
from ...engine.rules import Int, Ints, to_nnef
from ...maths import padding
from ...maths.generated import positions
from ..common import all_positive, boundary, positive, reshape, shape, squeeze, transpose, unsqueeze


@to_nnef("onnx", "Reshape")
def reshape_attribute(b: Builder, x: Tensor, *, shape: list[int] | None = None) -> Tensor:
    """Reshape-1: the shape is an attribute."""
    return reshape_input(b, x, shape or [])


@to_nnef("onnx", "Reshape", since=5)
def reshape_input(b: Builder, x: Tensor, new: Ints, *, allowzero: int = 0) -> Tensor:
    """Reshape -> reshape; 0 copies an extent, -1 is inferred."""
    own = shape(x)
    if not allowzero:
        if any(dim == 0 and k >= len(own) for k, dim in enumerate(new)):
            raise Unsupported(f"shape {new} copies an extent that {own} does not have")
        new = [own[k] if dim == 0 else dim for k, dim in enumerate(new)]
    return reshape_inferred(b, x, new)


@to_nnef("onnx", "Flatten")
def flatten(b: Builder, x: Tensor, *, axis: int = 1) -> Tensor:
    """Flatten to a matrix: the axes before `axis`, the axes from it on."""
    own = shape(x)
    k = boundary(axis, len(own))
    return reshape_inferred(b, x, [math.prod(own[:k]), math.prod(own[k:])])


@to_nnef("onnx", "Squeeze")
def squeeze_attribute(b: Builder, x: Tensor, *, axes: list[int] | None = None) -> Tensor:
    """Squeeze-1: axes are an attribute."""
    return squeeze_input(b, x, axes)


@to_nnef("onnx", "Squeeze", since=13)
def squeeze_input(b: Builder, x: Tensor, axes: Ints | None = None) -> Tensor:
    """Squeeze -> squeeze; all axes of extent 1 by default."""
    own = shape(x)
    chosen = [k for k, dim in enumerate(own) if dim == 1] if axes is None else all_positive(axes, len(own))
    if any(own[k] != 1 for k in chosen):
        raise Unsupported(f"axes {axes} of shape {own} are not all of extent 1")
    return squeeze(b, x, chosen)


@to_nnef("onnx", "Unsqueeze")
def unsqueeze_attribute(b: Builder, x: Tensor, *, axes: list[int]) -> Tensor:
    """Unsqueeze-1: axes are an attribute."""
    return unsqueeze_input(b, x, axes)


@to_nnef("onnx", "Unsqueeze", since=13)
def unsqueeze_input(b: Builder, x: Tensor, axes: Ints) -> Tensor:
    """Unsqueeze -> unsqueeze; axes are positions in the result."""
    return unsqueeze(b, x, all_positive(axes, len(shape(x)) + len(axes)))


@to_nnef("onnx", "ExpandDims", domain="com.microsoft")
def expand_dims(b: Builder, x: Tensor, axis: Int) -> Tensor:
    """ExpandDims -> unsqueeze."""
    return unsqueeze(b, x, [positive(axis, len(shape(x)) + 1)])


@to_nnef("onnx", "Transpose")
def transpose_axes(b: Builder, x: Tensor, *, perm: list[int] | None = None) -> Tensor:
    """Transpose -> transpose; reversed axes by default."""
    rank = len(shape(x))
    axes = list(range(rank))[::-1] if perm is None else [positive(k, rank) for k in perm]
    if sorted(axes) != list(range(rank)):
        raise Unsupported(f"perm {perm} is not a permutation for rank {rank}")
    return transpose(b, x, axes)


@to_nnef("onnx", "Concat")
def concat_default(b: Builder, *xs: Tensor, axis: int = 1) -> Tensor:
    """Concat-1: axis 1 by default."""
    return concat(b, *xs, axis=axis)


@to_nnef("onnx", "Concat", since=4)
def concat(b: Builder, *xs: Tensor, axis: int) -> Tensor:
    """Concat -> concat; empty operands are left out."""
    return joined(b, xs, axis)


@to_nnef("onnx", "Split")
def split_attribute(
    b: Builder, x: Tensor, sizes: Ints | None = None, *, axis: int = 0, split: list[int] | None = None
) -> list[Tensor]:
    """Split-1 and -2: the sizes are an attribute (version 1 allows an input, too)."""
    return split_input(b, x, split or sizes, axis=axis)


@to_nnef("onnx", "Split", since=13)
def split_input(
    b: Builder, x: Tensor, sizes: Ints | None = None, *, axis: int = 0, num_outputs: int | None = None
) -> list[Tensor]:
    """Split -> split with the sizes as ratios; equal parts by default, the last one smaller if it does not divide."""
    if not sizes:
        extent = shape(x)[positive(axis, len(shape(x)))]
        count = num_outputs or len(b.wanted)
        part = -(-extent // count)
        sizes = [part] * (count - 1) + [extent - part * (count - 1)]
    return split_sizes(b, x, sizes, axis)


@to_nnef("onnx", "Slice")
def slice_attributes(
    b: Builder, x: Tensor, *, starts: list[int], ends: list[int], axes: list[int] | None = None
) -> Tensor:
    """Slice-1: everything is an attribute."""
    return slice_axes(b, x, starts, ends, axes or range(len(starts)), [1] * len(starts))


@to_nnef("onnx", "Slice", since=10)
def slice_inputs(
    b: Builder, x: Tensor, starts: Tensor, ends: Tensor, axes: Ints | None = None, steps: Ints | None = None
) -> Tensor:
    """Slice -> slice. A range with a computed start and a constant length -> gather; of any length, a mask."""
    begins, limits = items(b, starts), items(b, ends)
    chosen = list(range(len(begins)) if axes is None else axes)
    strides = list(steps or [1] * len(begins))
    if not len(begins) == len(limits) == len(chosen) == len(strides):
        raise Unsupported(f"starts {shape(starts)}, ends {shape(ends)}, axes {axes} and steps {steps} differ in length")
    known: list[tuple[int, int, int, int]] = []
    for first, last, axis, step in zip(begins, limits, chosen, strides, strict=True):
        if isinstance(first, int) and isinstance(last, int):
            known.append((first, last, axis, step))
            continue
        k = positive(axis, len(shape(x)))
        if step == 1 and len(begins) == 1 and known_length(b, first, last, step) is None:
            return between(b, x, k, first, last)
        count = range_length(b, first, last, step, axis)
        x = taken(b, x, k, from_start(b, first, shape(x)[k], distance(b, first, last) or 0), count, step)
    return slice_axes(b, x, *zip(*known, strict=True)) if known else x


BORDERS = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


def pad_pairs(b: Builder, x: Tensor, pairs: list[tuple[int, int]], mode: str, value: float | int | bool) -> Tensor:
    """Pad -> pad; `wrap` is made of slices."""
    if all(pair == (0, 0) for pair in pairs):
        return x
    if mode == "wrap":
        return _wrap(b, x, pairs)
    if mode not in BORDERS:
        raise Unsupported(f"mode '{mode}' is not known")
    return padded(b, x, pairs, BORDERS[mode], value)


def _wrap(b: Builder, x: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    """Repeats what is left after the negative pads, which crop first, as often as needed."""
    begins = [max(-before, 0) for before, _ in pairs]
    ends = [extent - max(-after, 0) for extent, (_, after) in zip(shape(x), pairs, strict=True)]
    x = slice_axes(b, x, begins, ends, range(len(pairs)), [1] * len(pairs))
    for k, (before, after) in enumerate((max(before, 0), max(after, 0)) for before, after in pairs):
        extent = shape(x)[k]
        if not extent:
            raise Unsupported(f"mode 'wrap' has nothing to repeat along axis {k}")
        copies = 1 + before // extent + after // extent
        repeated = tile(b, x, [copies if j == k else 1 for j in range(len(shape(x)))])
        first = [slice_axes(b, x, [extent - before % extent], [extent], [k], [1])] if before % extent else []
        last = [slice_axes(b, x, [0], [after % extent], [k], [1])] if after % extent else []
        x = b.concat([*first, repeated, *last], axis=k) if first or last else repeated
    return x


def _padded_by_computed(b: Builder, x: Tensor, pairs: list[tuple[int, int]], value: Tensor) -> Tensor:
    """pad with zeros, in place of which the value is selected, an axis after the other."""
    y = padded(b, x, pairs, "constant")
    rank = len(pairs)
    for k, (before, after) in enumerate(pairs):
        if max(before, after) > 0:
            extent = shape(y)[k]
            position = positions(extent, np.int64)
            outside = (position < before) | (position >= extent - max(after, 0))
            column = b.constant(outside.reshape([-1 if j == k else 1 for j in range(rank)]))
            y = b.select(column, reshape(b, value, []), y)
    return y


@to_nnef("onnx", "Pad")
def pad_paddings(b: Builder, x: Tensor, *, paddings: list[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Pad-1: the attribute is called paddings."""
    return pad_pairs(b, x, padding.pairs_from_onnx(paddings), mode, value)


@to_nnef("onnx", "Pad", since=2)
def pad_attributes(b: Builder, x: Tensor, *, pads: list[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Pad-2: pads are an attribute."""
    return pad_pairs(b, x, padding.pairs_from_onnx(pads), mode, value)


@to_nnef("onnx", "Pad", since=11)
def pad_inputs(
    b: Builder, x: Tensor, pads: Ints, value: Tensor | None = None, axes: Ints | None = None, *, mode: str = "constant"
) -> Tensor:
    """Pad -> pad; pads for some axes only from version 18 on."""
    rank = len(shape(x))
    pairs = [(0, 0)] * rank
    given = padding.pairs_from_onnx(pads)
    chosen = list(range(rank)) if axes is None else [positive(k, rank) for k in axes]
    if len(chosen) != len(given):
        raise Unsupported(f"pads {pads} do not fit {len(chosen)} axes")
    for k, pair in zip(chosen, given, strict=True):
        pairs[k] = pair
    known = None if value is None else b.value(value)
    if value is None or known is not None or mode != "constant":
        return pad_pairs(b, x, pairs, mode, 0 if known is None else known.reshape(()).item())
    return _padded_by_computed(b, x, pairs, value)


@to_nnef("onnx", "Pad", domain="com.microsoft")
def pad(b: Builder, x: Tensor, pads: Ints, value: Tensor | None = None, *, mode: str = "constant") -> Tensor:
    """Pad with the amounts as an input."""
    return pad_inputs(b, x, pads, value, mode=mode)


@to_nnef("onnx", "Expand", since=8)
def expand(b: Builder, x: Tensor, new: Ints) -> Tensor:
    """Expand: the shapes broadcast in both directions."""
    try:
        target = np.broadcast_shapes(tuple(shape(x)), tuple(new))
    except ValueError as error:
        raise Unsupported(f"shape {shape(x)} does not broadcast with {new}") from error
    return expand_to(b, x, target)


@to_nnef("onnx", "Tile")
def tile_axis(b: Builder, x: Tensor, tiles: Int, axis: Int) -> Tensor:
    """Tile-1: one axis."""
    repeats = [1] * len(shape(x))
    repeats[positive(axis, len(repeats))] = tiles
    return tile(b, x, repeats)


@to_nnef("onnx", "Tile", since=6)
def tile(b: Builder, x: Tensor, repeats: Ints) -> Tensor:
    """Tile -> tile."""
    if len(repeats) != len(shape(x)):
        raise Unsupported(f"repeats {repeats} do not fit rank {len(shape(x))}")
    if 0 in repeats:
        return b.constant(np.zeros([n * r for n, r in zip(shape(x), repeats, strict=True)], x.dtype))
    return x if all(r == 1 for r in repeats) else b.tile(x, repeats=repeats)


@to_nnef("onnx", "DepthToSpace")
def depth_to_space(b: Builder, x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """DepthToSpace: block rows and columns come from the channels, outermost (DCR) or innermost (CRD)."""
    n, c, h, w = shape(x)
    depth = c // blocksize**2
    if c % blocksize**2:
        raise Unsupported(f"{c} channels do not divide by blocksize {blocksize} squared")
    if mode == "DCR":
        blocks = transpose(b, reshape(b, x, [n, blocksize, blocksize, depth, h, w]), [0, 3, 4, 1, 5, 2])
    else:
        blocks = transpose(b, reshape(b, x, [n, depth, blocksize, blocksize, h, w]), [0, 1, 4, 2, 5, 3])
    return reshape(b, blocks, [n, depth, h * blocksize, w * blocksize])


@to_nnef("onnx", "SpaceToDepth")
def space_to_depth(b: Builder, x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """SpaceToDepth: positions inside a block become the outermost (DCR) or innermost (CRD) part of the channels."""
    n, c, h, w = shape(x)
    if h % blocksize or w % blocksize:
        raise Unsupported(f"extents {h} x {w} do not divide by blocksize {blocksize}")
    blocks = reshape(b, x, [n, c, h // blocksize, blocksize, w // blocksize, blocksize])
    order = [0, 3, 5, 1, 2, 4] if mode == "DCR" else [0, 1, 3, 5, 2, 4]
    return reshape(b, transpose(b, blocks, order), [n, c * blocksize**2, h // blocksize, w // blocksize])


to_nnef("onnx", "ReverseSequence", since=10)(reverse_sequence)
