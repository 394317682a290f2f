"""Operators that move data: reshapes, transposes, joining, splitting, padding, repeating, slicing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....budget import ask_operations
from ....errors import Unsupported
from ....model import Tensor
from ....ops.window import Window
from ...building.nnef import Builder
from ...building.shapes import all_positive, positive, reshape, shape, squeeze, transpose, unsqueeze
from ...compose.slicing import expand_to, joined, padded, reshape_inferred, reverse_sequence, slice_axes, split_sizes
from ...engine.rules import Array, Int, Ints, Number, to_nnef


@to_nnef("tf", "Reshape")
def reshape_to(b: Builder, x: Tensor, new: Ints) -> Tensor:
    """Reshape -> reshape; -1 is inferred."""
    return reshape_inferred(b, x, new)


@to_nnef("tf", "EnsureShape")
def ensure_shape(b: Builder, x: Tensor, *, shape: Sequence[int | None] | None) -> Tensor:
    """EnsureShape: the tensor itself, if the shape fits."""
    own = list(x.shape or ())
    fits = shape is None or (
        len(shape) == len(own) and all(a in (None, -1, n) for a, n in zip(shape, own, strict=True))
    )
    if not fits:
        raise Unsupported(f"the shape is {own}, not {shape}")
    return x


@to_nnef("tf", "ExpandDims")
def expand_dims(b: Builder, x: Tensor, axis: Int) -> Tensor:
    """ExpandDims -> unsqueeze."""
    return unsqueeze(b, x, [positive(axis, len(shape(x)) + 1)])


@to_nnef("tf", "Squeeze")
def squeeze_dims(b: Builder, x: Tensor, *, squeeze_dims: list[int] | None = None) -> Tensor:
    """Squeeze -> squeeze; all axes of extent 1 by default."""
    own = shape(x)
    chosen = all_positive(squeeze_dims, len(own)) if squeeze_dims else [k for k, dim in enumerate(own) if dim == 1]
    if any(own[k] != 1 for k in chosen):
        raise Unsupported(f"axes {squeeze_dims} of shape {own} are not all of extent 1")
    return squeeze(b, x, chosen)


@to_nnef("tf", "Transpose", "ConjugateTranspose")
def transpose_axes(b: Builder, x: Tensor, perm: Ints) -> Tensor:
    """Transpose -> transpose."""
    rank = len(shape(x))
    axes = [positive(k, rank) for k in perm]
    if sorted(axes) != list(range(rank)):
        raise Unsupported(f"perm {perm} is not a permutation for rank {rank}")
    return transpose(b, x, axes)


# joining and splitting


def _axis(b: Builder, axis: Tensor) -> int:
    value = b.value(axis)
    if value is None:
        raise Unsupported("the axis must be a constant, but it is computed from the inputs")
    return int(value.reshape(()))


@to_nnef("tf", "ConcatV2")
def concat(b: Builder, *xs: Tensor, N: int | None = None) -> Tensor:
    """ConcatV2 -> concat; the axis comes last."""
    return joined(b, xs[:-1], _axis(b, xs[-1]))


@to_nnef("tf", "Concat")
def concat_first(b: Builder, *xs: Tensor, N: int | None = None) -> Tensor:
    """Concat -> concat; the axis comes first."""
    return joined(b, xs[1:], _axis(b, xs[0]))


@to_nnef("tf", "Pack")
def pack(b: Builder, *xs: Tensor, axis: int = 0, N: int | None = None) -> Tensor:
    """Pack -> stack."""
    k = positive(axis, len(shape(xs[0])) + 1)
    return unsqueeze(b, xs[0], [k]) if len(xs) == 1 else b.stack(list(xs), axis=k)


@to_nnef("tf", "Unpack")
def unpack(b: Builder, x: Tensor, *, num: int, axis: int = 0) -> list[Tensor]:
    """Unpack -> unstack."""
    k = positive(axis, len(shape(x)))
    if shape(x)[k] != num:
        raise Unsupported(f"{num} results from axis {k} of shape {shape(x)}")
    return [squeeze(b, x, [k])] if num == 1 else b.unstack(x, axis=k)


@to_nnef("tf", "Split")
def split(b: Builder, axis: Int, x: Tensor, *, num_split: int) -> list[Tensor]:
    """Split -> split into equal parts."""
    k = positive(axis, len(shape(x)))
    if shape(x)[k] % num_split:
        raise Unsupported(f"{num_split} equal parts of extent {shape(x)[k]}")
    return split_sizes(b, x, [shape(x)[k] // num_split] * num_split, k)


@to_nnef("tf", "SplitV")
def split_into(b: Builder, x: Tensor, sizes: Ints, axis: Int, *, num_split: int | None = None) -> list[Tensor]:
    """SplitV -> split; one size may be -1, which stands for the rest."""
    k = positive(axis, len(shape(x)))
    rest = shape(x)[k] - sum(size for size in sizes if size >= 0)
    return split_sizes(b, x, [rest if size < 0 else size for size in sizes], k)


# repeating, padding, reversing


@to_nnef("tf", "Tile")
def tile(b: Builder, x: Tensor, repeats: Ints) -> Tensor:
    """Tile -> tile."""
    if len(repeats) != len(shape(x)):
        raise Unsupported(f"multiples {repeats} do not fit rank {len(shape(x))}")
    if 0 in repeats:
        return b.constant(
            np.broadcast_to(np.zeros((), x.dtype), [n * r for n, r in zip(shape(x), repeats, strict=True)])
        )
    return x if all(r == 1 for r in repeats) else b.tile(x, repeats=repeats)


@to_nnef("tf", "BroadcastTo")
def broadcast_to(b: Builder, x: Tensor, new: Ints) -> Tensor:
    """BroadcastTo: tile along the axes of extent 1."""
    own = shape(x)
    if len(new) < len(own) or any(n not in (1, m) for n, m in zip(own[::-1], new[::-1], strict=False)):
        raise Unsupported(f"shape {own} does not broadcast to {new}")
    return expand_to(b, x, new)


def _pad(b: Builder, x: Tensor, paddings: Any, border: str, value: float | int | bool = 0) -> Tensor:
    pairs = [(int(p), int(q)) for p, q in np.asarray(paddings).reshape(-1, 2)]
    if len(pairs) != len(shape(x)):
        raise Unsupported(f"paddings {pairs} do not fit an input of shape {shape(x)}")
    if not any(p or q for p, q in pairs):
        return x
    return padded(b, x, pairs, border, value)


@to_nnef("tf", "Pad")
def pad(b: Builder, x: Tensor, paddings: Array) -> Tensor:
    """Pad -> pad with zeros."""
    return _pad(b, x, paddings, "constant")


@to_nnef("tf", "PadV2")
def pad_value(b: Builder, x: Tensor, paddings: Array, value: Number) -> Tensor:
    """PadV2 -> pad with a value."""
    return _pad(b, x, paddings, "constant", value)


@to_nnef("tf", "MirrorPad")
def mirror_pad(b: Builder, x: Tensor, paddings: Array, *, mode: str) -> Tensor:
    """MirrorPad -> pad; 'SYMMETRIC' repeats the edge, which NNEF calls reflect-even."""
    borders = {"REFLECT": "reflect", "SYMMETRIC": "reflect-even"}
    if mode not in borders:
        raise Unsupported(f"mode = '{mode}' is not known")
    return _pad(b, x, paddings, borders[mode])


@to_nnef("tf", "ReverseV2")
def reverse(b: Builder, x: Tensor, axes: Ints) -> Tensor:
    """ReverseV2 -> slice with stride -1."""
    chosen = all_positive(axes, len(shape(x)))
    whole = [-n - 1 for n in shape(x)]
    return slice_axes(b, x, [-1] * len(chosen), [whole[k] for k in chosen], chosen, [-1] * len(chosen))


@to_nnef("tf", "Reverse")
def reverse_mask(b: Builder, x: Tensor, dims: Array) -> Tensor:
    """Reverse: a logical for each axis."""
    return reverse(b, x, [int(k) for k in np.flatnonzero(dims)])


@to_nnef("tf", "Roll")
def roll(b: Builder, x: Tensor, shifts: Ints, axes: Ints) -> Tensor:
    """Roll: the last items of an axis come first."""
    for shift, axis in zip(shifts, axes, strict=True):
        k = positive(axis, len(shape(x)))
        extent = shape(x)[k]
        if moved := shift % extent:
            x = b.concat(
                [
                    slice_axes(b, x, [extent - moved], [extent], [k], [1]),
                    slice_axes(b, x, [0], [extent - moved], [k], [1]),
                ],
                axis=k,
            )
    return x


@to_nnef("tf", "ReverseSequence")
def reverse_sequence_of(b: Builder, x: Tensor, lengths: Tensor, *, seq_dim: int, batch_dim: int = 0) -> Tensor:
    """ReverseSequence: the first items along an axis reversed, as many as each item of the batch says."""
    rank = len(shape(x))
    time, batch = positive(seq_dim, rank), positive(batch_dim, rank)
    order = [batch, time, *(k for k in range(rank) if k not in (batch, time))]
    y = reverse_sequence(b, transpose(b, x, order), lengths, batch_axis=0, time_axis=1)
    return transpose(b, y, [order.index(k) for k in range(rank)])


# blocks


def _blocks(own: list[int], data_format: str) -> tuple[int, int, int, int]:
    """Batch, height, width, depth."""
    if data_format == "NHWC" and len(own) == 4:
        return own[0], own[1], own[2], own[3]
    if data_format == "NCHW" and len(own) == 4:
        return own[0], own[2], own[3], own[1]
    raise Unsupported(f"data_format = '{data_format}' for shape {own}")


@to_nnef("tf", "DepthToSpace")
def depth_to_space(b: Builder, x: Tensor, *, block_size: int, data_format: str = "NHWC") -> Tensor:
    """DepthToSpace: block rows and columns are the outermost part of the channels."""
    n, h, w, c = _blocks(shape(x), data_format)
    depth = c // block_size**2
    if c % block_size**2:
        raise Unsupported(f"{c} channels do not divide by block_size {block_size} squared")
    s = block_size
    if data_format == "NCHW":
        y = transpose(b, reshape(b, x, [n, s, s, depth, h, w]), [0, 3, 4, 1, 5, 2])
        return reshape(b, y, [n, depth, h * s, w * s])
    y = transpose(b, reshape(b, x, [n, h, w, s, s, depth]), [0, 1, 3, 2, 4, 5])
    return reshape(b, y, [n, h * s, w * s, depth])


@to_nnef("tf", "SpaceToDepth")
def space_to_depth(b: Builder, x: Tensor, *, block_size: int, data_format: str = "NHWC") -> Tensor:
    """SpaceToDepth: positions inside a block become the outermost part of the channels."""
    n, h, w, c = _blocks(shape(x), data_format)
    s = block_size
    if h % s or w % s:
        raise Unsupported(f"extents {h} x {w} do not divide by block_size {s}")
    if data_format == "NCHW":
        y = transpose(b, reshape(b, x, [n, c, h // s, s, w // s, s]), [0, 3, 5, 1, 2, 4])
        return reshape(b, y, [n, c * s * s, h // s, w // s])
    y = transpose(b, reshape(b, x, [n, h // s, s, w // s, s, c]), [0, 1, 3, 2, 4, 5])
    return reshape(b, y, [n, h // s, w // s, s * s * c])


@to_nnef("tf", "ExtractImagePatches")
def extract_image_patches(
    b: Builder, x: Tensor, *, ksizes: list[int], strides: list[int], rates: list[int], padding: str
) -> Tensor:
    """ExtractImagePatches: the windows of all positions, side by side in the channels; outside is zero."""
    n, h, w, c = _blocks(shape(x), "NHWC")
    declared = [] if padding == "SAME" else [(0, 0), (0, 0)]
    window = Window(ksizes[1:3], padding=declared, stride=strides[1:3], dilation=rates[1:3]).forward([h, w])
    padded = _pad(b, x, [(0, 0), *window.padding, (0, 0)], "constant")
    ask_operations(math.prod(window.size))
    windows = []
    for element in np.ndindex(*window.size):
        taken = [window.read(*item) for item in enumerate(element)]
        begin, end = [part.start for part in taken], [part.stop for part in taken]
        windows.append(slice_axes(b, padded, begin, end, [1, 2], window.stride))
    y = windows[0] if len(windows) == 1 else b.concat(windows, axis=3)
    return reshape(b, y, [n, *window.downscaled, math.prod(window.size) * c])
