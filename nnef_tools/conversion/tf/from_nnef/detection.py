"""NNEF to TensorFlow: detected objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import TfBuilder


@from_nnef("tf", "non_max_suppression")
def non_max_suppression(
    b: TfBuilder,
    boxes: Tensor,
    scores: Tensor,
    *,
    max_boxes: int,
    positions: int,
    iou_threshold: float,
    score_threshold: float,
) -> tuple[Tensor, Tensor]:
    """non_max_suppression -> NonMaxSuppressionV4 for each class of each image."""
    if scores.dtype is np.float64:
        raise Unsupported("NonMaxSuppressionV4 has single precision only")
    boxes, scores = b.cast(boxes, np.float32), b.cast(scores, np.float32)
    limits = max_boxes, iou_threshold, score_threshold

    def chosen(image: int, kind: int) -> tuple[Tensor, Tensor]:
        return suppressed(b, boxes_of(b, boxes, image), scores_of(b, scores, image, kind), *limits)

    return for_each_class(b, shape(scores)[:2], max_boxes, chosen)


def for_each_class(
    b: TfBuilder, groups: Sequence[int], most: int, chosen: Callable[[int, int], tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Indices [N, C, most] and counts [N, C], from those [most] and [] of a class of an image."""
    images, kinds = groups
    found = [chosen(image, kind) for image in range(images) for kind in range(kinds)]
    flat = [b.reshape(b.cast(indices, np.int64), [1, most]) for indices, _ in found]
    totals = [b.reshape(b.cast(count, np.int64), [1]) for _, count in found]
    joined = (parts[0] if len(parts) == 1 else b.concat(parts, 0) for parts in (flat, totals))
    indices, counts = joined
    return b.reshape(indices, [images, kinds, most]), b.reshape(counts, [images, kinds])


def boxes_of(b: TfBuilder, boxes: Tensor, image: int) -> Tensor:
    """The boxes [P, 4] of an image."""
    return b.reshape(b.slice(boxes, {0: range(image, image + 1)}), shape(boxes)[1:])


def scores_of(b: TfBuilder, scores: Tensor, image: int, kind: int) -> Tensor:
    """The scores [P], or what else there is of them, of a class of an image."""
    return b.reshape(b.slice(scores, {0: range(image, image + 1), 1: range(kind, kind + 1)}), shape(scores)[2:])


def suppressed(
    b: TfBuilder, boxes: Tensor, scores: Tensor, most: int, iou_threshold: float, score_threshold: float
) -> tuple[Tensor, Tensor]:
    """NonMaxSuppressionV4: indices [most], 0 behind those that are chosen, and how many these are."""
    overlap, least = (b.constant(np.float32(value)) for value in (iou_threshold, score_threshold))
    indices, count = b.NonMaxSuppressionV4(
        boxes, scores, b.number(most), overlap, least, pad_to_max_output_size=True, outputs=2
    )
    return known(indices, [most], np.int32), known(count, [], np.int32)
