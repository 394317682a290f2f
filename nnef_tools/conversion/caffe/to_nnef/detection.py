"""Layers of SSD: boxes to compare with, and detected objects."""

from __future__ import annotations

import math

import numpy as np

from ....errors import InvalidOperator, Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, transpose
from ...engine.rules import to_nnef
from ...maths.generated import Array, filled

_LOWEST = -3.4028234663852886e38


@to_nnef("caffe", "PriorBox")
def prior_box(
    b: Builder,
    features: Tensor,
    image: Tensor,
    *,
    min_size: list[float],
    max_size: list[float] | None = None,
    aspect_ratio: list[float] | None = None,
    flip: bool = True,
    clip: bool = False,
    variance: list[float] | None = None,
    img_size: int | None = None,
    img_h: int | None = None,
    img_w: int | None = None,
    step: float | None = None,
    step_h: float | None = None,
    step_w: float | None = None,
    offset: float = 0.5,
) -> Tensor:
    """PriorBox: a constant [1, 2, boxes * 4], corners relative to the image and variances."""
    if len(shape(features)) != 4 or len(shape(image)) != 4:
        raise InvalidOperator(f"bottoms of shapes {shape(features)} and {shape(image)}: four dimensions are needed")
    extents = [given or img_size or own for given, own in zip((img_h, img_w), shape(image)[2:], strict=True)]
    cells = shape(features)[2:]
    steps = [given or step or n / m for given, n, m in zip((step_h, step_w), extents, cells, strict=True)]
    sizes = _box_sizes(b, min_size, max_size or [], aspect_ratio or [], flip)
    variances = list(variance or [0.1])
    if len(variances) not in (1, 4) or min(variances) <= 0:
        raise InvalidOperator(f"variance {variances}: one or four positive numbers are needed")
    count = math.prod(cells) * len(sizes)
    result = filled([1, 2, count * 4], 0, np.float32)
    rows, columns = (((np.arange(n) + offset) * s) for n, s in zip(cells, steps, strict=True))
    centers = np.stack(np.broadcast_arrays(columns[None, :, None], rows[:, None, None]), axis=-1)
    half = np.asarray(sizes)[None, None] / 2
    corners = np.concatenate([centers - half, centers + half], axis=-1) / np.asarray([*extents[::-1]] * 2)
    result[0, 0] = (np.clip(corners, 0, 1) if clip else corners).reshape(-1)
    result[0, 1] = np.tile(variances, count * 4 // len(variances))
    return b.constant(result)


def _box_sizes(
    b: Builder, smallest: list[float], largest: list[float], ratios: list[float], flip: bool
) -> list[tuple[float, float]]:
    """Width and height of the boxes of a cell, in their order."""
    if not smallest or min(smallest) <= 0 or (largest and len(largest) != len(smallest)):
        raise InvalidOperator(f"min_size {smallest} and max_size {largest} do not fit")
    if any(a <= 0 for a in ratios) or any(high <= low for low, high in zip(smallest, largest, strict=False)):
        raise InvalidOperator(f"min_size {smallest}, max_size {largest} and aspect_ratio {ratios} do not fit")
    if any(size != int(size) for size in (*smallest, *largest)):
        b.warnings["PriorBox: sizes are cut to whole numbers, as SSD's Caffe does"] = None
    distinct = [1.0]
    for ratio in ratios:
        if all(abs(ratio - known) >= 1e-6 for known in distinct):
            distinct += [ratio, 1 / ratio] if flip else [ratio]
    sizes: list[tuple[float, float]] = []
    for k, size in enumerate(map(int, smallest)):
        sizes.append((size, size))
        if largest:
            sizes.append((math.sqrt(size * int(largest[k])),) * 2)
        sizes += [(size * math.sqrt(a), size / math.sqrt(a)) for a in distinct if abs(a - 1) >= 1e-6]
    return sizes


@to_nnef("caffe", "DetectionOutput")
def detection_output(
    b: Builder,
    locations: Tensor,
    confidences: Tensor,
    priors: Tensor,
    *,
    num_classes: int,
    share_location: bool = True,
    background_label_id: int = 0,
    nms_threshold: float = 0.3,
    top_k: int = -1,
    eta: float = 1.0,
    code_type: str = "CORNER",
    keep_top_k: int = -1,
    variance_encoded_in_target: bool = False,
    confidence_threshold: float = _LOWEST,
) -> Tensor:
    """DetectionOutput: boxes decoded by composition, then multiclass_nms: [1, 1, rows, 7].

    The number of rows is that of the most objects there can be; in Caffe it is that of the objects.
    """
    images, count = shape(locations)[0], shape(priors)[2] // 4
    groups = 1 if share_location else num_classes
    given = [math.prod(shape(t)[1:]) for t in (locations, confidences)]
    if given != [count * groups * 4, count * num_classes] or shape(priors)[0] != 1:
        raise InvalidOperator(f"bottoms of shapes {[shape(t) for t in (locations, confidences, priors)]} do not fit")
    candidates = count if top_k < 0 else min(top_k, count)
    classes = num_classes - (0 <= background_label_id < num_classes)
    kept = classes * candidates if keep_top_k < 0 else min(keep_top_k, classes * candidates)
    if candidates < 1 or kept < 1:
        raise InvalidOperator(f"top_k {top_k} and keep_top_k {keep_top_k} leave nothing")
    deltas = transpose(b, reshape(b, locations, [images, count, groups, 4]), [0, 2, 1, 3])
    boxes = _decoded(b, deltas, priors, code_type, variance_encoded_in_target)
    scores = transpose(b, reshape(b, confidences, [images, count, num_classes]), [0, 2, 1])
    rows = b.multiclass_nms(
        boxes,
        scores,
        score_threshold=confidence_threshold,
        iou_threshold=nms_threshold,
        candidates=candidates,
        kept=kept,
        background=background_label_id,
        eta=eta,
    )
    b.warnings[f"DetectionOutput has {kept} rows for each image: if there are fewer objects, the last rows are -1"] = (
        None
    )
    return reshape(b, rows, [1, 1, images * kept, 7])


def _decoded(b: Builder, deltas: Tensor, priors: Tensor, code_type: str, encoded: bool) -> Tensor:
    """The boxes [N, L, P, 4] that locations stand for. encoded: are they multiples of 1, not of the variances?"""
    value = b.value(priors)
    if value is None:
        raise Unsupported("the boxes to compare with must be constants")
    if shape(priors)[1] < 2 and not encoded:
        raise InvalidOperator("the boxes to compare with have no variances")
    table = value.reshape(shape(priors)[1], -1, 4).astype(np.float32)
    variances: Array = np.ones_like(table[0]) if encoded else table[1]
    low, high = table[0, :, :2], table[0, :, 2:]
    size = high - low

    def placed(array: Array) -> Tensor:
        return b.constant(np.ascontiguousarray(array, np.float32)[None, None])

    if code_type == "CORNER":
        return b.add(b.mul(deltas, placed(variances)), placed(table[0]))
    if code_type == "CORNER_SIZE":
        return b.add(b.mul(deltas, placed(np.concatenate([size, size], axis=1) * variances)), placed(table[0]))
    if code_type != "CENTER_SIZE":
        raise Unsupported(f"code_type {code_type} is not known")
    moved, stretched = b.split(deltas, axis=3, ratios=[1, 1])
    center = b.add(b.mul(moved, placed(size * variances[:, :2])), placed((low + high) / 2))
    half = b.mul(b.exp(b.mul(stretched, placed(variances[:, 2:]))), placed(size / 2))
    return b.concat([b.sub(center, half), b.add(center, half)], axis=3)
