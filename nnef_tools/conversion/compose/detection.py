"""Non-maximum suppression, in terms that several dialects share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ...ops.detection import LOWEST
from ..building.nnef import Builder
from ..building.shapes import reshape, shape, unsqueeze
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


class Best(NamedTuple):
    """The best of the chosen boxes of all classes, `[N, K]` each.

    box: of all P. kind: its class, as a real number. exists: is there such a box? Of equal scores the first comes
    first.
    """

    score: Tensor
    box: Tensor
    kind: Tensor
    exists: Tensor


def best_of_classes(b: Builder, scores: Tensor, indices: Tensor, counts: Tensor, most: int) -> Best:
    """scores `[N, C, P]` of all boxes, indices `[N, C, M]` and counts of the chosen ones. K: most, at most C * M."""
    images, kinds, room = shape(indices)
    inside = b.lt(
        b.constant(positions(room, np.float32).reshape(1, 1, room)),
        b.cast(reshape(b, counts, [images, kinds, 1]), np.float32),
    )
    ranked = b.select(inside, b.gather_elements(scores, indices, axis=2), LOWEST)
    best, place = b.top_k(reshape(b, ranked, [images, kinds * room]), k=min(most, kinds * room), axis=1)
    exists = b.gt(best, LOWEST)
    box = b.gather_elements(reshape(b, indices, [images, kinds * room]), place, axis=1)
    return Best(best, box, b.floor(b.div(b.cast(place, np.float32), float(room))), exists)


def lengthened(b: Builder, x: Tensor, size: int) -> Tensor:
    """x with zeros behind it along the second axis, up to a size."""
    more = size - shape(x)[1]
    if more <= 0:
        return x
    result: Tensor = b.pad(x, padding=[(0, 0), (0, more), *[(0, 0)] * (len(shape(x)) - 2)])
    return result


def corners_of_anchors(b: Builder, encodings: Tensor, anchors: Tensor, scales: Sequence[float]) -> Tensor:
    """Boxes [1, P, 4] (least y, least x, greatest y, greatest x) from anchors [P, 4] and encodings [1, P, 4 or more].

    Both are y, x, height, width; the encoding is relative to the anchor, times the scales, and logarithmic for sizes.
    """
    steps = b.constant(np.asarray(scales, np.float32).reshape(1, 1, 4))
    scaled = b.div(b.slice(encodings, axes=[2], begin=[0], end=[4]), steps)
    shift, growth = b.split(scaled, axis=2, ratios=[1, 1])
    center, size = b.split(unsqueeze(b, anchors, [0]), axis=2, ratios=[1, 1])
    middle = b.add(b.mul(shift, size), center)
    half = b.mul(b.mul(b.exp(growth), 0.5), size)
    result: Tensor = b.concat([b.sub(middle, half), b.add(middle, half)], axis=2)
    return result


def just_below(threshold: float) -> float:
    """The number that scores of at least the threshold exceed, and no others."""
    if threshold == 0:  # runtimes take subnormal numbers for 0
        return -float(np.finfo(np.float32).tiny)
    return float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))


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
