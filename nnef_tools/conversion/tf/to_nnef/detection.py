"""Non-maximum suppression."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....ops.detection import LOWEST
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, squeeze, unsqueeze
from ...compose.detection import chosen_rows, room_for, suppressed
from ...engine.rules import Float, Int, to_nnef
from ...maths.generated import positions


def _one_class(
    b: Builder, boxes: Tensor, scores: Tensor, most: int, overlap: float, least: float
) -> tuple[Tensor, Tensor]:
    """Indices [1, 1, most] and counts [1, 1]."""
    return suppressed(b, unsqueeze(b, boxes, [0]), unsqueeze(b, scores, [0, 1]), most, overlap, least)


def _indices(b: Builder, indices: Tensor, counts: Tensor) -> Tensor:
    return b.cast(chosen_rows(b, indices, counts), np.int32)


def _padded(b: Builder, indices: Tensor, most: int) -> Tensor:
    return room_for(b, b.cast(reshape(b, indices, [shape(indices)[2]]), np.int32), most)


@to_nnef("tf", "NonMaxSuppression")
def non_max_suppression(b: Builder, boxes: Tensor, scores: Tensor, most: Int, *, iou_threshold: float = 0.5) -> Tensor:
    """NonMaxSuppression -> non_max_suppression: indices, of which those of the chosen boxes count."""
    return _indices(b, *_one_class(b, boxes, scores, most, iou_threshold, -math.inf))


@to_nnef("tf", "NonMaxSuppressionV2")
def non_max_suppression_input(b: Builder, boxes: Tensor, scores: Tensor, most: Int, iou_threshold: Float) -> Tensor:
    """NonMaxSuppressionV2: the threshold is an input."""
    return _indices(b, *_one_class(b, boxes, scores, most, iou_threshold, -math.inf))


@to_nnef("tf", "NonMaxSuppressionV3")
def non_max_suppression_scores(
    b: Builder, boxes: Tensor, scores: Tensor, most: Int, iou_threshold: Float, score_threshold: Float
) -> Tensor:
    """NonMaxSuppressionV3: scores have a threshold, too."""
    return _indices(b, *_one_class(b, boxes, scores, most, iou_threshold, score_threshold))


@to_nnef("tf", "NonMaxSuppressionV4")
def non_max_suppression_padded(
    b: Builder,
    boxes: Tensor,
    scores: Tensor,
    most: Int,
    iou_threshold: Float,
    score_threshold: Float,
    *,
    pad_to_max_output_size: bool = False,
) -> tuple[Tensor, Tensor]:
    """NonMaxSuppressionV4: also the number of chosen boxes; of a fixed size on demand."""
    indices, counts = _one_class(b, boxes, scores, most, iou_threshold, score_threshold)
    found = _padded(b, indices, most) if pad_to_max_output_size else _indices(b, indices, counts)
    return found, b.cast(reshape(b, counts, []), np.int32)


@to_nnef("tf", "NonMaxSuppressionV5")
def soft_non_max_suppression(
    b: Builder,
    boxes: Tensor,
    scores: Tensor,
    most: Int,
    iou_threshold: Float,
    score_threshold: Float,
    soft_nms_sigma: Float,
    *,
    pad_to_max_output_size: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """NonMaxSuppressionV5 without softness: also the scores of the chosen boxes."""
    if soft_nms_sigma:
        raise Unsupported(
            f"soft_nms_sigma = {soft_nms_sigma}: scores that fall with each overlap have no NNEF operation"
        )
    indices, counts = _one_class(b, boxes, scores, most, iou_threshold, score_threshold)
    total = reshape(b, counts, [])
    if not pad_to_max_output_size:
        found = _indices(b, indices, counts)
        return found, b.gather(scores, found, axis=0), b.cast(total, np.int32)
    found = _padded(b, indices, most)
    inside = b.lt(b.constant(positions(most, np.float32)), b.cast(reshape(b, counts, [1]), np.float32))
    own = b.gather(scores, b.cast(found, np.int64), axis=0)
    return found, b.select(inside, own, b.constant(0, scores.dtype)), b.cast(total, np.int32)


@to_nnef("tf", "CombinedNonMaxSuppression")
def combined_non_max_suppression(
    b: Builder,
    boxes: Tensor,
    scores: Tensor,
    most_of_class: Int,
    most: Int,
    iou_threshold: Float,
    score_threshold: Float,
    *,
    pad_per_class: bool = False,
    clip_boxes: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """CombinedNonMaxSuppression: the best of the boxes that are chosen in each class, and how many there are.

    Of equal scores the first comes first; TensorFlow leaves their order open.
    """
    images, count, groups, _ = shape(boxes)
    kinds = shape(scores)[2]
    if groups not in (1, kinds):
        raise Unsupported(f"boxes for {groups} of {kinds} classes")
    each = images * groups  # suppressions with boxes of their own
    by_class, rows = b.transpose(scores, axes=[0, 2, 1]), b.transpose(boxes, axes=[0, 2, 1, 3])
    limits = most_of_class, iou_threshold, score_threshold
    indices, counts = suppressed(
        b, reshape(b, rows, [each, count, 4]), reshape(b, by_class, [each, kinds // groups, count]), *limits
    )
    room = shape(indices)[2]
    index, counts = reshape(b, indices, [images, kinds, room]), reshape(b, counts, [images, kinds, 1])
    inside = b.lt(b.constant(positions(room, np.float32).reshape(1, 1, room)), b.cast(counts, np.float32))
    ranked = b.select(inside, b.gather_elements(by_class, index, axis=2), LOWEST)
    size = min(most, most_of_class * kinds) if pad_per_class else most
    taken = min(size, kinds * room)
    best, place = b.top_k(reshape(b, ranked, [images, kinds * room]), k=taken, axis=1)
    exists = b.gt(best, LOWEST)
    box = b.gather_elements(reshape(b, index, [images, kinds * room]), place, axis=1)
    kind = b.floor(b.div(b.cast(place, np.float32), float(room)))
    if groups > 1:
        box = b.cast(b.add(b.mul(kind, float(count)), b.cast(box, np.float32)), np.int64)
    corners = b.gather_nd(reshape(b, rows, [images, groups * count, 4]), unsqueeze(b, box, [2]), batch_dims=1)
    if clip_boxes:
        corners = b.clamp(corners, 0.0, 1.0)
    found = b.select(unsqueeze(b, exists, [2]), corners, 0.0), b.select(exists, best, 0.0), b.select(exists, kind, 0.0)
    total = squeeze(b, b.sum_reduce(b.select(exists, 1.0, 0.0), axes=[1]), [1])
    return (*(_lengthened(b, x, size) for x in found), b.cast(total, np.int32))


def _lengthened(b: Builder, x: Tensor, size: int) -> Any:
    """x with zeros behind it along the second axis."""
    more = size - shape(x)[1]
    return b.pad(x, padding=[(0, 0), (0, more), *[(0, 0)] * (len(shape(x)) - 2)]) if more > 0 else x
