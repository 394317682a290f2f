"""Resampling against torch, against the equivalent deconvolutions, and against the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nnef_tools.errors import ShapeError
from nnef_tools.ops.inference import evaluate, infer_shapes
from nnef_tools.ops.registry import find

from ..support.arrays import Array

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def signal(dims: int) -> Array:
    return np.random.default_rng(dims).normal(size=(2, 3, *[4, 5, 3][:dims])).astype(np.float32)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_multilinear_upsample_is_that_of_torch(dims: int, factor: int) -> None:
    x = signal(dims)
    factors = [factor, 2, 3][:dims]
    for method, corners in (("symmetric", False), ("aligned", True)):
        size = [n * f for n, f in zip(x.shape[2:], factors, strict=True)]
        expected = torch.nn.functional.interpolate(torch.from_numpy(x), size, mode=MODES[dims], align_corners=corners)
        result = evaluate("multilinear_upsample", [x], {"factor": factors, "method": method})
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("border", ["constant", "replicate"])
@pytest.mark.parametrize("method", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
def test_multilinear_upsample_is_a_deconvolution(factor: int, method: str, border: str) -> None:
    x = signal(2)
    if method == "symmetric" and factor % 2 == 0:
        weights = [1 - abs(k - (factor - 0.5)) / factor for k in range(2 * factor)]
        padding = (factor // 2, factor // 2)
    else:
        weights = [1 - abs(k - (factor - 1)) / factor for k in range(2 * factor - 1)]
        padding = (factor - 1, 0) if method == "asymmetric" else ((factor - 1) // 2,) * 2
    filter = np.broadcast_to(np.outer(weights, weights), (3, 1, len(weights), len(weights)))
    attribs = {"stride": [factor] * 2, "padding": [padding] * 2, "border": border, "groups": 3}
    attribs["output_shape"] = [2, 3, 4 * factor, 5 * factor]
    expected = evaluate("deconv", [x, filter.astype(np.float32), 0.0], attribs)
    result = evaluate("multilinear_upsample", [x], {"factor": [factor] * 2, "method": method, "border": border})
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_cells_are_those_of_torch(dims: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, *[6, 4, 8][:dims])).astype(np.float32)
    t = torch.from_numpy(x)
    factor = [3, 2, 4][:dims]
    average = getattr(torch.nn.functional, f"avg_pool{dims}d")
    np.testing.assert_allclose(
        evaluate("area_downsample", [x], {"factor": factor}), average(t, factor, factor).numpy(), atol=1e-6
    )
    up = torch.nn.functional.interpolate(t, scale_factor=[float(f) for f in factor], mode="nearest").numpy()
    np.testing.assert_array_equal(evaluate("nearest_upsample", [x], {"factor": factor}), up)
    np.testing.assert_array_equal(evaluate("nearest_downsample", [up], {"factor": factor}), x)


def test_single_items_stay_constant_when_aligned() -> None:
    x = np.array([[[7.0]]])
    assert evaluate("multilinear_upsample", [x], {"factor": [3], "method": "aligned"}).ravel().tolist() == [7, 7, 7]


def test_macs() -> None:
    macs = find("multilinear_upsample").macs
    for method, kernel in (("symmetric", 4 * 6), ("asymmetric", 3 * 5), ("aligned", 2 * 3)):
        assert macs([[1, 2, 4, 5]], [[1, 2, 8, 15]], {"factor": [2, 3], "method": method}) == 40 * kernel


@pytest.mark.parametrize(
    ("name", "shape", "attribs", "message"),
    [
        ("area_downsample", [1, 2, 5], {"factor": [2]}, r"'factor' \[2\] does not divide"),
        ("nearest_downsample", [1, 2, 4], {"factor": [0]}, "'factor' must be positive"),
        ("nearest_upsample", [1, 2, 4], {"factor": [2, 2]}, "'factor' must have 1 items"),
        ("nearest_upsample", [1, 2], {"factor": []}, "spatial dimensions"),
        ("multilinear_upsample", [1, 2, 4], {"factor": [2], "method": "cubic"}, "'method' must be one of"),
        ("multilinear_upsample", [1, 2, 4], {"factor": [2], "border": "ignore"}, "'border' must be one of"),
        ("multilinear_upsample", [1, 2, 1], {"factor": [2], "border": "reflect"}, "more than one reflection"),
    ],
)
def test_resampling_that_does_not_fit(name: str, shape: list[int], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer_shapes(name, [shape], attribs)
