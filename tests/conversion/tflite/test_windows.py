"""Convolutions, pooling and resampling of TensorFlow Lite against LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import integers, random
from ...support.lite_models import Fixed, operator_graph, run_litert
from .checks import check, refusal

PADDINGS = ["SAME", "VALID"]
ACTIVATIONS = ["RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"]


def conv_options(padding: str = "SAME", stride: Any = (1, 1), dilation: Any = (1, 1)) -> dict[str, Any]:
    return {
        "padding": padding,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h_factor": dilation[0],
        "dilation_w_factor": dilation[1],
    }


WINDOWS = [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((4, 5), (1, 1)), ((1, 1), (2, 3)), ((2, 1), (2, 2))]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("stride", "dilation"), WINDOWS)
@pytest.mark.parametrize("extents", [(11, 9), (8, 7)])
def test_conv_2d(padding: str, stride: Any, dilation: Any, extents: Any) -> None:
    w, bias = Fixed(random(5, 3, 2, 4)), Fixed(random(5, seed=1))
    result = check("CONV_2D", random(2, *extents, 4), w, bias, **conv_options(padding, stride, dilation))
    assert result.ops == ["transpose", "conv", "transpose"]


def test_conv_2d_without_bias() -> None:
    """The kernels of LiteRT insist on one."""
    x, w = random(1, 5, 6, 3), Fixed(random(4, 3, 3, 3))
    arguments = [x, w, Fixed(np.zeros(4, np.float32))]
    expected = run_litert(operator_graph("CONV_2D", arguments, **conv_options()), [x])
    check("CONV_2D", x, w, expected=expected, **conv_options())
    check("CONV_2D", x, w, None, expected=expected, **conv_options())


def test_grouped_conv_2d() -> None:
    w, bias = Fixed(random(6, 3, 2, 2)), Fixed(random(6, seed=1))
    check("CONV_2D", random(1, 7, 6, 4), w, bias, **conv_options("VALID", (2, 1)))


def test_computed_filter() -> None:
    check("CONV_2D", random(1, 5, 6, 3), random(4, 3, 3, 3, seed=1), Fixed(random(4)), **conv_options())


@pytest.mark.parametrize("function", ["RELU", "RELU_N1_TO_1", "RELU6"])
def test_activation_of_conv_2d(function: str) -> None:
    w, bias = Fixed(random(5, 3, 2, 4)), Fixed(random(5, seed=1))
    check("CONV_2D", random(1, 5, 6, 4), w, bias, fused_activation_function=function, **conv_options())


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("stride", "dilation"), WINDOWS)
@pytest.mark.parametrize("multiplier", [1, 2, 3])
def test_depthwise_conv_2d(padding: str, stride: Any, dilation: Any, multiplier: int) -> None:
    w, bias = Fixed(random(1, 3, 2, 4 * multiplier)), Fixed(random(4 * multiplier, seed=1))
    options = conv_options(padding, stride, dilation)
    check("DEPTHWISE_CONV_2D", random(2, 9, 8, 4), w, bias, depth_multiplier=multiplier, **options)


@pytest.mark.parametrize("function", ["RELU", "RELU6"])
def test_activation_of_depthwise_conv_2d(function: str) -> None:
    w, bias = Fixed(random(1, 3, 3, 4)), Fixed(random(4, seed=1))
    options = {"depth_multiplier": 1, "fused_activation_function": function, **conv_options()}
    check("DEPTHWISE_CONV_2D", random(1, 5, 6, 4), w, bias, **options)


def transposed_extent(extent: int, size: int, stride: int, padding: str, rest: int) -> int:
    """An extent whose convolution has the given one; rest: how much of the last stride there is."""
    return extent * stride - rest if padding == "SAME" else (extent - 1) * stride + size + rest


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 5), (4, 4)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("rest", [0, 1])
def test_transpose_conv(padding: str, size: Any, stride: Any, rest: int) -> None:
    rests = [min(rest, s - 1) for s in stride]
    spatial = [transposed_extent(n, *item, padding, r) for n, *item, r in zip((4, 5), size, stride, rests, strict=True)]
    sizes = Fixed(np.asarray([2, *spatial, 3], np.int32))
    w = Fixed(random(3, *size, 4))
    options = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
    check("TRANSPOSE_CONV", sizes, w, random(2, 4, 5, 4), **options)
    check("TRANSPOSE_CONV", sizes, w, random(2, 4, 5, 4), Fixed(random(3, seed=1)), **options)


def test_activation_of_transpose_conv() -> None:
    sizes, w = Fixed(np.asarray([1, 8, 8, 3], np.int32)), Fixed(random(3, 3, 3, 4))
    options = {"padding": "SAME", "stride_h": 2, "stride_w": 2, "fused_activation_function": "RELU"}
    check("TRANSPOSE_CONV", sizes, w, random(1, 4, 4, 4), **options)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(
    ("stride", "dilation"), [((1, 1, 1), (1, 1, 1)), ((2, 1, 3), (1, 1, 1)), ((1, 1, 1), (1, 2, 2))]
)
def test_conv_3d(padding: str, stride: Any, dilation: Any) -> None:
    options = {f"stride_{axis}": step for axis, step in zip("dhw", stride, strict=True)}
    options |= {f"dilation_{axis}_factor": step for axis, step in zip("dhw", dilation, strict=True)}
    w, bias = Fixed(random(2, 3, 3, 2, 4)), Fixed(random(4, seed=1))
    check("CONV_3D", random(2, 5, 7, 6, 2), w, bias, padding=padding, **options)
    check("CONV_3D", random(1, 5, 7, 6, 2), w, padding=padding, fused_activation_function="RELU", **options)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 1, 2)])
def test_conv_3d_transpose(padding: str, stride: Any) -> None:
    size = (2, 3, 3)
    spatial = [transposed_extent(n, *item, padding, 0) for n, *item in zip((3, 4, 5), size, stride, strict=True)]
    options: dict[str, Any] = {f"stride_{axis}": step for axis, step in zip("dhw", stride, strict=True)}
    sizes, w = Fixed(np.asarray([2, *spatial, 3], np.int32)), Fixed(random(*size, 3, 4))
    check("CONV_3D_TRANSPOSE", sizes, w, random(2, 3, 4, 5, 4), padding=padding, **options)
    check("CONV_3D_TRANSPOSE", sizes, w, random(2, 3, 4, 5, 4), Fixed(random(3)), padding=padding, **options)


@pytest.mark.parametrize("type", ["AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("size", "stride"), [((2, 2), (2, 2)), ((3, 2), (1, 1)), ((2, 3), (4, 5)), ((7, 8), (1, 1))])
def test_pool(type: str, padding: str, size: Any, stride: Any) -> None:
    options = {"filter_height": size[0], "filter_width": size[1], "stride_h": stride[0], "stride_w": stride[1]}
    check(type, random(2, 9, 8, 3) - 2, padding=padding, **options)
    check(type, random(1, 7, 8, 3), padding=padding, fused_activation_function="RELU_N1_TO_1", **options)


@pytest.mark.parametrize("function", ["TANH", "SIGN_BIT"])
def test_activations_that_only_converters_know(function: str) -> None:
    """The kernels of LiteRT ignore them."""
    x = random(1, 4, 4, 2)
    options = {"filter_height": 1, "filter_width": 1, "stride_h": 1, "stride_w": 1, "padding": "VALID"}
    expected = np.tanh(x) if function == "TANH" else np.signbit(x).astype(np.float32)
    check("MAX_POOL_2D", x, expected=[expected], fused_activation_function=function, **options)


SIZES = [(8, 10), (16, 20), (7, 3), (13, 11), (4, 5), (1, 1), (8, 1)]
MODES = [(False, False), (True, False), (False, True)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("align_corners", "half_pixel_centers"), MODES)
@pytest.mark.parametrize("type", ["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"])
def test_resize(type: str, size: Any, align_corners: bool, half_pixel_centers: bool) -> None:
    options = {"align_corners": align_corners, "half_pixel_centers": half_pixel_centers}
    check(type, random(2, 8, 10, 3), Fixed(np.asarray(size, np.int32)), **options)


@pytest.mark.parametrize("size", SIZES)
def test_resize_with_both_options(size: Any) -> None:
    options = {"align_corners": True, "half_pixel_centers": True}
    check("RESIZE_NEAREST_NEIGHBOR", random(2, 8, 10, 3), Fixed(np.asarray(size, np.int32)), **options)


def test_resize_bilinear_with_both_options() -> None:
    options = {"align_corners": True, "half_pixel_centers": True, "shapes": [(1, 8, 8, 2)]}
    reason = refusal("RESIZE_BILINEAR", random(1, 4, 4, 2), Fixed(np.asarray([8, 8], np.int32)), **options)
    assert "align_corners and half_pixel_centers exclude each other" in reason


def test_resize_of_integers() -> None:
    x = integers(1, 4, 5, 2, dtype=np.uint8, low=0, high=255)
    check("RESIZE_NEAREST_NEIGHBOR", x, Fixed(np.asarray([8, 8], np.int32)), half_pixel_centers=True)


@pytest.mark.parametrize("radius", [1, 2])
def test_local_response_normalization(radius: int) -> None:
    """The reference kernel leaves out the last neighbor; the optimized one, which is the default, does not."""
    options = {"radius": radius, "bias": 1.5, "alpha": 0.3, "beta": 0.7}
    check("LOCAL_RESPONSE_NORMALIZATION", random(2, 3, 4, 7), reference=False, **options)


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 4, 5)])
def test_l2_normalization(shape: Any) -> None:
    x = random(*shape)
    x[0] = 0
    check("L2_NORMALIZATION", x)
