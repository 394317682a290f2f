"""Custom operations for detected objects: `multiclass_nms`, `non_max_suppression`; see `extensions.nnef`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..budget import ask_extent, ask_items
from .broadcast import Array
from .checks import check, check_rank
from .definition import op

LOWEST = -3.4028234663852886e38
"""A threshold of scores that all finite ones but this pass."""


def _nms_shape(
    boxes: Sequence[int],
    scores: Sequence[int],
    *,
    score_threshold: float,
    iou_threshold: float,
    candidates: int,
    kept: int,
    background: int = -1,
    eta: float = 1.0,
) -> list[int]:
    check_rank("boxes", boxes, 4)
    check_rank("scores", scores, 3)
    images, classes, count = scores
    expected = [[images, groups, count, 4] for groups in (1, classes)]
    check(list(boxes) in expected, f"'boxes' must have shape {expected[0]} or {expected[1]}, got {list(boxes)}")
    check(1 <= candidates <= count, f"'candidates' must lie in [1, {count}], got {candidates}")
    check(kept >= 1, f"'kept' must be positive, got {kept}")
    check(0 < eta <= 1, f"'eta' must lie in (0, 1], got {eta}")
    ask_extent(images * classes, "its classes")
    ask_extent(candidates, "the comparison of its boxes")
    ask_items(images * kept * 7)
    return [images * kept, 7]


@op("multiclass_nms", shape=_nms_shape)
def multiclass_nms(
    boxes: Array,
    scores: Array,
    *,
    score_threshold: float,
    iou_threshold: float,
    candidates: int,
    kept: int,
    background: int = -1,
    eta: float = 1.0,
) -> Array:
    """The best boxes of each class that do not overlap, in rows of image, class, score and corners."""
    images, classes, _ = scores.shape
    rows = []
    for image in range(images):
        found = []
        for kind in range(classes):
            if kind == background:
                continue
            corners = boxes[image, kind if boxes.shape[1] > 1 else 0]
            own = scores[image, kind]
            order = np.argsort(-own, kind="stable")
            order = order[own[order] > score_threshold][:candidates]
            chosen = order[_suppress(corners[order], iou_threshold, eta)]
            head = np.full((len(chosen), 2), (image, kind), scores.dtype)
            found.append(np.concatenate([head, own[chosen, None], corners[chosen]], axis=1))
        together = np.concatenate(found) if found else np.empty((0, 7), scores.dtype)
        best = np.sort(np.argsort(-together[:, 2], kind="stable")[:kept])
        rows.append(together[best])
    result = np.full((images * kept, 7), -1, scores.dtype)
    filled = np.concatenate(rows)
    result[: len(filled)] = filled
    if not len(filled):
        result[:images, 0] = np.arange(images)
    return result


def _suppress(corners: Array, threshold: float, eta: float) -> list[int]:
    """The positions of the boxes that are kept, of boxes that are ordered by their score."""
    low, high = corners[:, :2], corners[:, 2:]
    areas = np.where(np.any(high < low, axis=1), 0, np.prod(high - low, axis=1))
    kept: list[int] = []
    for k in range(len(corners)):
        sides = np.minimum(high[k], high[kept]) - np.maximum(low[k], low[kept])
        common = np.where(np.all(sides > 0, axis=1), np.prod(sides, axis=1), 0)
        union = areas[k] + areas[kept] - common
        if np.all(common / np.where(common > 0, union, 1) <= threshold):
            kept.append(k)
            if eta < 1 and threshold > 0.5:
                threshold *= eta
    return kept


def _suppression_shape(
    boxes: Sequence[int],
    scores: Sequence[int],
    *,
    max_boxes: int,
    positions: int,
    iou_threshold: float,
    score_threshold: float = LOWEST,
) -> tuple[list[int], list[int]]:
    check_rank("scores", scores, 3)
    images, classes, count = scores
    check(list(boxes) == [images, count, 4], f"'boxes' must have shape {[images, count, 4]}, got {list(boxes)}")
    check(positions == count, f"'positions' must be the number of boxes, {count}, got {positions}")
    check(max_boxes >= 1, f"'max_boxes' must be positive, got {max_boxes}")
    ask_extent(images * classes, "its classes")
    ask_items(images * classes * max_boxes)
    return [images, classes, max_boxes], [images, classes]


@op("non_max_suppression", shape=_suppression_shape)
def non_max_suppression(
    boxes: Array,
    scores: Array,
    *,
    max_boxes: int,
    positions: int,
    iou_threshold: float,
    score_threshold: float = LOWEST,
) -> tuple[Array, Array]:
    """The best boxes of each class of which none overlaps a better one by more than the threshold."""
    images, classes, _ = scores.shape
    indices = np.zeros((images, classes, max_boxes), np.int64)
    counts = np.zeros((images, classes), np.int64)
    first, second = boxes[..., :2], boxes[..., 2:]
    low, high = np.minimum(first, second), np.maximum(first, second)
    areas = np.prod(high - low, axis=-1)
    for image in range(images):
        for kind in range(classes):
            own = scores[image, kind]
            left = np.flatnonzero(own > max(own.dtype.type(score_threshold), own.dtype.type(LOWEST)))
            left = left[np.argsort(-own[left], kind="stable")]
            chosen = _greedy(low[image], high[image], areas[image], left, iou_threshold, max_boxes)
            indices[image, kind, : len(chosen)] = chosen
            counts[image, kind] = len(chosen)
    return indices, counts


def _greedy(low: Array, high: Array, areas: Array, left: Array, threshold: float, limit: int) -> list[int]:
    """Positions of boxes, of those given in the order in which they are tried. Steps as in the fragment's body."""
    chosen: list[int] = []
    limit_of_overlap = low.dtype.type(threshold)
    while len(left) and len(chosen) < limit:
        best, left = left[0], left[1:]
        chosen.append(int(best))
        sides = np.maximum(np.minimum(high[best], high[left]) - np.maximum(low[best], low[left]), 0)
        common = sides[:, 0] * sides[:, 1]
        left = left[~(common / (areas[best] + areas[left] - common) > limit_of_overlap)]
    return chosen
