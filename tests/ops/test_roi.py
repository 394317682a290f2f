"""Regions of interest against the definitions written as loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ExecutionError, ShapeError
from nnef_tools.ops.inference import evaluate, infer_shapes

from ..support.arrays import Array

X = np.random.default_rng(3).normal(size=(2, 3, 9, 7))
# Inside; over the edge; smaller than the cells; empty.
ROIS = np.array([[1, 2, 7, 6.4], [-2, 3, 5, 9], [4, 1, 6, 2], [3, 3, 3, 3], [0.5, 0, 8.7, 7]])
BATCH = np.array([[1], [0], [1], [0], [0]])


def pool_loops(reduce: Any, output_size: list[int]) -> Array:
    result = np.zeros((len(ROIS), 3, *output_size))
    for n, roi in enumerate(ROIS):
        corner = [math.floor(v + 0.5) for v in roi]
        for c, *cell in np.ndindex(3, *output_size):
            ranges = []
            for a, k in enumerate(cell):
                h = corner[2 + a] - corner[a]
                start = corner[a] + k * (h // output_size[a])
                stop = start + math.ceil(h / output_size[a])
                ranges.append([i for i in range(start, stop) if 0 <= i < X.shape[2 + a]])
            values = [X[(BATCH[n, 0], c, *i)] for i in itertools.product(*ranges)]
            result[(n, c, *cell)] = reduce(values) if values else 0.0
    return result


def resample_loops(output_size: list[int], method: str) -> Array:
    result = np.zeros((len(ROIS), 3, *output_size))
    for n, c, *i in np.ndindex(*result.shape):
        value = 0.0
        corners = []
        for a, k in enumerate(i):
            low, h, size = ROIS[n, a], ROIS[n, 2 + a] - ROIS[n, a], output_size[a]
            if method == "symmetric":
                u = low + (k + 0.5) * h / size - 0.5
            elif method == "asymmetric":
                u = low + k * h / size
            else:
                u = low + (k * (h - 1) / (size - 1) if size > 1 else 0)
            u = min(max(u, 0), X.shape[2 + a] - 1)
            j = math.floor(u)
            corners.append([(j, 1 - (u - j)), (min(j + 1, X.shape[2 + a] - 1), u - j)])
        for (y, wy), (x, wx) in itertools.product(*corners):
            value += X[BATCH[n, 0], c, y, x] * wy * wx
        result[(n, c, *i)] = value
    return result


@pytest.mark.parametrize("output_size", [[1, 1], [2, 3], [3, 2]])
def test_roi_pools(output_size: list[int]) -> None:
    attribs = {"output_size": output_size}
    for name, reduce in (("avg_roi_pool", np.mean), ("max_roi_pool", max)):
        np.testing.assert_allclose(evaluate(name, [X, ROIS, BATCH], attribs), pool_loops(reduce, output_size))
        np.testing.assert_allclose(evaluate(name, [X, ROIS, BATCH[:, 0]], attribs), pool_loops(reduce, output_size))


@pytest.mark.parametrize("method", ["symmetric", "asymmetric", "aligned"])
@pytest.mark.parametrize("output_size", [[1, 1], [2, 3], [4, 2]])
def test_roi_resample(output_size: list[int], method: str) -> None:
    attribs = {"output_size": output_size, "method": method}
    result = evaluate("roi_resample", [X, ROIS, BATCH], attribs)
    np.testing.assert_allclose(result, resample_loops(output_size, method), atol=1e-12)


@pytest.mark.parametrize("method", ["symmetric", "asymmetric", "aligned"])
def test_roi_aligns(method: str) -> None:
    attribs = {"output_size": [2, 1], "sampling_rate": [2, 3], "resize_method": method}
    fine = resample_loops([4, 3], method).reshape(len(ROIS), 3, 2, 2, 1, 3)
    np.testing.assert_allclose(evaluate("avg_roi_align", [X, ROIS, BATCH], attribs), fine.mean((3, 5)), atol=1e-12)
    np.testing.assert_allclose(evaluate("max_roi_align", [X, ROIS, BATCH], attribs), fine.max((3, 5)), atol=1e-12)


def test_whole_map_resampled_to_its_multiple_is_an_upsampling() -> None:
    x = X.astype(np.float32)
    rois, batch = np.array([[0, 0, 9, 7]] * 2, np.float32), np.array([0, 1])
    for method in ("symmetric", "asymmetric", "aligned"):
        result = evaluate("roi_resample", [x, rois, batch], {"output_size": [18, 21], "method": method})
        assert result.dtype == np.float32
        expected = evaluate("multilinear_upsample", [x], {"factor": [2, 3], "method": method})
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_one_and_three_dimensions() -> None:
    x = np.arange(6.0).reshape(1, 1, 6)
    rois = np.array([[0.0, 6.0]])
    result = evaluate("avg_roi_pool", [x, rois, np.array([0])], {"output_size": [3]})
    assert result.ravel().tolist() == [0.5, 2.5, 4.5]
    cube = np.arange(64.0).reshape(1, 1, 4, 4, 4)
    corner = np.array([[0, 0, 0, 4, 4, 4.0]])
    result = evaluate("max_roi_pool", [cube, corner, np.array([0])], {"output_size": [2, 1, 1]})
    assert result.ravel().tolist() == [31, 63]


@pytest.mark.parametrize(
    ("shapes", "attribs", "message"),
    [
        (([1, 2, 5, 5], [3, 2], [3, 1]), {}, r"'rois' must have shape \[N, 4\]"),
        (([1, 2, 5, 5], [3, 4], [2, 1]), {}, r"'batch_index' must have shape \[3, 1\] or \[3\]"),
        (([1, 2, 5, 5], [3, 4], [3, 1]), {"output_size": [2]}, "'output_size' must have an item"),
        (([1, 2, 5, 5], [3, 4], [3, 1]), {"output_size": [2, 0]}, "'output_size' must be positive"),
        (([1, 2], [3, 0], [3, 1]), {"output_size": []}, "spatial dimensions"),
    ],
)
def test_regions_that_do_not_fit(shapes: tuple[list[int], ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer_shapes("avg_roi_pool", shapes, {"output_size": [2, 2], **attribs})


def test_other_arguments_that_do_not_fit() -> None:
    shapes = ([1, 2, 5, 5], [3, 4], [3, 1])
    with pytest.raises(ShapeError, match="'method' must be one of"):
        infer_shapes("roi_resample", shapes, {"output_size": [2, 2], "method": "x"})
    with pytest.raises(ShapeError, match="'resize_method' must be one of"):
        infer_shapes("avg_roi_align", shapes, {"output_size": [2, 2], "sampling_rate": [1, 1], "resize_method": "x"})
    with pytest.raises(ShapeError, match="'sampling_rate' must have an item"):
        infer_shapes("avg_roi_align", shapes, {"output_size": [2, 2], "sampling_rate": [1]})
    with pytest.raises(ExecutionError, match=r"'batch_index' must lie in \[0, 2\), got 0 to 2"):
        evaluate("max_roi_pool", [X, ROIS[:2], np.array([0, 2])], {"output_size": [1, 1]})
