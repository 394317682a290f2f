"""Box filters and pooling over windows of full rank (section 5.5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F  # noqa: N812

from .common import (
    SPATIAL_LIMIT,
    Ints,
    Operator,
    Pairs,
    Tensor,
    border_index,
    crop_result,
    down_window,
    extend_input,
    in_rounds,
    numpy_operator,
    over_dims,
    pad_border,
    up_window,
)

_MAX_POOL: tuple[Callable[..., Tensor], ...] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
_CONV: tuple[Callable[..., Tensor], ...] = (F.conv1d, F.conv2d, F.conv3d)
_DECONV: tuple[Callable[..., Tensor], ...] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def _active(size: Ints, stride: Ints) -> list[int]:
    return [dim for dim, (f, s) in enumerate(zip(size, stride, strict=True)) if f != 1 or s != 1]


def _pick(items: Ints, dims: Ints) -> list[int]:
    return [items[dim] for dim in dims]


def _window_sum(x: Tensor, size: Ints, stride: Ints, dilation: Ints) -> Tensor:
    """Sums over the windows that fit into x; separable, so any number of dimensions will do."""
    for dims in in_rounds(_active(size, stride)):
        f, s, d = (_pick(items, dims) for items in (size, stride, dilation))

        def sums(y: Tensor, f: list[int] = f, s: list[int] = s, d: list[int] = d) -> Tensor:
            if any(item != 1 for item in d):
                return _CONV[len(f) - 1](y, y.new_ones(1, 1, *f), stride=s, dilation=d)
            if len(f) == 1:
                return F.avg_pool2d(y[..., None], [*f, 1], [*s, 1], divisor_override=1)[..., 0]
            pool = F.avg_pool2d if len(f) == 2 else F.avg_pool3d
            return pool(y, f, s, divisor_override=1)

        x = over_dims(x, dims, sums)
    return x


def _window_max(x: Tensor, size: Ints, stride: Ints, dilation: Ints) -> Tensor:
    for dims in in_rounds(_active(size, stride)):
        f, s, d = (_pick(items, dims) for items in (size, stride, dilation))
        pool = _MAX_POOL[len(dims) - 1]

        def largest(
            y: Tensor,
            pool: Callable[..., Tensor] = pool,
            f: list[int] = f,
            s: list[int] = s,
            d: list[int] = d,
        ) -> Tensor:
            return pool(y, f, s, 0, d)

        x = over_dims(x, dims, largest)
    return x


def _window_spread(x: Tensor, size: Ints, stride: Ints, dilation: Ints) -> Tensor:
    """The transpose of `_window_sum`."""
    for dims in in_rounds(_active(size, stride)):
        f, s, d = (_pick(items, dims) for items in (size, stride, dilation))

        def spread(y: Tensor, f: list[int] = f, s: list[int] = s, d: list[int] = d) -> Tensor:
            return _DECONV[len(f) - 1](y, y.new_ones(1, 1, *f), stride=s, dilation=d)

        x = over_dims(x, dims, spread)
    return x


def _valid_count(x: Tensor, size: Ints, padding: Pairs, stride: Ints, dilation: Ints) -> Tensor:
    """How many positions of each window lie inside of x, at least 1."""
    count = x.new_ones(())
    for inside in _valid_places(x, size, padding, stride, dilation):
        count = count * inside.sum(-1).to(x.dtype)
    return count.clamp(min=1)


def _valid_places(x: Tensor, size: Ints, padding: Pairs, stride: Ints, dilation: Ints) -> Iterator[Tensor]:
    """For each dimension, which elements of which windows lie inside of x: [windows, 1.., elements]."""
    for dim, (extent, f, (p, q), s, d) in enumerate(zip(x.shape, size, padding, stride, dilation, strict=True)):
        starts = torch.arange(-p, extent + q - (f - 1) * d, s, device=x.device)
        places = starts[:, None] + torch.arange(0, f * d, d, device=x.device)
        yield ((places >= 0) & (places < extent)).reshape(-1, *[1] * (x.dim() - dim - 1), f)


def _zero_border(border: str) -> str:
    return "constant" if border == "ignore" else border


def box(
    input: Tensor,
    *,
    size: Ints,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
    normalize: bool = False,
) -> Tensor:
    """Sum, or with normalize the mean, of each window. With border 'ignore' the mean is over the valid positions."""
    padding, stride, dilation = down_window(input.shape, size, padding, stride, dilation)
    sums = _window_sum(pad_border(input, padding, _zero_border(border)), size, stride, dilation)
    if not normalize:
        return sums
    if border == "ignore" and any(p > 0 or q > 0 for p, q in padding):
        return sums / _valid_count(input, size, padding, stride, dilation)
    return sums / math.prod(size)


def debox(
    input: Tensor,
    *,
    size: Ints,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
    output_shape: Ints = (),
    normalize: bool = False,
) -> Tensor:
    """The transpose of box; normalize divides by the volume of the window (border 'ignore': by the contributions)."""
    padding, stride, dilation, extents = up_window(input.shape, size, padding, stride, dilation, output_shape)
    input, padding = extend_input(input, size, padding, stride, dilation, extents, border)
    result = crop_result(_window_spread(input, size, stride, dilation), padding, extents)
    if not normalize:
        return result
    if border == "ignore":
        count = crop_result(_window_spread(torch.ones_like(input), size, stride, dilation), padding, extents)
        return result / count.clamp(min=1)
    return result / math.prod(size)


def _lowest(x: Tensor) -> float:
    return -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min


def _fill_for_max(x: Tensor, padding: Pairs, border: str) -> Tensor:
    if border == "ignore":
        return pad_border(x, padding, "constant", _lowest(x))
    return pad_border(x, padding, border)


def max_pool(
    input: Tensor,
    *,
    size: Ints,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
) -> Tensor:
    """The largest element of each window (border 'constant': of the zeros around, too); 0 if no element is valid."""
    padding, stride, dilation = down_window(input.shape, size, padding, stride, dilation)
    result = _window_max(_fill_for_max(input, padding, border), size, stride, dilation)
    return _zero_where_empty(result, input, size, padding, stride, dilation) if border == "ignore" else result


def _zero_where_empty(
    result: Tensor, input: Tensor, size: Ints, padding: Pairs, stride: Ints, dilation: Ints
) -> Tensor:
    """Windows without any valid position give 0; they exist only where padding outgrows the window."""
    if all(max(p, q) <= (f - 1) * d for (p, q), f, d in zip(padding, size, dilation, strict=True)) and not any(
        d > 1 for d in dilation
    ):
        return result
    inside = torch.ones((), dtype=torch.bool, device=input.device)
    for valid in _valid_places(input, size, padding, stride, dilation):
        inside = inside & valid.any(-1)
    return torch.where(inside, result, torch.zeros((), dtype=result.dtype, device=result.device))


def argmax_pool(
    input: Tensor,
    *,
    size: Ints,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
) -> Tensor:
    """Row-major index, inside the window, of its first largest element. int64."""
    padding, stride, dilation = down_window(input.shape, size, padding, stride, dilation)
    dims = _active(size, stride)
    if len(dims) > SPATIAL_LIMIT:
        run = numpy_operator("argmax_pool")
        result: Tensor = run(input, size=size, border=border, padding=padding, stride=stride, dilation=dilation)
        return result
    x = _fill_for_max(input, padding, border)
    if not dims:
        return torch.zeros(x.shape, dtype=torch.int64, device=x.device)
    f, s, d = (_pick(items, dims) for items in (size, stride, dilation))

    def index(y: Tensor) -> Tensor:
        _, plane = _MAX_POOL[len(dims) - 1](y, f, s, 0, d, return_indices=True)
        return _window_index(plane, y.shape[2:], f, s, d)

    return over_dims(x, dims, index)


def _window_index(plane: Tensor, extents: Ints, size: Ints, stride: Ints, dilation: Ints) -> Tensor:
    """Turns flat indices into the whole plane into flat indices into each window."""
    result = torch.zeros_like(plane)
    volume = 1
    for k in reversed(range(len(size))):
        place = plane % extents[k]
        plane = plane // extents[k]
        start = torch.arange(place.shape[2 + k], device=place.device) * stride[k]
        offset = (place - start.reshape(-1, *[1] * (len(size) - k - 1))) // dilation[k]
        result = result + offset * volume
        volume *= size[k]
    return result


def _positions(index: Tensor, size: Ints, padding: Pairs, stride: Ints, dilation: Ints) -> list[Tensor]:
    """The position, along each dimension, that a window index refers to."""
    rank = index.dim()
    result: list[Tensor] = []
    for dim in reversed(range(rank)):
        start = torch.arange(index.shape[dim], device=index.device) * stride[dim] - padding[dim][0]
        result.append(start.reshape(-1, *[1] * (rank - dim - 1)) + (index % size[dim]) * dilation[dim])
        index = index // size[dim]
    return result[::-1]


def _inside(positions: list[Tensor], extents: Ints) -> Tensor:
    inside = torch.ones((), dtype=torch.bool, device=positions[0].device)
    for position, extent in zip(positions, extents, strict=True):
        inside = inside & (position >= 0) & (position < extent)
    return inside


def _flat(positions: list[Tensor], extents: Ints) -> Tensor:
    flat = torch.zeros_like(positions[0])
    for position, extent in zip(positions, extents, strict=True):
        flat = flat * extent + position
    return flat


def sample(
    input: Tensor,
    index: Tensor,
    *,
    size: Ints,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
) -> Tensor:
    """The elements that the window indices (of the shape of the result) refer to."""
    padding, stride, dilation = down_window(input.shape, size, padding, stride, dilation)
    positions = _positions(index.long(), size, padding, stride, dilation)
    inside = _inside(positions, input.shape)
    mode = "replicate" if border in ("constant", "ignore") else border
    places = [border_index(p, extent, mode) for p, extent in zip(positions, input.shape, strict=True)]
    values = input.reshape(-1)[_flat(places, input.shape)]
    return torch.where(inside, values, torch.zeros_like(values)) if border in ("constant", "ignore") else values


def desample(
    input: Tensor,
    index: Tensor,
    *,
    size: Ints,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
    output_shape: Ints = (),
) -> Tensor:
    """Adds up each element at the position that its window index refers to."""
    padding, stride, dilation, extents = up_window(input.shape, size, padding, stride, dilation, output_shape)
    positions = _positions(index.long(), size, padding, stride, dilation)
    inside = _inside(positions, extents)
    result = input.new_zeros(math.prod(extents))
    result = result.index_add(0, _flat(positions, extents)[inside], input[inside])
    return result.reshape(extents)


def max_pool_with_index(
    input: Tensor,
    *,
    size: Ints,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
) -> tuple[Tensor, Tensor]:
    """The largest element of each window and its row-major index inside the window."""
    values = max_pool(input, size=size, border=border, padding=padding, stride=stride, dilation=dilation)
    index = argmax_pool(input, size=size, border=border, padding=padding, stride=stride, dilation=dilation)
    return values, index


def avg_pool(
    input: Tensor,
    *,
    size: Ints,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
) -> Tensor:
    """The mean of each window, see `box`."""
    return box(input, size=size, border=border, padding=padding, stride=stride, dilation=dilation, normalize=True)


def rms_pool(
    input: Tensor,
    *,
    size: Ints,
    border: str = "constant",
    padding: Pairs = (),
    stride: Ints = (),
    dilation: Ints = (),
) -> Tensor:
    """The root of the mean square of each window."""
    squares = torch.square(input)
    return torch.sqrt(avg_pool(squares, size=size, border=border, padding=padding, stride=stride, dilation=dilation))


OPERATORS: dict[str, Operator] = {
    "box": box,
    "debox": debox,
    "max_pool": max_pool,
    "argmax_pool": argmax_pool,
    "max_pool_with_index": max_pool_with_index,
    "avg_pool": avg_pool,
    "rms_pool": rms_pool,
    "sample": sample,
    "desample": desample,
}
