"""Non-maximum suppression, in terms that several dialects share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ...ops.detection import LOWEST
from ..building.nnef import Builder
from ..building.shapes import reshape, shape
from ..maths.generated import filled, positions


def suppressed(
    b: Builder, boxes: Tensor, scores: Tensor, limit: int, iou_threshold: float, score_threshold: float | None
) -> tuple[Tensor, Tensor]:
    """non_max_suppression of boxes [N, P, 4] and scores [N, C, P]: indices [N, C, limit] and counts [N, C].

    score_threshold: None if every box may be chosen. Rows of boxes may have a mask.
    """
    count = shape(scores)[2]
    if not 0 <= iou_threshold <= 1:
        raise Unsupported(f"an overlap of {iou_threshold}; it must lie in [0, 1]")
    if limit < 1 or count < 1:
        raise Unsupported("no box is selected; NNEF has no empty tensors")
    mask = b.masks.of(scores).get(2) or b.masks.of(boxes).get(1)
    if set(b.masks.of(scores)) - {2} or set(b.masks.of(boxes)) - {1}:
        raise b.masks.refuse("they are batches or classes of boxes")
    if score_threshold is None:  # scores that are infinitely low pass, too
        scores, score_threshold = b.max(scores, float(np.nextafter(np.float32(LOWEST), np.float32(0)))), LOWEST
    if mask is not None:
        scores = b.masks.masked(b.masks.mark(b.masks.held(scores), {2: mask}), [2], LOWEST)
    indices, counts = b.plain(
        "non_max_suppression",
        boxes,
        scores,
        max_boxes=min(limit, count),
        positions=count,
        iou_threshold=iou_threshold,
        score_threshold=max(score_threshold, LOWEST),
    )
    if mask is not None:
        flat = b.plain("gather", b.masks.rank(mask), reshape(b, indices, [indices.volume or 0]), axis=0)
        indices = reshape(b, flat, shape(indices))
    return indices, counts


def chosen_rows(b: Builder, indices: Tensor, counts: Tensor) -> Tensor:
    """The chosen boxes of all classes and images as rows, with a mask of those that there are."""
    images, kinds, most = shape(indices)
    flat = reshape(b, indices, [images * kinds * most])
    if images * kinds == 1:
        mask = b.masks.leading(reshape(b, counts, []), most)
    else:
        places = b.constant(positions(most, np.float32).reshape(1, 1, most))
        inside = b.lt(places, b.cast(reshape(b, counts, [images, kinds, 1]), np.float32))
        mask = b.masks.mask_of(inside, images * kinds * most)
    return b.masks.mark(b.masks.declare_sound(b.masks.held(flat)), {0: mask})


def limit_of(value: Any) -> int:
    """The number of boxes that a model asks for; Unsupported if it is not a single one."""
    array = np.asarray(value)
    if array.size != 1:
        raise Unsupported(f"a number of boxes of shape {list(array.shape)}")
    return int(array.reshape(-1)[0])


def room_for(b: Builder, indices: Tensor, most: int) -> Tensor:
    """Indices with zeros behind them, up to a number of boxes that may exceed that of the candidates."""
    more = most - shape(indices)[0]
    if more <= 0:
        return indices
    result: Tensor = b.concat([indices, b.constant(filled([more], 0, indices.dtype))], axis=0)
    return result
