"""Regions of interest of Fast R-CNN, R-FCN and the networks that propose them."""

from __future__ import annotations

import math
import re

import numpy as np

from ....budget import ask_constant
from ....errors import InvalidOperator, Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, transpose, unsqueeze
from ...compose.regions import maxima_of_regions, rounded
from ...engine.rules import to_nnef
from ...maths.generated import Array, grid, positions

_LEAST = -1e30


def _check(x: Tensor, rois: Tensor) -> None:
    if len(shape(x)) != 4 or math.prod(shape(rois)[1:]) != 5:
        raise InvalidOperator(f"input of shape {shape(x)} and regions of shape {shape(rois)} do not fit")


@to_nnef("caffe", "ROIPooling")
def roi_pooling(
    b: Builder, x: Tensor, rois: Tensor, *, pooled_h: int, pooled_w: int, spatial_scale: float = 1.0
) -> Tensor:
    """ROIPooling: maxima of the cells of each region, whose corners are rounded; as ONNX's MaxRoiPool."""
    _check(x, rois)
    return maxima_of_regions(b, x, reshape(b, rois, [shape(rois)[0], 5]), [pooled_h, pooled_w], spatial_scale)


@to_nnef("caffe", "PSROIPooling")
def psroi_pooling(
    b: Builder, x: Tensor, rois: Tensor, *, spatial_scale: float, output_dim: int, group_size: int
) -> Tensor:
    """PSROIPooling: means of cells, each of the channels of its own; by products with masks of rows and columns."""
    _check(x, rois)
    images, width, *extents = shape(x)
    if width != output_dim * group_size**2:
        raise InvalidOperator(f"{width} channels for output_dim {output_dim} and group_size {group_size}")
    count = shape(rois)[0]
    rois = reshape(b, rois, [count, 5])
    total, sizes = None, None
    masks = [_cells(b, rois, 2 - axis, group_size, extent, spatial_scale) for axis, extent in enumerate(extents)]
    counts = [b.sum_reduce(mask, axes=[2]) for mask in masks]  # [regions, cells, 1]
    for image in range(images):
        own = masks[0]
        if images > 1:
            here = b.eq(b.slice(rois, axes=[1], begin=[0], end=[1]), float(image))
            own = b.mul(own, unsqueeze(b, b.select(here, 1.0, 0.0), [2]))
        part = b.slice(x, axes=[0], begin=[image], end=[image + 1]) if images > 1 else x
        cells = reshape(b, part, [output_dim, group_size, group_size, *extents])
        rows = unsqueeze(b, transpose(b, own, [1, 0, 2]), [0, 2])  # [1, row, 1, regions, H]
        y = b.matmul(rows, cells)  # [output, row, column, regions, W]
        y = b.mul(y, unsqueeze(b, transpose(b, masks[1], [1, 0, 2]), [0, 1]))
        y = b.squeeze(b.sum_reduce(y, axes=[4]), axes=[4])
        total = y if total is None else b.add(total, y)
    assert total is not None
    sizes = b.mul(counts[0], transpose(b, counts[1], [0, 2, 1]))
    return b.div(transpose(b, total, [3, 0, 1, 2]), unsqueeze(b, b.max(sizes, 1.0), [1]))


def _cells(b: Builder, rois: Tensor, column: int, cells: int, extent: int, scale: float) -> Tensor:
    """Which positions of an axis belong to which cell, as 1 and 0: [regions, cells, extent]."""
    begin = b.mul(rounded(b, b.slice(rois, axes=[1], begin=[column], end=[column + 1])), scale)
    last = rounded(b, b.slice(rois, axes=[1], begin=[column + 2], end=[column + 3]))
    length = b.max(b.sub(b.mul(b.add(last, 1.0), scale), begin), 0.1)
    cell = b.div(length, float(cells))
    number = positions(cells, np.float32)[None]
    low = b.floor(b.add(b.mul(cell, b.constant(number)), begin))
    high = b.ceil(b.add(b.mul(cell, b.constant(number + 1)), begin))
    place = b.constant(positions(extent, np.float32).reshape(1, 1, extent))
    inside = b.and_(b.ge(place, unsqueeze(b, low, [2])), b.lt(place, unsqueeze(b, high, [2])))
    return b.select(inside, 1.0, 0.0)


@to_nnef("caffe", "Proposal")
def proposal(
    b: Builder,
    scores: Tensor,
    deltas: Tensor,
    info: Tensor,
    *,
    feat_stride: int = 16,
    base_size: int = 16,
    min_size: int = 16,
    ratio: list[float] | None = None,
    scale: list[float] | None = None,
    pre_nms_topn: int = 6000,
    post_nms_topn: int = 300,
    nms_thresh: float = 0.7,
) -> tuple[Tensor, Tensor]:
    """Proposal: the best regions, [number, 5], and their scores; in a fixed number, of which further ones are 0."""
    anchors = base_anchors(base_size, ratio or [0.5, 1, 2], scale or [8, 16, 32])
    kinds, (images, width, height, columns) = len(anchors), shape(scores)
    if images != 1 or width != 2 * kinds or shape(deltas) != [1, 4 * kinds, height, columns]:
        raise InvalidOperator(f"bottoms of shapes {shape(scores)} and {shape(deltas)} do not fit {kinds} anchors")
    if math.prod(shape(info)) < 3:
        raise InvalidOperator(f"the size of the image has shape {shape(info)}")
    count = kinds * height * columns
    y, x = grid([height, columns])
    shifts = np.stack([x, y, x, y], axis=-1)[:, :, None] * feat_stride
    ask_constant(count * 4)
    boxes = (anchors + shifts).reshape(count, 4).astype(np.float32)
    corners = _moved(b, reshape(b, transpose(b, deltas, [0, 2, 3, 1]), [count, 4]), boxes)
    flat = reshape(b, info, [math.prod(shape(info))])
    sides = [b.slice(flat, axes=[0], begin=[k], end=[k + 1]) for k in (1, 0, 2)]
    limit = b.sub(b.concat([sides[0], sides[1]] * 2, axis=0), 1.0)
    corners = b.min(b.max(corners, 0.0), reshape(b, limit, [1, 4]))
    low, high = b.split(corners, axis=1, ratios=[1, 1])
    extents = b.add(b.sub(high, low), 1.0)
    least = b.mul(reshape(b, sides[2], [1, 1]), float(min_size))
    large = b.ge(b.min_reduce(extents, axes=[1]), least)
    front = transpose(b, b.slice(scores, axes=[1], begin=[kinds], end=[2 * kinds]), [0, 2, 3, 1])
    ranked = b.select(large, reshape(b, front, [count, 1]), _LEAST)
    rows = b.multiclass_nms(
        reshape(b, b.concat([low, b.add(high, 1.0)], axis=1), [1, 1, count, 4]),
        reshape(b, ranked, [1, 1, count]),
        score_threshold=_LEAST / 2,
        iou_threshold=nms_thresh,
        candidates=min(pre_nms_topn, count) if pre_nms_topn > 0 else count,
        kept=post_nms_topn,
    )
    b.warnings[f"Proposal has {post_nms_topn} regions: if fewer are found, the last ones are zeros"] = None
    found = b.select(b.ge(b.slice(rows, axes=[1], begin=[1], end=[2]), 0.0), 1.0, 0.0)
    shown = b.sub(rows, b.constant(np.asarray([[0, 0, 0, 0, 0, 1, 1]], np.float32)))
    shown = b.mul(shown, found)
    first, _, score, region = b.split(shown, axis=1, ratios=[1, 1, 1, 4])
    return b.concat([first, region], axis=1), score


def base_anchors(base: int, ratios: list[float], scales: list[float]) -> Array:
    """The boxes around the first cell, [ratios * scales, 4], as generate_anchors.py of Faster R-CNN makes them."""
    center, result = (base - 1) / 2, []
    for ratio in ratios:
        width = np.round(math.sqrt(base * base / ratio))
        height = np.round(width * ratio)
        for scale in scales:
            half = np.asarray([width * scale - 1, height * scale - 1]) / 2
            result.append([*(center - half), *(center + half)])
    return np.asarray(result)


def _moved(b: Builder, deltas: Tensor, boxes: Array) -> Tensor:
    """Boxes [n, 4] moved and stretched; sides count both ends."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    shift, stretch = b.split(deltas, axis=1, ratios=[1, 1])
    center = b.add(b.mul(shift, b.constant(sides)), b.constant(boxes[:, :2] + sides / 2))
    half = b.mul(b.exp(stretch), b.constant(sides / 2))
    return b.concat([b.sub(center, half), b.add(center, half)], axis=1)


@to_nnef("caffe", "Python")
def python(b: Builder, *inputs: Tensor, module: str = "", layer: str = "", param_str: str = "") -> tuple[Tensor, ...]:
    """Python: the ProposalLayer of Faster R-CNN, with the settings of its tests; others cannot be known."""
    if layer != "ProposalLayer" or len(inputs) != 3:
        raise Unsupported(f"it runs Python code, {module}.{layer}")
    stride = re.search(r"feat_stride['\"]?\s*:\s*(\d+)", param_str)
    scales = re.search(r"scales['\"]?\s*:\s*[\[(]([\d., ]+)", param_str)
    listed = [float(item) for item in scales[1].replace(" ", "").strip(",").split(",")] if scales else None
    return proposal(b, *inputs, feat_stride=int(stride[1]) if stride else 16, scale=listed)
