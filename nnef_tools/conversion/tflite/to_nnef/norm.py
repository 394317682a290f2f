"""Normalizations."""

from __future__ import annotations

from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import shape
from ...engine.rules import to_nnef

_EPSILON = 1e-6  # the least norm that is divided by


@to_nnef("tflite", "L2_NORMALIZATION")
def l2_normalization(b: Builder, x: Tensor) -> Tensor:
    """L2_NORMALIZATION: x divided by its norm along the last axis."""
    norm = b.sqrt(b.sum_reduce(b.sqr(x), axes=[len(shape(x)) - 1]))
    return b.div(x, b.max(norm, _EPSILON))
