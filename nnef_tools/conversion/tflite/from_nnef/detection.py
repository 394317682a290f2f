"""NNEF to TensorFlow Lite: detected objects."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import MAX_EXACT_INTEGER
from ...building.shapes import shape
from ...engine.rules import from_nnef
from ...maths.generated import positions as numbers
from ...tf.from_nnef.detection import boxes_of, for_each_class, scores_of, suppressed
from ..building import TfliteBuilder


@from_nnef("tflite", "non_max_suppression")
def non_max_suppression(
    b: TfliteBuilder,
    boxes: Tensor,
    scores: Tensor,
    *,
    max_boxes: int,
    positions: int,
    iou_threshold: float,
    score_threshold: float,
) -> tuple[Tensor, Tensor]:
    """non_max_suppression -> TOPK_V2 and, for each class of each image, NON_MAX_SUPPRESSION_V4 of boxes in order.

    LiteRT leaves the order of equal scores open, takes corners to be in order, drops a box whose overlap is the
    threshold, and repeats one that has no area.
    """
    if positions > MAX_EXACT_INTEGER:
        raise Unsupported(f"{positions} boxes are too many to number in float32")
    proper = _with_area(b, boxes)
    values, order = b.nnef.top_k(scores, k=positions, axis=2, largest=True, sorted=True)
    falling = b.constant((positions - numbers(positions)).reshape(1, 1, positions), np.float32)
    ranked = b.nnef.select(b.nnef.gt(values, score_threshold), falling, 0.0)
    places = b.constant(numbers(max_boxes), np.float32)
    above = np.nextafter(np.float32(iou_threshold), np.float32(2))

    def chosen(image: int, kind: int) -> tuple[Tensor, Tensor]:
        own = scores_of(b, order, image, kind)
        sorted_boxes = b.gather(boxes_of(b, proper, image), own, 0)
        limits = max_boxes, float(above), 0.5
        indices, count = suppressed(b, sorted_boxes, scores_of(b, ranked, image, kind), *limits)
        inside = b.nnef.lt(places, b.reshape(b.cast(count, np.float32), [1]))
        found = b.gather(own, b.cast(indices, np.int64), 0)
        return b.nnef.select(inside, found, b.constant(0, np.int64)), count

    return for_each_class(b, shape(scores)[:2], max_boxes, chosen)


def _with_area(b: TfliteBuilder, boxes: Tensor) -> Tensor:
    """The boxes with corners in order. Those without an area, which overlap none, are put apart and get one."""
    n, count = b.nnef, shape(boxes)[1]
    first, second = n.split(boxes, axis=2, ratios=[1, 1])
    low, high = n.min(first, second), n.max(first, second)
    width, height = n.split(n.sub(high, low), axis=2, ratios=[1, 1])
    farthest = n.max_reduce(n.abs(boxes), axes=[1, 2])
    unit = n.max(n.mul(farthest, 2.0**-8), 1.0)
    steps = b.constant(((numbers(count) + 1) * 4).reshape(1, count, 1), np.float32)
    corner = n.sub(n.neg(farthest), n.mul(unit, steps))
    end = n.add(corner, unit)
    apart = b.concat([corner, corner, end, end], 2)
    return n.select(n.gt(n.mul(width, height), 0.0), b.concat([low, high], 2), apart)
