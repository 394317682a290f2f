"""Non-maximum suppression, on boxes with an area and distinct scores, for which LiteRT's order is defined."""

from __future__ import annotations

import numpy as np
import pytest

from ...support.lite_models import Argument, Fixed
from .checks import check, refusal


def arguments(most: int, overlap: float, *more: float) -> list[Argument]:
    random = np.random.default_rng(most)
    corner, size = random.integers(0, 9, (12, 2)) / 8, random.integers(1, 9, (12, 2)) / 8
    boxes, scores = np.concatenate([corner, corner + size], 1), random.permutation(12) / 12
    limits = [np.int32(most), np.float32(overlap), np.float32(0.2), *map(np.float32, more)]
    return [boxes.astype(np.float32), scores.astype(np.float32), *map(Fixed, limits)]


@pytest.mark.parametrize("most", [4, 20])
@pytest.mark.parametrize("overlap", [0.5, 0.25])
def test_chosen_boxes(most: int, overlap: float) -> None:
    check("NON_MAX_SUPPRESSION_V4", *arguments(most, overlap), dtypes=[np.int32, np.int32])
    check("NON_MAX_SUPPRESSION_V5", *arguments(most, overlap, 0.0), dtypes=[np.int32, np.float32, np.int32])


def test_soft_suppression_is_refused() -> None:
    types = [np.int32, np.float32, np.int32]
    assert "soft_nms_sigma = 0.5" in refusal("NON_MAX_SUPPRESSION_V5", *arguments(4, 0.5, 0.5), dtypes=types)
