"""Non-maximum suppression, whose results have a fixed size in TensorFlow Lite."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape, unsqueeze
from ...compose.detection import room_for, suppressed
from ...engine.rules import Float, Int, to_nnef


@to_nnef("tflite", "NON_MAX_SUPPRESSION_V4")
def non_max_suppression(
    b: Builder, boxes: Tensor, scores: Tensor, most: Int, iou_threshold: Float, score_threshold: Float
) -> tuple[Tensor, Tensor]:
    """NON_MAX_SUPPRESSION_V4 -> non_max_suppression.

    Of equal scores the first comes first, which LiteRT leaves open; it also repeats boxes that have no area.
    """
    if not 0 < iou_threshold <= 1:
        raise Unsupported(f"iou_threshold = {iou_threshold}")
    below = float(np.nextafter(np.float32(iou_threshold), np.float32(0)))  # LiteRT drops an overlap of the threshold
    indices, counts = suppressed(
        b, unsqueeze(b, boxes, [0]), unsqueeze(b, scores, [0, 1]), most, below, score_threshold
    )
    return room_for(b, b.cast(reshape(b, indices, [shape(indices)[2]]), np.int32), most), b.cast(
        reshape(b, counts, []), np.int32
    )


@to_nnef("tflite", "NON_MAX_SUPPRESSION_V5")
def soft_non_max_suppression(
    b: Builder,
    boxes: Tensor,
    scores: Tensor,
    most: Int,
    iou_threshold: Float,
    score_threshold: Float,
    soft_nms_sigma: Float,
) -> tuple[Tensor, Tensor, Tensor]:
    """NON_MAX_SUPPRESSION_V5 without softness: also the scores of the chosen boxes, 0 behind them."""
    if soft_nms_sigma:
        raise Unsupported(
            f"soft_nms_sigma = {soft_nms_sigma}: scores that fall with each overlap have no NNEF operation"
        )
    indices, count = non_max_suppression(b, boxes, scores, most, iou_threshold, score_threshold)
    inside = b.lt(b.constant(np.arange(most), np.float32), b.cast(reshape(b, count, [1]), np.float32))
    return indices, b.select(inside, b.gather(scores, b.cast(indices, np.int64), axis=0), 0.0), count
