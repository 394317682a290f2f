"""Regions of interest (section 5.11), with the decisions that `ops/roi.py` lists."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import torch

from ....errors import ShapeError
from ....ops.window import Window
from .common import Ints, Operator, Tensor
from .elementwise import round_half_up
from .pool import avg_pool, max_pool


def _image_numbers(batch_index: Tensor, batch: int) -> list[int]:
    numbers = [int(number) for number in batch_index.reshape(-1).tolist()]
    if any(not 0 <= number < batch for number in numbers):
        raise ShapeError(f"'batch_index' must lie in [0, {batch}), got {numbers}")
    return numbers


def _roi_pool(reduce: Callable[[Tensor], Tensor]) -> Operator:
    """Makes an operator that pools half-open cells, cropped to the image; an empty cell gives 0."""

    def pool(input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: Ints) -> Tensor:
        extents = input.shape[2:]
        corners = round_half_up(rois.double()).long().tolist()
        regions = []
        for number, corner in zip(_image_numbers(batch_index, input.shape[0]), corners, strict=True):
            axes = [
                _cells(corner[k], corner[len(extents) + k], count, extents[k]) for k, count in enumerate(output_size)
            ]
            image = input[number]
            cells = [_crop(image, cell).flatten(1) for cell in product(*axes)]
            values = [reduce(cell) if cell.shape[1] else cell.new_zeros(cell.shape[0]) for cell in cells]
            regions.append(torch.stack(values, 1).reshape(-1, *output_size))
        return torch.stack(regions) if regions else input.new_zeros(0, input.shape[1], *output_size)

    return pool


def _crop(image: Tensor, cell: tuple[slice, ...]) -> Tensor:
    for dim, part in enumerate(cell, start=1):
        image = image.narrow(dim, part.start, max(part.stop - part.start, 0))
    return image


def _cells(low: int, high: int, count: int, extent: int) -> list[slice]:
    size, stride = -(-(high - low) // count), (high - low) // count
    starts = [low + k * stride for k in range(count)]
    # torch refuses a start beyond the extent, even for an empty slice
    return [slice(min(max(start, 0), extent), max(min(start + size, extent), 0)) for start in starts]


def roi_resample(
    input: Tensor, rois: Tensor, batch_index: Tensor, *, output_size: Ints, method: str = "symmetric"
) -> Tensor:
    """Each region, linearly interpolated to output_size; positions outside of the image take the value at its edge."""
    rank = len(output_size)
    corners = rois.double()
    result = input[_image_numbers(batch_index, input.shape[0])]
    for k, size in enumerate(output_size):
        low, high = corners[:, k, None], corners[:, rank + k, None]
        place = _source_places(low, high - low, size, method, input.shape[2 + k])
        below = place.floor()
        shape = [len(corners), *(size if dim == 1 + k else 1 for dim in range(rank + 1))]
        weight = (place - below).to(input.dtype).reshape(shape)
        first, second = (_take(result, 2 + k, index.long()) for index in (below, place.ceil()))
        result = (1 - weight) * first + weight * second
    return result


def _source_places(low: Tensor, length: Tensor, size: int, method: str, extent: int) -> Tensor:
    """The positions [rois, size] of the samples of each region in the image."""
    i = torch.arange(size, dtype=torch.float64, device=low.device)
    if method == "symmetric":
        place = low + (i + 0.5) * length / size - 0.5
    elif method == "asymmetric":
        place = low + i * length / size
    elif method == "aligned":
        place = low + i * (length - 1) / max(size - 1, 1)
    else:
        raise ShapeError(f"unknown interpolation method '{method}'")
    return place.clamp(0, extent - 1)


def _take(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements along a dimension at indices [rois, size], which differ from region to region."""
    shape = [1] * x.dim()
    shape[0], shape[dim] = index.shape
    extents = list(x.shape)
    extents[dim] = index.shape[1]
    return x.gather(dim, index.reshape(shape).expand(extents))


def _roi_align(pool: Callable[..., Tensor]) -> Operator:
    def align(
        input: Tensor,
        rois: Tensor,
        batch_index: Tensor,
        *,
        output_size: Ints,
        sampling_rate: Ints,
        resize_method: str = "symmetric",
    ) -> Tensor:
        fine = [math.prod(pair) for pair in zip(output_size, sampling_rate, strict=True)]
        resampled = roi_resample(input, rois, batch_index, output_size=fine, method=resize_method)
        return pool(resampled, window=Window.cells([1, 1, *sampling_rate]))

    return align


OPERATORS: dict[str, Operator] = {
    "avg_roi_pool": _roi_pool(lambda cells: cells.mean(1)),
    "max_roi_pool": _roi_pool(lambda cells: cells.amax(1)),
    "roi_resample": roi_resample,
    "avg_roi_align": _roi_align(avg_pool),
    "max_roi_align": _roi_align(max_pool),
}
