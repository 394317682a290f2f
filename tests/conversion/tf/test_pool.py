"""Pooling and normalizations against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import integers, random
from ...support.tf_programs import raw, tf, trace
from .checks import check, refusal

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


@pytest.mark.parametrize("name", ["MaxPool", "AvgPool"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("size", "stride"), [((2, 2), (2, 2)), ((3, 2), (1, 2)), ((3, 3), (2, 3)), ((1, 1), (2, 2))])
def test_pool2d(name: str, padding: str, size: tuple[int, int], stride: tuple[int, int]) -> None:
    attribs = {"ksize": [1, *size, 1], "strides": [1, *stride, 1], "padding": padding}
    parameter = "input" if name == "MaxPool" else "value"
    x = random(2, 7, 8, 3) - 5  # padding with zeros would win
    result = check(lambda x: getattr(raw, name)(**{parameter: x}, **attribs), x)
    assert result.ops == ["transpose", "max_pool" if name == "MaxPool" else "avg_pool", "transpose"]


def test_max_pool_explicit() -> None:
    attribs = {"ksize": [1, 3, 3, 1], "strides": [1, 2, 2, 1], "padding": "EXPLICIT"}
    attribs["explicit_paddings"] = [0, 0, 1, 2, 2, 0, 0, 0]
    check(lambda x: raw.MaxPool(input=x, **attribs), random(1, 7, 8, 2) - 5)


def test_max_pool_over_channels() -> None:
    attribs = {"ksize": [1, 1, 1, 3], "strides": [1, 1, 1, 3], "padding": "VALID"}
    check(lambda x: raw.MaxPool(input=x, **attribs), random(2, 3, 4, 9))


@pytest.mark.parametrize("name", ["MaxPool", "AvgPool"])
def test_pool2d_channels_first(name: str) -> None:
    parameter = "input" if name == "MaxPool" else "value"
    first = {"ksize": [1, 1, 3, 2], "strides": [1, 1, 2, 1], "padding": "SAME", "data_format": "NCHW"}
    last = {"ksize": [1, 3, 2, 1], "strides": [1, 2, 1, 1], "padding": "SAME"}

    def expected(x: Any) -> Any:
        return tf.transpose(getattr(raw, name)(**{parameter: tf.transpose(x, TO_NHWC)}, **last), TO_NCHW)

    program = lambda x: getattr(raw, name)(**{parameter: x}, **first)  # noqa: E731
    check(program, random(2, 3, 7, 8), expected=expected, ops=["max_pool" if name == "MaxPool" else "avg_pool"])


@pytest.mark.parametrize("name", ["MaxPool3D", "AvgPool3D"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pool3d(name: str, padding: str) -> None:
    attribs = {"ksize": [1, 2, 3, 2, 1], "strides": [1, 2, 1, 2, 1], "padding": padding}
    check(lambda x: getattr(raw, name)(input=x, **attribs), random(1, 5, 6, 7, 2) - 5)


def test_pool_with_size_as_input() -> None:
    check(
        lambda x: raw.MaxPoolV2(input=x, ksize=[1, 2, 3, 1], strides=[1, 2, 2, 1], padding="SAME"), random(1, 7, 8, 2)
    )


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("include_batch", [False, True])
def test_max_pool_with_argmax(padding: str, include_batch: bool) -> None:
    check(
        lambda x: tuple(
            raw.MaxPoolWithArgmax(
                input=x,
                ksize=[1, 3, 2, 1],
                strides=[1, 2, 2, 1],
                padding=padding,
                include_batch_in_index=include_batch,
            )
        ),
        random(2, 7, 8, 3) - 5,
    )


def test_max_pool_with_unused_argmax() -> None:
    result = check(
        lambda x: raw.MaxPoolWithArgmax(input=x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")[0],
        random(1, 5, 6, 2),
    )
    assert "max_pool" in result.ops


# normalizations

VERSIONS = ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"]


def _parameters(depth: int) -> dict[str, Any]:
    return {
        "scale": random(depth),
        "offset": random(depth, seed=1),
        "mean": random(depth, seed=2),
        "variance": np.abs(random(depth, seed=3)) + 0.5,
    }


@pytest.mark.parametrize("name", VERSIONS)
def test_batch_norm(name: str) -> None:
    program = lambda x: getattr(raw, name)(x=x, **_parameters(3), epsilon=0.01, is_training=False)[0]  # noqa: E731
    check(program, random(2, 5, 6, 3), ops=["transpose", "batch_normalization", "transpose"])


@pytest.mark.parametrize("name", VERSIONS)
def test_batch_norm_channels_first(name: str) -> None:
    attribs = {**_parameters(3), "epsilon": 0.01, "is_training": False}

    def expected(x: Any) -> Any:
        return tf.transpose(getattr(raw, name)(x=tf.transpose(x, TO_NHWC), **attribs)[0], TO_NCHW)

    program = lambda x: getattr(raw, name)(x=x, data_format="NCHW", **attribs)[0]  # noqa: E731
    check(program, random(2, 3, 5, 6), expected=expected, ops=["batch_normalization"])


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_batch_norm_of_the_batch(factor: float) -> None:
    def program(x: Any) -> Any:
        parameters = _parameters(3)
        if factor == 1.0:
            parameters |= {"mean": np.zeros(0, np.float32), "variance": np.zeros(0, np.float32)}
        result = raw.FusedBatchNormV3(x=x, **parameters, is_training=True, exponential_avg_factor=factor)
        return result[0], result[1], result[2]

    check(program, random(2, 5, 6, 3), atol=1e-4)


def test_batch_norm_3d() -> None:
    def program(x: Any) -> Any:
        return raw.FusedBatchNormV3(x=x, **_parameters(3), data_format="NDHWC", is_training=False)[0]

    check(program, random(1, 4, 5, 6, 3))


@pytest.mark.parametrize("scale_after", [True, False])
def test_batch_norm_of_old_files(scale_after: bool) -> None:
    """TensorFlow reads BatchNormWithGlobalNormalization no more: a FusedBatchNorm is made one in the file."""
    p, x = _parameters(3), random(2, 5, 6, 3)
    traced = trace(lambda x: raw.FusedBatchNorm(x=x, **p, epsilon=0.01, is_training=False)[0], [x])
    (node,) = (node for node in traced.graph_def.node if node.op == "FusedBatchNorm")
    data, scale, offset, mean, variance = node.input
    node.op = "BatchNormWithGlobalNormalization"
    del node.input[:]
    node.input.extend([data, mean, variance, offset, scale])
    for name in ("is_training", "data_format", "epsilon", "exponential_avg_factor"):
        del node.attr[name]
    node.attr["variance_epsilon"].f = 0.01
    node.attr["scale_after_normalization"].b = scale_after
    factor = p["scale"] if scale_after else None
    check(
        traced,
        x,
        expected=lambda x: tf.nn.batch_normalization(x, p["mean"], p["variance"], p["offset"], factor, 0.01),
    )


@pytest.mark.parametrize("radius", [1, 2, 5])
def test_local_response_normalization(radius: int) -> None:
    check(lambda x: tf.nn.local_response_normalization(x, radius, bias=1.5, alpha=0.3, beta=0.7), random(2, 4, 5, 7))


# dilation with a structuring element

WINDOWS: list[Any] = [
    {"strides": [1, 1, 1, 1], "rates": [1, 1, 1, 1], "padding": "SAME"},
    {"strides": [1, 2, 1, 1], "rates": [1, 1, 2, 1], "padding": "SAME"},
    {"strides": [1, 2, 3, 1], "rates": [1, 2, 1, 1], "padding": "VALID"},
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", [(3, 3), (2, 3), (1, 1)])
def test_dilation(window: Any, size: tuple[int, int]) -> None:
    x, element = random(2, 7, 8, 3) - 5, random(*size, 3)
    terms = size[0] * size[1]
    result = check(lambda x: raw.Dilation2D(input=x, filter=element, **window), x, rtol=0, atol=0)
    assert result.ops.count("max") == terms - 1
    result = check(lambda x, f: raw.Dilation2D(input=x, filter=f, **window), x, element, rtol=0, atol=0)
    assert result.ops.count("add") == terms


@pytest.mark.parametrize("window", WINDOWS)
def test_dilation_with_a_flat_element(window: Any) -> None:
    x = random(2, 7, 8, 3) - 5
    zeros, heights = np.zeros((3, 2, 3), np.float32), np.broadcast_to(random(3), (3, 2, 3))
    ops = ["transpose", "max_pool", "transpose"]
    check(lambda x: raw.Dilation2D(input=x, filter=zeros, **window), x, ops=ops, rtol=0, atol=0)
    check(lambda x: raw.Dilation2D(input=x, filter=heights, **window), x, ops=[*ops, "add"], rtol=0, atol=0)


def test_dilation_of_small_inputs() -> None:
    for rate, extent in ((2, 1), (3, 2)):
        window: Any = {"strides": [1, 1, 1, 1], "rates": [1, rate, rate, 1], "padding": "SAME"}
        element = random(3, 3, 2)
        check(lambda x, w=window, f=element: raw.Dilation2D(input=x, filter=f, **w), random(1, extent, 4, 2))


def test_dilation_of_integers_is_refused() -> None:
    element = np.zeros((2, 2, 3), np.int32)
    assert "integers" in refusal(lambda x: raw.Dilation2D(input=x, filter=element, **WINDOWS[0]), integers(1, 4, 4, 3))


# resizing

SIZES = [(10, 12), (15, 18), (5, 6), (3, 2), (7, 9), (1, 1), (20, 3)]


@pytest.mark.parametrize("name", ["ResizeNearestNeighbor", "ResizeBilinear", "ResizeBicubic"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["legacy", "align_corners", "half_pixel_centers"])
def test_resize(name: str, size: tuple[int, int], mode: str) -> None:
    attribs = {} if mode == "legacy" else {mode: True}
    check(lambda x: getattr(raw, name)(images=x, size=size, **attribs), random(2, 5, 6, 3))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("align_corners", [False, True])
def test_resize_area(size: tuple[int, int], align_corners: bool) -> None:
    check(lambda x: raw.ResizeArea(images=x, size=size, align_corners=align_corners), random(2, 5, 6, 3))


@pytest.mark.parametrize("extent", [3, 7, 25, 41, 55, 100])
def test_resize_nearest_picks_what_float32_picks(extent: int) -> None:
    for size in (13, 50, 77, 165):
        for mode in ("legacy", "align_corners", "half_pixel_centers"):
            attribs = {} if mode == "legacy" else {mode: True}
            x = np.arange(extent, dtype=np.float32).reshape(1, 1, extent, 1)
            check(lambda x, s=size, a=attribs: raw.ResizeNearestNeighbor(images=x, size=[1, s], **a), x, atol=0)


@pytest.mark.parametrize("name", ["ResizeBilinear", "ResizeBicubic", "ResizeArea"])
def test_resize_of_long_axes(name: str) -> None:
    """Weighted sums of gathered elements, where matrices would grow with the product of the extents."""
    result = check(lambda x: getattr(raw, name)(images=x, size=[3, 1400]), random(1, 2, 5000, 1))
    assert "matmul" not in result.ops[2:] and "gather" in result.ops


def test_standard_resampling() -> None:
    def ops(name: str, size: list[int], **attribs: Any) -> list[str]:
        result = check(lambda x: getattr(raw, name)(images=x, size=size, **attribs), random(1, 4, 6, 2))
        return [op for op in result.ops if op != "transpose"]

    assert ops("ResizeBilinear", [8, 12], half_pixel_centers=True) == ["multilinear_upsample"]
    assert ops("ResizeBilinear", [8, 12], align_corners=True) == ["multilinear_upsample"]
    assert ops("ResizeBilinear", [8, 12]) == ["multilinear_upsample"]
    assert ops("ResizeNearestNeighbor", [8, 18]) == ["nearest_upsample"]
    assert ops("ResizeNearestNeighbor", [2, 3]) == ["nearest_downsample"]
    assert ops("ResizeArea", [2, 3]) == ["area_downsample"]


@pytest.mark.parametrize("name", ["ResizeNearestNeighbor", "ResizeBilinear", "ResizeBicubic", "ResizeArea"])
def test_resize_of_integers(name: str) -> None:
    check(lambda x: getattr(raw, name)(images=x, size=[7, 8]), integers(1, 4, 5, 2))


@pytest.mark.parametrize(
    ("pads", "padding"),
    [(((1, 1), (1, 1)), "VALID"), (((0, 2), (1, 0)), "VALID"), (((2, 2), (0, 0)), "VALID"), (((1, 1), (1, 1)), "SAME")],
)
def test_maxima_of_what_was_surrounded_by_infinity(pads: Any, padding: str) -> None:
    """As ports from PyTorch pad: it is the border of the pooling."""

    def program(x: Any) -> Any:
        return tf.nn.max_pool2d(tf.pad(x, [(0, 0), *pads, (0, 0)], constant_values=-np.inf), 3, 2, padding)

    result = check(program, random(2, 8, 7, 3))
    assert ("concat" in result.ops) == (padding == "SAME")
