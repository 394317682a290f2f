"""Box filters and pooling over windows of full rank (section 5.5)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F  # noqa: N812

from ....budget import ask_extent
from ....ops.borders import ZERO_BORDERS
from ....ops.pool import distinct_elements
from ....ops.window import PlacedWindow, Window, divisors
from .common import (
    SPATIAL_LIMIT,
    Ints,
    Operator,
    Tensor,
    border_index,
    crop_result,
    extend_input,
    numpy_operator,
    pad_border,
)

Run = Callable[[Tensor, PlacedWindow], Tensor]

_MAX_POOL: tuple[Callable[..., Tensor], ...] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
_CONV: tuple[Callable[..., Tensor], ...] = (F.conv1d, F.conv2d, F.conv3d)
_DECONV: tuple[Callable[..., Tensor], ...] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def _over_dims(x: Tensor, window: PlacedWindow, dims: Ints, run: Run) -> Tensor:
    """Applies `run` to [M, 1, extents of dims..], where M is the product of all other extents."""
    rest = [dim for dim in range(x.dim()) if dim not in dims]
    order = [*rest, *dims]
    batch = [x.shape[dim] for dim in rest]
    folded = x.permute(order).reshape(math.prod(batch), 1, *(x.shape[dim] for dim in dims))
    y = run(folded, window.over(dims))
    return y.reshape(*batch, *y.shape[2:]).permute(sorted(range(len(order)), key=order.__getitem__))


def _over_active(x: Tensor, window: PlacedWindow, run: Run) -> Tensor:
    """Applies `run` to the dimensions in which the window has an effect, a few at a time."""
    active = window.unpadded().active
    for start in range(0, len(active), SPATIAL_LIMIT):
        x = _over_dims(x, window, active[start : start + SPATIAL_LIMIT], run)
    return x


def _sums(x: Tensor, window: PlacedWindow) -> Tensor:
    """Sums over the windows that fit into x."""
    ask_extent(math.prod(window.size), "its window")
    size, stride = list(window.size), list(window.stride)
    if any(d != 1 for d in window.dilation):
        return _CONV[len(size) - 1](x, x.new_ones(1, 1, *size), stride=stride, dilation=window.dilation)
    if len(size) == 1:
        return F.avg_pool2d(x[..., None], [*size, 1], [*stride, 1], divisor_override=1)[..., 0]
    pool = F.avg_pool2d if len(size) == 2 else F.avg_pool3d
    return pool(x, size, stride, divisor_override=1)


def _maxima(x: Tensor, window: PlacedWindow) -> Tensor:
    """The largest elements of the windows that fit into x."""
    return _MAX_POOL[len(window.size) - 1](x, window.size, window.stride, 0, window.dilation)


def _spread(x: Tensor, window: PlacedWindow) -> Tensor:
    """The transpose of `_sums`."""
    ask_extent(math.prod(window.size), "its window")
    run = _DECONV[len(window.size) - 1]
    return run(x, x.new_ones(1, 1, *window.size), stride=window.stride, dilation=window.dilation)


def box(input: Tensor, *, window: Window, normalize: bool = False) -> Tensor:
    """Sum, or with normalize the mean, of each window. With border 'ignore' the mean is over the valid positions."""
    placed = window.forward(input.shape)
    seen = placed.trimmed()[0] if window.border in ZERO_BORDERS else placed
    sums = _over_active(pad_border(input, seen.padding, window.border), seen, _sums)
    if not normalize:
        return sums
    if window.border == "ignore" and any(p > 0 or q > 0 for p, q in placed.padding):
        counts = torch.from_numpy(divisors([placed.valid_counts(dim) for dim in range(input.dim())]))
        return sums / counts.to(input)
    return sums / math.prod(placed.size)


def debox(input: Tensor, *, window: Window, output_shape: Ints = (), normalize: bool = False) -> Tensor:
    """The transpose of box; normalize divides by the volume of the window (border 'ignore': by the contributions)."""
    placed = window.reverse(input.shape, output_shape)
    extended, continued = extend_input(input, placed)
    if window.border in ZERO_BORDERS:
        continued = continued.trimmed()[0]
    result = crop_result(_over_active(extended, continued, _spread), continued)
    if not normalize:
        return result
    if window.border == "ignore":
        counts = torch.from_numpy(divisors([placed.contributions(dim) for dim in range(input.dim())]))
        return result / counts.to(input)
    return result / math.prod(placed.size)


def _lowest(x: Tensor) -> float:
    return -math.inf if x.is_floating_point() else torch.iinfo(x.dtype).min


def _extended(x: Tensor, window: PlacedWindow) -> Tensor:
    """x with its padding, which has the lowest value if the border is ignored."""
    return pad_border(x, window.padding, window.border, _lowest(x) if window.border == "ignore" else 0.0)


def max_pool(input: Tensor, *, window: Window) -> Tensor:
    """The largest element of each window (border 'constant': of the zeros around, too); 0 if no element is valid."""
    placed = window.forward(input.shape)
    seen, _ = distinct_elements(placed)
    result = _over_active(_extended(input, seen), seen, _maxima)
    if window.border == "ignore":
        for dim in range(input.dim()):
            empty = placed.empty(dim)
            if empty is not None:
                result = result.index_fill(dim, torch.from_numpy(empty.nonzero()[0]).to(result.device), 0)
    return result


def argmax_pool(input: Tensor, *, window: Window) -> Tensor:
    """Row-major index, inside the window, of its first largest element. int64."""
    placed = window.forward(input.shape)
    dims = placed.unpadded().active
    if len(dims) > SPATIAL_LIMIT or distinct_elements(placed)[0] is not placed:
        result: Tensor = numpy_operator("argmax_pool")(input, **window.attributes())
        return result
    x = _extended(input, placed)
    if not dims:
        return torch.zeros(x.shape, dtype=torch.int64, device=x.device)
    return _over_dims(x, placed, dims, _largest)


def _largest(x: Tensor, window: PlacedWindow) -> Tensor:
    """The position, in each of the windows that fit into x, of its largest element."""
    ask_extent(math.prod(window.size), "its window")
    pool = _MAX_POOL[len(window.size) - 1]
    _, plane = pool(x, window.size, window.stride, 0, window.dilation, return_indices=True)
    result = torch.zeros_like(plane)
    volume = 1
    for k in reversed(range(len(window.size))):
        place, plane = plane % x.shape[2 + k], plane // x.shape[2 + k]
        start = torch.arange(place.shape[2 + k], device=place.device) * window.stride[k]
        offset = (place - start.reshape(-1, *[1] * (len(window.size) - k - 1))) // window.dilation[k]
        result = result + offset * volume
        volume *= window.size[k]
    return result


def _positions(index: Tensor, window: PlacedWindow) -> list[Tensor]:
    """The positions, along each dimension, that window indices refer to."""
    rank = index.dim()
    result: list[Tensor] = []
    for dim in reversed(range(rank)):
        start = torch.from_numpy(window.starts(dim)).to(index.device)
        element = (index % window.size[dim]) * window.dilation[dim]
        result.append(start.reshape(-1, *[1] * (rank - dim - 1)) + element)
        index = index // window.size[dim]
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


def sample(input: Tensor, index: Tensor, *, window: Window) -> Tensor:
    """The elements that window indices, in the shape of the result, refer to."""
    positions = _positions(index.long(), window.forward(input.shape))
    zeros = window.border in ZERO_BORDERS
    mode = "replicate" if zeros else window.border
    places = [border_index(p, extent, mode) for p, extent in zip(positions, input.shape, strict=True)]
    values = input.reshape(-1)[_flat(places, input.shape)]
    return torch.where(_inside(positions, input.shape), values, torch.zeros_like(values)) if zeros else values


def desample(input: Tensor, index: Tensor, *, window: Window, output_shape: Ints = ()) -> Tensor:
    """Adds each element at the position that its window index refers to."""
    placed = window.reverse(input.shape, output_shape)
    positions = _positions(index.long(), placed)
    inside = _inside(positions, placed.upscaled)
    result = input.new_zeros(math.prod(placed.upscaled))
    result = result.index_add(0, _flat(positions, placed.upscaled)[inside], input[inside])
    return result.reshape(placed.upscaled)


def max_pool_with_index(input: Tensor, *, window: Window) -> tuple[Tensor, Tensor]:
    """The largest element of each window and its row-major index inside the window."""
    return max_pool(input, window=window), argmax_pool(input, window=window)


def avg_pool(input: Tensor, *, window: Window) -> Tensor:
    """The mean of each window, see `box`."""
    return box(input, window=window, normalize=True)


def rms_pool(input: Tensor, *, window: Window) -> Tensor:
    """The root of the mean square of each window."""
    return torch.sqrt(avg_pool(torch.square(input), window=window))


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
