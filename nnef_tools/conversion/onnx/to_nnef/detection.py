"""NonMaxSuppression."""

from __future__ import annotations

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...compose.detection import chosen_rows, suppressed
from ...engine.rules import Float, Int, to_nnef
from ..common import shape


@to_nnef("onnx", "NonMaxSuppression", since=10)
def non_max_suppression(
    b: Builder,
    boxes: Tensor,
    scores: Tensor,
    max_output_boxes_per_class: Int | None = None,
    iou_threshold: Float | None = None,
    score_threshold: Float | None = None,
    *,
    center_point_box: int = 0,
) -> Tensor:
    """NonMaxSuppression -> non_max_suppression: rows of image, class and box, of which those that are chosen count."""
    if center_point_box:
        centers, sizes = b.split(boxes, axis=2, ratios=[1, 1])
        half = b.mul(sizes, 0.5)
        boxes = b.concat([b.sub(centers, half), b.add(centers, half)], axis=2)
    most = max_output_boxes_per_class or 0
    indices, counts = suppressed(b, boxes, scores, most, iou_threshold or 0.0, score_threshold)
    images, kinds, limit = shape(indices)
    known, totals = b.value(indices), b.value(counts)
    if known is not None and totals is not None:
        rows = [[*np.unravel_index(k, totals.shape), box] for k, n in enumerate(totals.flat)
                for box in known.reshape(-1, limit)[k, :n]]  # fmt: skip
        if not rows:
            raise Unsupported("no box is selected; NNEF has no empty tensors")
        return b.constant(np.asarray(rows, np.int64))
    image, kind, _ = (places.reshape(-1) for places in np.indices((images, kinds, limit)))
    chosen = chosen_rows(b, indices, counts)
    mask = b.masks.of(chosen)
    rows_of = [b.masks.held_constant(places.astype(np.int64), mask) for places in (image, kind)]
    return b.masks.declare_sound(b.stack([*rows_of, chosen], axis=1))
