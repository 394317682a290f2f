"""Suppression of boxes: shape rules, and results worked out by hand. Further tests: tests/conversion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ShapeError
from nnef_tools.ops.inference import infer_shapes

from .kernels import run_op

BOXES = np.array([[0, 0, 2, 2], [0, 0, 2, 1], [5, 5, 6, 6], [9, 9, 8, 8]], np.float32)[None, None]
SCORES = np.array([[0.9, 0.8, 0.7, 0.6], [0.1, 0.95, 0.2, 0.3]], np.float32)[None]
PLAIN = {"score_threshold": 0.25, "iou_threshold": 0.45, "candidates": 4, "kept": 6}


def rows(**changes: Any) -> list[list[float]]:
    """Class, score and first corner of the rows."""
    result = run_op("multiclass_nms", BOXES, SCORES, **{**PLAIN, **changes})
    return [[round(float(v), 3) for v in row[1:4]] for row in result]


def test_boxes_that_overlap_a_better_one_are_left_out() -> None:
    first = [[0, 0.9, 0], [0, 0.7, 5], [0, 0.6, 9]]
    second = [[1, 0.95, 0], [1, 0.3, 9]]
    filled = [-1, -1, -1]
    assert rows() == [*first, *second, filled]  # an empty box overlaps none
    assert rows(iou_threshold=0.6)[1] == [0, 0.8, 0]
    assert rows(background=0, kept=3) == [*second, filled]
    assert rows(kept=2) == [first[0], second[0]]
    assert rows(candidates=1, kept=2) == [first[0], second[0]]
    assert rows(score_threshold=0.92, kept=1) == [second[0]]


def test_without_any_box_there_is_the_number_of_the_image() -> None:
    boxes, scores = np.repeat(BOXES, 2, 0), np.repeat(SCORES, 2, 0)
    result = run_op("multiclass_nms", boxes, scores, **{**PLAIN, "score_threshold": 1.0, "kept": 2})
    assert result[:, 0].tolist() == [0, 1, -1, -1]
    assert np.all(result[:, 1:] == -1)


@pytest.mark.parametrize(
    ("shapes", "changes", "message"),
    [
        (([1, 3, 4, 4], [1, 2, 4]), {}, "'boxes' must have shape"),
        (([1, 4, 4], [1, 2, 4]), {}, "rank 4"),
        (([1, 1, 4, 4], [1, 2, 4]), {"candidates": 5}, "'candidates'"),
        (([1, 1, 4, 4], [1, 2, 4]), {"kept": 0}, "'kept'"),
        (([1, 1, 4, 4], [1, 2, 4]), {"kept": 1 << 30}, "limit"),
        (([1, 1, 4, 4], [1, 2, 4]), {"eta": 0.0}, "'eta'"),
    ],
)
def test_shape_errors(shapes: tuple[list[int], ...], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer_shapes("multiclass_nms", list(shapes), {**PLAIN, "background": -1, "eta": 1.0, **changes})


def test_the_first_of_equal_boxes_comes_first() -> None:
    boxes = np.array([[0, 0, 2, 2], [2, 2, 0, 1], [5, 5, 6, 6], [9, 9, 9, 9]], np.float32)[None]
    scores = np.array([[0.5, 0.9, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]], np.float32)[None]
    limits = {"positions": 4, "score_threshold": 0.1}
    indices, counts = run_op("non_max_suppression", boxes, scores, max_boxes=5, iou_threshold=0.45, **limits)
    assert indices.tolist() == [[[1, 2, 3, 0, 0], [0, 0, 0, 0, 0]]]  # a box without area overlaps none
    assert counts.tolist() == [[3, 0]]
    indices, counts = run_op("non_max_suppression", boxes, scores, max_boxes=2, iou_threshold=0.5, **limits)
    assert (indices.tolist(), counts.tolist()) == ([[[1, 0], [0, 0]]], [[2, 0]])  # their overlap is the threshold


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"positions": 3}, "'positions'"), ({"max_boxes": 0}, "'max_boxes'"), ({"max_boxes": 1 << 40}, "limit")],
)
def test_errors_of_suppression(changes: dict[str, Any], message: str) -> None:
    attribs = {"max_boxes": 2, "positions": 4, "iou_threshold": 0.5, "score_threshold": 0.0}
    with pytest.raises(ShapeError, match=message):
        infer_shapes("non_max_suppression", [[1, 4, 4], [1, 2, 4]], {**attribs, **changes})
