"""Upsample and Resize, compared with onnxruntime, or with the reference of onnx where that lacks a case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import Const, const, node_model, run_unoptimized
from .checks import check, check_node, convert

Random = Callable[..., Array]
EMPTY = const([], np.float32)
COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def scales(*items: float) -> Const:
    return const(items, np.float32)


def resize_ops(x: Array, factors: Const | None = None, sizes: Const | None = None, **attribs: Any) -> list[str]:
    """The operations of a Resize-19 that is checked against onnxruntime."""
    inputs = [x, None, factors] if sizes is None else [x, None, None, sizes]
    return check_node("Resize", inputs, opset=19, rtol=1e-4, atol=1e-5, **attribs).ops


def test_upsample_1(random: Random) -> None:
    x = random(1, 2, 3, 4)
    model = node_model("Upsample", [x], opset=1, height_scale=2.0, width_scale=3.0, mode="nearest")
    expected = x.repeat(2, axis=2).repeat(3, axis=3)
    model.graph.output[0].type.tensor_type.elem_type = 1
    check(model, [x], ops=["nearest_upsample"], expected=[expected])


@pytest.mark.parametrize(
    ("mode", "factors", "ops"),
    [
        ("nearest", [1.0, 1.0, 2.0, 3.0], ["nearest_upsample"]),
        ("nearest", [1.0, 1.0, 1.5, 2.6], ["gather", "gather"]),
        ("nearest", [1.0, 2.0, 1.0, 2.0], ["gather", "gather"]),
        ("linear", [1.0, 1.0, 2.0, 3.0], ["multilinear_upsample"]),
        ("linear", [1.0, 1.0, 1.0, 1.0], ["copy"]),
        ("linear", [1.0, 1.0, 1.5, 1.0], ["gather", "mul", "gather", "mul", "add"]),
    ],
)
def test_upsample_7_and_9(random: Random, mode: str, factors: list[float], ops: list[str]) -> None:
    x = random(1, 2, 3, 5)
    check_node("Upsample", [x], opset=7, mode=mode, scales=factors, ops=ops)
    check_node("Upsample", [x, scales(*factors)], opset=9, mode=mode, ops=ops)


@pytest.mark.parametrize(
    ("mode", "factors", "ops"),
    [
        ("nearest", [1.0, 1.0, 0.6, 0.6], ["gather", "gather"]),
        ("nearest", [1.0, 1.0, 0.5, 0.5], ["nearest_downsample"]),
        ("nearest", [1.0, 1.0, 0.5, 2.0], ["gather", "gather"]),
        ("linear", [1.0, 1.0, 0.5, 0.5], ["nearest_downsample"]),
    ],
)
def test_resize_10(random: Random, mode: str, factors: list[float], ops: list[str]) -> None:
    check_node("Resize", [random(1, 2, 4, 8), scales(*factors)], opset=10, mode=mode, ops=ops)


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_nearest_takes_the_elements_and_ties_of_onnxruntime(coordinates: str, rounding: str) -> None:
    for extent in range(1, 12):
        x = np.arange(extent, dtype=np.float32)
        attribs = {"mode": "nearest", "coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
        for size in (1, 2, 3, 4, 5, 7, 8, 11, 16, 19, 26):
            model = node_model("Resize", [x, None, None, const([size])], opset=19, **attribs)
            np.testing.assert_array_equal(convert(model, [x]).outputs[0], run_unoptimized(model, {"x0": x})[0])
        for scale in (0.3, 0.5, 0.7, 0.8, 1.2, 1.5, 1.6, 2.0, 2.5):
            if int(np.float32(scale) * np.float32(extent)) in (0, extent):
                continue  # onnxruntime copies what keeps its shape, whatever the scale
            if coordinates == "align_corners" and extent * scale % 1 > 1e-6:
                continue  # refused
            model = node_model("Resize", [x, None, scales(scale)], opset=19, **attribs)
            np.testing.assert_array_equal(convert(model, [x]).outputs[0], run_unoptimized(model, {"x0": x})[0])


@pytest.mark.parametrize(
    ("coordinates", "method"),
    [("half_pixel", "symmetric"), ("asymmetric", "asymmetric"), ("align_corners", "aligned")],
)
def test_linear_by_integer_factors_is_standard(random: Random, coordinates: str, method: str) -> None:
    x = random(2, 3, 4, 5)
    model = node_model(
        "Resize", [x, None, None, const([2, 3, 8, 15])], mode="linear", coordinate_transformation_mode=coordinates
    )
    result = check(model, [x], ops=["multilinear_upsample"], rtol=1e-4, atol=1e-5)
    op = result.graph.operations[1]
    assert op.attribs == {"factor": [2, 3], "method": method, "border": "replicate"}


def test_linear_halving_is_a_mean(random: Random) -> None:
    assert resize_ops(random(1, 2, 4, 8), scales(1, 1, 0.5, 0.5), mode="linear") == ["area_downsample"]


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_interpolation(random: Random, mode: str, coordinates: str) -> None:
    attribs = {"mode": mode, "coordinate_transformation_mode": coordinates}
    resize_ops(random(1, 2, 5, 7), sizes=const([1, 2, 8, 3]), **attribs)
    resize_ops(random(5, 7), scales(0.8, 2.0), **attribs)
    if coordinates != "align_corners":
        resize_ops(random(5, 7), scales(0.7, 1.3), **attribs)
    resize_ops(random(5, 1), sizes=const([1, 4]), **attribs)


def test_interpolation_ops(random: Random) -> None:
    """Two elements are gathered and weighted; more are a matrix product. No custom operation is needed."""
    two_elements = ["gather", "mul", "gather", "mul", "add"]
    assert resize_ops(random(1, 1, 5, 4), scales(1, 1, 1, 1.5), mode="linear") == two_elements
    assert resize_ops(random(1, 1, 5, 4), scales(1, 1, 2, 2), mode="cubic") == ["matmul", "matmul"]
    assert resize_ops(random(1, 1, 9, 4), scales(1, 1, 0.3, 1), mode="linear", antialias=1) == ["matmul"]


@pytest.mark.parametrize(
    ("mode", "extent", "factor", "ops"),
    [
        ("linear", 100_000, 1.5, ["gather", "mul"] * 2 + ["add"]),
        ("cubic", 100_000, 1.5, ["gather", "mul", "gather", "mul", "add"] + ["gather", "mul", "add"] * 2),
        ("linear", 20_000, 0.25, ["gather", "mul", "sum_reduce", "squeeze"]),
        ("cubic", 1_500, 0.5, ["gather", "mul", "sum_reduce", "squeeze"]),
    ],
)
def test_constants_grow_with_the_extents(mode: str, extent: int, factor: float, ops: list[str]) -> None:
    """Not with their product; small matrices run faster than gathers."""
    # a slow wave, since onnxruntime computes positions in float32
    x = np.sin(np.arange(2 * extent, dtype=np.float32).reshape(2, extent) / 200)
    attribs = {"mode": mode, "antialias": int(factor < 1)}
    model = node_model("Resize", [x, None, scales(1, factor)], opset=19, **attribs)
    result = check(model, [x], rtol=1e-3, atol=2e-4)
    assert sorted(result.ops) == sorted(ops)
    constants = [t for t in result.graph.tensors if t.data is not None]
    assert max(np.size(t.data) for t in constants) < 20 * extent


def test_three_dimensions(random: Random) -> None:
    assert resize_ops(random(1, 2, 2, 3, 4), scales(1, 1, 2, 2, 2), mode="linear") == ["multilinear_upsample"]
    resize_ops(random(1, 2, 4, 3, 5), sizes=const([1, 2, 3, 5, 4]), mode="linear")


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("exclude", [0, 1])
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
def test_antialias(random: Random, mode: str, exclude: int, coordinates: str) -> None:
    attribs = {"antialias": 1, "exclude_outside": exclude, "coordinate_transformation_mode": coordinates}
    resize_ops(random(1, 2, 9, 7), sizes=const([1, 2, 4, 11]), mode=mode, **attribs)


def test_cubic_attributes(random: Random) -> None:
    for exclude in (0, 1):
        attribs = {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": exclude}
        resize_ops(random(1, 1, 4, 6), sizes=const([1, 1, 7, 4]), **attribs)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("opset", [11, 13, 19])
def test_crop_and_resize(random: Random, mode: str, opset: int) -> None:
    x = random(1, 1, 6, 7)
    for roi in ([0, 0, 0.2, 0.3, 1, 1, 0.7, 0.9], [0, 0, -0.3, 0.4, 1, 1, 0.6, 1.2], [0, 0, 0.9, 0.8, 1, 1, 0.1, 0.2]):
        for sizes in ([1, 1, 4, 5], [1, 1, 9, 1]):
            check_node(
                "Resize",
                [x, const(roi, np.float32), EMPTY, const(sizes)],
                opset=opset,
                rtol=1e-4,
                atol=1e-5,
                mode=mode,
                coordinate_transformation_mode="tf_crop_and_resize",
                extrapolation_value=7.5,
            )


def test_crop_that_keeps_the_extent(random: Random) -> None:
    """onnxruntime leaves out the region where the extent stays, against the standard."""
    x = random(4, 5)
    roi = const([0.5, 0.25, 0.75, 1.0], np.float32)
    attribs = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    model = node_model("Resize", [x, roi, None, const([4, 5])], opset=19, **attribs)
    check(model, [x], expected=ReferenceEvaluator(model).run(None, {"x0": x}), rtol=1e-4, atol=1e-5)


def test_the_deprecated_half_pixel_mode(random: Random) -> None:
    attribs = {"mode": "nearest", "coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"}
    check_node("Resize", [random(1, 1, 4, 5), EMPTY, scales(1, 1, 2, 1.4)], opset=11, **attribs)


@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
def test_axes_and_policy(random: Random, policy: str) -> None:
    attribs = {"axes": [3, 2], "keep_aspect_ratio_policy": policy, "mode": "linear"}
    resize_ops(random(1, 2, 3, 5), sizes=const([7, 8]), **attribs)
    resize_ops(random(1, 2, 3, 5), sizes=const([3, 2]), **attribs)
    x = random(1, 2, 3, 5)
    with_negative = node_model("Resize", [x, None, None, const([8, 7])], opset=18, axes=[-2, -1], mode="linear")
    without = node_model("Resize", [x, None, None, const([8, 7])], opset=18, axes=[2, 3], mode="linear")
    check(with_negative, [x], expected=run_unoptimized(without, {"x0": x}), rtol=1e-4, atol=1e-5)


def test_integers(random: Random) -> None:
    x = (random(1, 1, 4, 5) * 50).astype(np.int32)
    check_node("Resize", [x, None, scales(1, 1, 2, 2)], opset=19, mode="nearest", ops=["gather", "gather"])
    model = node_model("Resize", [x, None, scales(1, 1, 2, 2)], opset=19, mode="linear")
    result = check(model, [x], rtol=0, atol=1)
    assert any("differ by 1" in warning for warning in result.converter.warnings)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("factors", [(0.6, 1.3), (2.25, 0.37), (1.9, 3.1), (0.3, 0.45)])
def test_aligned_corners_with_lengths_that_are_not_whole(
    random: Random, mode: str, factors: tuple[float, float]
) -> None:
    """The result of onnxruntime, and of PyTorch, in which such scales are factors of `interpolate`."""
    x = random(1, 2, 5, 7)
    attribs = {"mode": mode, "coordinate_transformation_mode": "align_corners", "nearest_mode": "floor"}
    given = [x, EMPTY, scales(1, 1, *factors)]
    check_node("Resize", given, opset=13, rtol=1e-5, atol=2e-6, **attribs)
    if mode != "nearest":
        options = {"scale_factor": factors, "mode": f"bi{mode}", "align_corners": True}
        expected = torch.nn.functional.interpolate(torch.from_numpy(x), **options).numpy()
        model = node_model("Resize", given, opset=13, **attribs)
        check(model, [x], expected=[expected], rtol=1e-5, atol=5e-6)


def test_crops_with_lengths_that_are_not_whole_are_ambiguous(random: Random) -> None:
    x = random(1, 1, 4, 5)
    roi = const([0, 0, 0, 0, 1, 1, 1, 1], np.float32)
    attribs = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    model = node_model("Resize", [x, roi, scales(1, 1, 0.6, 1.3)], opset=19, **attribs)
    with pytest.raises(ConversionError, match="no whole length"):
        convert(model, [x])


def test_refusals(random: Random) -> None:
    x = random(1, 1, 4, 5)
    with pytest.raises(ConversionError, match=r"'scales'.*must be a constant"):
        convert(node_model("Resize", [x, None, np.ones(4, np.float32)], opset=19), [x, np.ones(4, np.float32)])
    inputs = [x, np.ones(8, np.float32), None, const([1, 1, 2, 2])]
    crop = node_model("Resize", inputs, opset=19, coordinate_transformation_mode="tf_crop_and_resize")
    with pytest.raises(ConversionError, match=r"'roi'.*must be a constant"):
        convert(crop, [x, np.ones(8, np.float32)])
