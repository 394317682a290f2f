"""Non-maximum suppression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, squeeze, transpose, unsqueeze
from ...compose.detection import (
    best_of_classes,
    chosen_rows,
    corners_of_anchors,
    just_below,
    lengthened,
    room_for,
    suppressed,
)
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
    index = reshape(b, indices, [images, kinds, room])
    size = min(most, most_of_class * kinds) if pad_per_class else most
    best, box, kind, exists = best_of_classes(b, by_class, index, counts, size)
    if groups > 1:
        box = b.cast(b.add(b.mul(kind, float(count)), b.cast(box, np.float32)), np.int64)
    corners = b.gather_nd(reshape(b, rows, [images, groups * count, 4]), unsqueeze(b, box, [2]), batch_dims=1)
    if clip_boxes:
        corners = b.clamp(corners, 0.0, 1.0)
    found = b.select(unsqueeze(b, exists, [2]), corners, 0.0), b.select(exists, best, 0.0), b.select(exists, kind, 0.0)
    total = squeeze(b, b.sum_reduce(b.select(exists, 1.0, 0.0), axes=[1]), [1])
    corners, best, kind = (lengthened(b, x, size) for x in found)
    return corners, best, kind, b.cast(total, np.int32)


@to_nnef("tf", "TFLite_Detection_PostProcess")
def detection_post_process(
    b: Builder,
    encodings: Tensor,
    scores: Tensor,
    anchors: Tensor,
    *,
    max_detections: int,
    max_classes_per_detection: int,
    nms_score_threshold: float,
    nms_iou_threshold: float,
    num_classes: int,
    y_scale: float,
    x_scale: float,
    h_scale: float,
    w_scale: float,
    detections_per_class: int = 100,
    use_regular_nms: Any = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """TFLite_Detection_PostProcess, the end of detectors: boxes of anchors, non_max_suppression, the best classes.

    Of equal scores the first comes first; LiteRT leaves open their order, and what stands behind the counted boxes,
    which is 0 here. It refuses to run on boxes without an area.
    """
    background = shape(scores)[2] - num_classes
    most_of_class = min(max_detections, detections_per_class) if use_regular_nms else max_detections
    if background not in (0, 1) or num_classes < 1:
        raise Unsupported(f"num_classes = {num_classes} for scores of {shape(scores)[2]} classes")
    if shape(encodings)[0] != 1:
        raise Unsupported(f"a batch of {shape(encodings)[0]}; it must be 1")
    if min(most_of_class, max_detections, max_classes_per_detection) < 1:
        options = f"{max_detections = }, {max_classes_per_detection = }, {detections_per_class = }"
        raise Unsupported(f"no box is selected: {options}")
    if not 0 < nms_iou_threshold <= 1:
        raise Unsupported(f"{nms_iou_threshold = }; it must lie in (0, 1]")
    boxes = corners_of_anchors(b, encodings, anchors, (y_scale, x_scale, h_scale, w_scale))
    if background:
        scores = b.slice(scores, axes=[2], begin=[1], end=[0])
    limits = most_of_class, nms_iou_threshold, just_below(nms_score_threshold)
    if use_regular_nms:
        found, count = _best_of_each_class(b, boxes, scores, max_detections, *limits)
    else:
        found, count = _classes_of_best_boxes(b, boxes, scores, max_classes_per_detection, *limits)
    room = max_detections * max_classes_per_detection
    corners, kinds, values = (lengthened(b, x, room) for x in found)
    return corners, kinds, values, count


def _best_of_each_class(
    b: Builder, boxes: Tensor, scores: Tensor, most: int, most_of_class: int, overlap: float, least: float
) -> tuple[Sequence[Tensor], Tensor]:
    """Boxes [1, K, 4], classes and scores [1, K] of the best boxes that are chosen in each class; their number."""
    by_class = b.transpose(scores, axes=[0, 2, 1])
    indices, counts = suppressed(b, boxes, by_class, most_of_class, overlap, least)
    best = best_of_classes(b, by_class, indices, counts, most)
    corners = b.gather(squeeze(b, boxes, [0]), best.box, axis=0)
    exists = best.exists
    found = (
        b.select(unsqueeze(b, exists, [2]), corners, 0.0),
        b.select(exists, best.kind, 0.0),
        b.select(exists, best.score, 0.0),
    )
    return found, squeeze(b, b.sum_reduce(b.select(exists, 1.0, 0.0), axes=[1]), [1])


def _classes_of_best_boxes(
    b: Builder, boxes: Tensor, scores: Tensor, kinds: int, most: int, overlap: float, least: float
) -> tuple[Sequence[Tensor], Tensor]:
    """Boxes [1, K * kinds, 4], classes and scores [1, K * kinds]: the best classes of each chosen box; their number."""
    rows = squeeze(b, scores, [0])
    best = transpose(b, b.max_reduce(rows, axes=[1]), [1, 0])
    indices, counts = suppressed(b, boxes, unsqueeze(b, best, [0]), most, overlap, least)
    room, known = shape(indices)[2], min(kinds, shape(rows)[1])
    index = reshape(b, indices, [room])
    values, order = b.top_k(b.gather(rows, index, axis=0), k=known, axis=1)
    count = b.cast(reshape(b, counts, [1]), np.float32)
    exists = b.lt(b.constant(positions(room, np.float32).reshape(room, 1)), count)
    corners = unsqueeze(b, b.select(exists, b.gather(squeeze(b, boxes, [0]), index, axis=0), 0.0), [1])
    if known > 1:
        corners = b.tile(corners, repeats=[1, known, 1])
    parts = corners, b.select(exists, b.cast(order, np.float32), 0.0), b.select(exists, values, 0.0)
    wide = [lengthened(b, x, kinds) for x in parts]
    return [reshape(b, x, [1, room * kinds, *shape(x)[2:]]) for x in wide], count
