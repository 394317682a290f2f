"""Resampling and `grid_sample` against torch, onnxruntime, the equivalent deconvolutions, and the formula."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from nnef_tools.errors import ShapeError
from nnef_tools.ops.inference import evaluate, infer_shapes
from nnef_tools.ops.registry import find
from nnef_tools.ops.resize import AxisMap

from ..support.arrays import Array
from ..support.onnx_models import run_node
from .kernels import infer, run_op

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


COORDINATES = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]


NEAREST = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


SIZES = [(10, 14), (3, 4), (8, 3), (1, 1), (5, 7)]


SCALES = [(2.0, 2.0), (0.6, 0.8), (1.5, 2.3), (0.5, 1.0)]


CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def onnx_resize(engine: str, x: np.ndarray, *, sizes: Any = None, scales: Any = None, **attribs: Any) -> np.ndarray:
    return run_node(
        "Resize",
        [
            x,
            None,
            None if scales is None else np.array([1, 1, *scales], np.float32),
            None if sizes is None else np.array([*x.shape[:2], *sizes], np.int64),
        ],
        reference=engine == "reference",
        **attribs,
    )[0]


def image(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(1, 2, 5, 7)).astype(np.float32)


def float32(scales: Any) -> list[float]:
    return [float(np.float32(scale)) for scale in scales]


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", NEAREST)
def test_resize_nearest(coordinates: str, rounding: str, rng: np.random.Generator) -> None:
    x = image(rng)
    names = {"mode": "nearest", "nearest_mode": rounding}
    for size in SIZES:
        expected = onnx_resize("reference", x, sizes=size, coordinate_transformation_mode=coordinates, **names)
        result = run_op("resize", x, output_size=list(size), coordinate_mode=coordinates, **names)
        np.testing.assert_array_equal(result, expected)
    for scales in SCALES:
        if (coordinates, rounding) == ("half_pixel_symmetric", "floor"):
            continue  # coordinates that are whole numbers but for rounding errors: engines differ
        expected = onnx_resize("onnxruntime", x, scales=scales, coordinate_transformation_mode=coordinates, **names)
        size = list(expected.shape[2:])
        result = run_op("resize", x, output_size=size, scales=float32(scales), coordinate_mode=coordinates, **names)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize(("mode", "exclude"), [("linear", False), ("cubic", False), ("cubic", True)])
def test_resize_smooth(coordinates: str, mode: str, exclude: bool, rng: np.random.Generator) -> None:
    x = image(rng)
    theirs = {"coordinate_transformation_mode": coordinates, "exclude_outside": int(exclude), "cubic_coeff_a": -0.6}
    ours = {"mode": mode, "coordinate_mode": coordinates, "exclude_outside": exclude, "cubic_coeff_a": -0.6}
    for size in SIZES:
        expected = onnx_resize("onnxruntime", x, sizes=size, mode=mode, **theirs)
        np.testing.assert_allclose(run_op("resize", x, output_size=list(size), **ours), expected, **CLOSE)
    for scales in SCALES:
        expected = onnx_resize("onnxruntime", x, scales=scales, mode=mode, **theirs)
        result = run_op("resize", x, output_size=list(expected.shape[2:]), scales=float32(scales), **ours)
        np.testing.assert_allclose(result, expected, **CLOSE)


@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric"])
@pytest.mark.parametrize(("mode", "exclude"), list(product(["linear", "cubic"], [False, True])))
def test_resize_antialias(coordinates: str, mode: str, exclude: bool, rng: np.random.Generator) -> None:
    x = image(rng)
    for sizes, scales in [((3, 4), None), ((2, 9), None), ((10, 14), None), (None, (0.6, 0.8)), (None, (0.3, 0.5))]:
        expected = onnx_resize(
            "reference", x, sizes=sizes, scales=scales, mode=mode, antialias=1, exclude_outside=int(exclude),
            coordinate_transformation_mode=coordinates,
        )  # fmt: skip
        result = run_op(
            "resize", x, output_size=list(expected.shape[2:]), scales=float32(scales or ()), mode=mode, antialias=True,
            exclude_outside=exclude, coordinate_mode=coordinates,
        )  # fmt: skip
        np.testing.assert_allclose(result, expected, **CLOSE)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("roi", [(0.2, 0.1, 0.9, 0.7), (-0.2, 0.1, 0.9, 1.3)])
@pytest.mark.parametrize("size", [(4, 6), (1, 6)])
def test_resize_crop(mode: str, roi: tuple[float, ...], size: tuple[int, ...], rng: np.random.Generator) -> None:
    x = image(rng)
    inputs = [x, np.array([0, 0, *roi[:2], 1, 1, *roi[2:]], np.float32), None, np.array([1, 2, *size])]
    common = {"mode": mode, "extrapolation_value": 9.0}
    names = {"coordinate_transformation_mode": "tf_crop_and_resize", **common}
    result = run_op(
        "resize", x, output_size=list(size), coordinate_mode="tf_crop_and_resize", roi=float32(roi), **common
    )
    np.testing.assert_allclose(result, run_node("Resize", inputs, **names)[0], **CLOSE)
    full = run_op(
        "resize", x, output_size=[1, 2, *size], coordinate_mode="tf_crop_and_resize",
        roi=float32([0, 0, *roi[:2], 1, 1, *roi[2:]]), **common,
    )  # fmt: skip
    np.testing.assert_array_equal(full, result)


def test_resize_old_nearest(rng: np.random.Generator) -> None:
    x = image(rng)
    inputs = [x, np.zeros(0, np.float32), np.array([1, 1, 2, 3], np.float32)]
    names = {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"}
    (expected,) = run_node("Resize", inputs, opset=11, **names)
    result = run_op(
        "resize", x, output_size=[10, 21], scales=[2.0, 3.0], coordinate_mode="tf_half_pixel_for_nn",
        nearest_mode="floor",
    )  # fmt: skip
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("shape", [(1, 2, 6), (1, 2, 4, 5, 6)])
def test_resize_of_other_ranks(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=shape).astype(np.float32)
    size = [2 * n + 1 for n in shape[2:]]
    mode = {3: "linear", 5: "trilinear"}[len(shape)]
    expected = torch.nn.functional.interpolate(torch.from_numpy(x), size, mode=mode).numpy()
    np.testing.assert_allclose(run_op("resize", x, output_size=size, mode="linear"), expected, **CLOSE)


def test_resize_keeps_the_float_type(rng: np.random.Generator) -> None:
    for mode in ("nearest", "linear"):
        result = run_op("resize", image(rng).astype(np.float16), output_size=[3, 3], mode=mode)
        assert result.dtype == np.float16


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(("mode", "rank"), [("nearest", 2), ("linear", 2), ("cubic", 2), ("nearest", 3), ("linear", 3)])
def test_grid_sample(mode: str, rank: int, padding: str, align: bool, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4, 5, 6)[: 2 + rank]).astype(np.float32)
    grid = rng.uniform(-2.6, 2.6, (2, 7, 4, 3, 3)[: 1 + rank] + (rank,)).astype(np.float32)
    common = {"mode": mode, "padding_mode": padding}
    result = run_op("grid_sample", x, grid, align_corners=align, **common)
    expected = run_node("GridSample", [x, grid], align_corners=int(align), **common)[0]
    np.testing.assert_allclose(result, expected, **CLOSE)
    name = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}[mode]
    also = torch.nn.functional.grid_sample(torch.from_numpy(x), torch.from_numpy(grid), name, padding, align)
    np.testing.assert_allclose(result, also.numpy(), **CLOSE)


def test_grid_sample_of_a_single_element() -> None:
    x = np.full((1, 1, 1, 1), 3, np.float32)
    grid = np.array([[[[0.0, 0.0], [5.0, -4.0]]]], np.float32)
    for mode, padding in product(["nearest", "linear", "cubic"], ["border", "reflection"]):
        for align in (False, True):
            result = run_op("grid_sample", x, grid, mode=mode, padding_mode=padding, align_corners=align)
            np.testing.assert_allclose(result, [[[[3, 3]]]])


@pytest.mark.parametrize(
    ("name", "shapes", "attribs", "message"),
    [
        ("resize", ([1, 2, 5],), {"output_size": []}, "'output_size' must have 1 to 3 items"),
        ("resize", ([1, 2, 5],), {"output_size": [0]}, "'output_size' must be positive"),
        ("resize", ([1, 2, 0],), {"output_size": [2]}, "cannot resize the empty shape"),
        ("resize", ([2],), {"output_size": [2], "scales": [1.0, 1.0]}, "'scales' has more items"),
        ("resize", ([2],), {"output_size": [2], "scales": [0.0]}, "'scales' must be positive"),
        ("resize", ([2],), {"output_size": [2], "mode": "area"}, "'mode' must be one of nearest, linear, cubic"),
        ("resize", ([2],), {"output_size": [2], "coordinate_mode": "tf_crop_and_resize"}, "'roi' must have 2 items"),
        ("resize", ([2],), {"output_size": [2], "nearest_mode": "x"}, "'nearest_mode'"),
        ("resize", ([2],), {"output_size": [2], "coordinate_mode": "x"}, "'coordinate_mode'"),
        ("grid_sample", ([1, 2, 3, 4], [1, 5, 5, 3]), {}, "'grid' must be \\[1, ..., 2\\] of rank 4"),
        ("grid_sample", ([1, 2, 3, 4], [2, 5, 5, 2]), {}, "'grid' must be"),
        ("grid_sample", ([1, 2], [1, 2]), {}, "'input' must be \\[N, C, spatial...\\]"),
        ("grid_sample", ([1, 2, 3, 4], [1, 5, 5, 2]), {"padding_mode": "wrap"}, "'padding_mode' must be one of"),
    ],
)
def test_errors(name: str, shapes: tuple[list[int], ...], attribs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        infer(name, *shapes, **attribs)


def test_places_halfway_by_hand() -> None:
    """Rounded to even first, then reflected, in the type of the grid: 0.2 in float32 is halfway between 2 and 3."""
    x = np.arange(5, dtype=np.float32).reshape(1, 1, 1, 5)
    place = np.asarray([-1.5, -0.5, 0.5, 1.5, 2.5, 4.5, 5.5], np.float32)
    grid = np.stack([(2 * place + 1) / 5 - 1, np.zeros_like(place)], axis=-1)[None, None]
    result = run_op("grid_sample", x, grid.astype(np.float32), mode="nearest", padding_mode="reflection")
    assert result.reshape(-1).tolist() == [1, 0, 0, 2, 2, 4, 3]
    zeros = run_op("grid_sample", x, grid.astype(np.float32), mode="nearest")
    assert zeros.reshape(-1).tolist() == [0, 0, 0, 2, 2, 4, 0]


def test_places_that_are_elements_by_hand() -> None:
    """(2 i + 1) 9 / 42 - 1/2 is just 7 for i = 17, which floating-point numbers of the factor 21 / 9 miss."""
    x = np.arange(9, dtype=np.float32)
    for mode in ("floor", "ceil"):
        result = run_op("resize", x, output_size=[21], coordinate_mode="half_pixel", nearest_mode=mode)
        assert result[17] == 7


def test_an_axis_that_keeps_its_size_stays() -> None:
    """As in onnxruntime; the formula of 'tf_half_pixel_for_nn' would move it by half an element."""
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    attribs = {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "ceil"}
    given = [x, None, None, np.asarray([1, 1, 3, 8])]
    expected = run_node("Resize", given, opset=13, **attribs)[0]
    result = run_op("resize", x, output_size=[3, 8], coordinate_mode="tf_half_pixel_for_nn", nearest_mode="ceil")
    assert np.array_equal(result, expected)
    assert result[0, 0, :, 0].tolist() == [1, 5, 9]


def test_extents_are_checked_without_the_positions_of_all_results() -> None:
    """They would take gigabytes."""
    with pytest.raises(ShapeError, match="more than one reflection"):
        infer_shapes("multilinear_upsample", [[1, 1, 1]], {"factor": [10**9], "border": "reflect"})


def test_maps_of_axes_are_merged_without_changing_them(rng: np.random.Generator) -> None:
    for taps in (1, 2, 5):
        positions, weights = rng.integers(0, 4, [7, taps]), rng.integers(-2, 3, [7, taps]).astype(float)
        axis_map = AxisMap(4, positions, weights)
        merged = axis_map.merged()
        expected = sum(weights[:, k, None] * np.eye(4)[positions[:, k]] for k in range(taps))
        np.testing.assert_array_equal(axis_map.matrix(), expected)
        np.testing.assert_array_equal(merged.matrix(), expected)
        assert merged.weights is not None
        assert merged.weights.shape[1] == max(np.count_nonzero(expected, axis=1).max(), 1)


def test_maps_that_leave_an_axis_as_it_is() -> None:
    order = np.arange(3)[:, None]
    halves = AxisMap(3, np.hstack([order, order]), np.full([3, 2], 0.5))
    assert halves.is_identity() and AxisMap(3, order).is_identity()
    assert not AxisMap(4, order).is_identity()
    assert not AxisMap(3, order[::-1]).is_identity()
    assert not AxisMap(3, order, np.full([3, 1], 0.5)).is_identity()
