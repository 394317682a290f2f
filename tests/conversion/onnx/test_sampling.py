"""Sampling, unpooling and deformable convolution, compared with onnxruntime or the reference of onnx."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import const, node_model
from .checks import check, check_node, convert

Random = Callable[..., Array]


def window_counts(extents: Sequence[int], size: Sequence[int], attribs: Mapping[str, Any]) -> list[int]:
    """How many windows fit along each spatial dimension."""
    rank = len(extents)
    pads, strides, dilations = (attribs.get(key, default) for key, default in _defaults(rank))
    padded = [n + pads[k] + pads[k + rank] for k, n in enumerate(extents)]
    return [(n - d * (f - 1) - 1) // s + 1 for n, f, s, d in zip(padded, size, strides, dilations, strict=True)]


def _defaults(rank: int) -> list[tuple[str, list[int]]]:
    return [("pads", [0] * 2 * rank), ("strides", [1] * rank), ("dilations", [1] * rank)]


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("mode", ["linear", "cubic", "nearest"])
def test_grid_sample(random: Random, mode: str, align: int, padding: str) -> None:
    x, grid = random(2, 3, 5, 7), random(2, 4, 3, 2)
    attribs = {"align_corners": align, "padding_mode": padding}
    tolerance = {"rtol": 1e-4, "atol": 1e-5}
    old = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    check_node("GridSample", [x, grid], opset=16, mode=old, ops=["grid_sample"], **tolerance, **attribs)
    check_node("GridSample", [x, grid], opset=20, mode=mode, ops=["grid_sample"], **tolerance, **attribs)
    if mode != "cubic":
        volume, points = random(1, 2, 3, 4, 5), random(1, 2, 2, 3, 3)
        check_node("GridSample", [volume, points], opset=20, mode=mode, **tolerance, **attribs)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("extents", [[4, 5], [3, 4, 2]])
def test_affine_grid(random: Random, extents: list[int], align: int) -> None:
    rank = len(extents)
    inputs = [random(2, rank, rank + 1), const([2, 3, *extents])]
    check_node("AffineGrid", inputs, opset=20, align_corners=align, ops=["matmul", "reshape"], atol=1e-5)


@pytest.mark.parametrize(
    "attribs",
    [
        {},
        {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 0, 2, 1]},
        {"group": 2, "pads": [1, 1, 1, 1]},
        {"offset_group": 2, "strides": [2, 2]},
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_deform_conv(random: Random, attribs: dict[str, Any], full: bool) -> None:
    x, w = random(2, 4, 6, 7), random(6, 4 // attribs.get("group", 1), 3, 2)
    out = window_counts([6, 7], [3, 2], attribs)
    groups = attribs.get("offset_group", 1)
    inputs: list[Any] = [x, w, random(2, groups * 12, *out)]
    if full:
        inputs += [random(6), random(2, groups * 6, *out)]
    result = check_node("DeformConv", inputs, opset=19, rtol=1e-3, atol=1e-4, **attribs)
    assert result.ops.count("grid_sample") == result.ops.count("matmul") == 1


def test_deform_conv_in_other_dimensions(random: Random) -> None:
    """Offsets of 0 make it a plain convolution."""
    for spatial in ([7], [4, 5, 4]):
        rank = len(spatial)
        x, w = random(1, 2, *spatial), random(3, 2, *[2] * rank)
        offset = np.zeros((1, 2**rank * rank, *[n - 1 for n in spatial]), np.float32)
        model = node_model("DeformConv", [x, w, offset], opset=19)
        plain = ReferenceEvaluator(node_model("Conv", [x, w], opset=19)).run(None, {"x0": x, "x1": w})
        check(model, [x, w, offset], expected=plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "block", "attribs"),
    [
        ([5], [2], {}),
        ([5, 5], [1, 5], {}),
        ([5, 6], [2, 3], {"strides": [2, 2], "pads": [1, 0, 0, 1]}),
        ([6, 6], [2, 2], {"dilations": [2, 1], "strides": [3, 2]}),
        ([3, 4, 5], [1, 2, 3], {"pads": [0, 1, 0, 0, 1, 0]}),
    ],
)
def test_col2im(random: Random, image: list[int], block: list[int], attribs: dict[str, Any]) -> None:
    counts = window_counts(image, block, attribs)
    x = random(2, 3 * int(np.prod(block)), int(np.prod(counts)))
    model = node_model("Col2Im", [x, const(image), const(block)], opset=18, **attribs)
    expected = ReferenceEvaluator(model).run(None, {"x0": x})
    result = check(model, [x], expected=expected, rtol=1e-4, atol=1e-5)
    assert "deconv" in result.ops


def test_max_unpool(random: Random) -> None:
    x = random(1, 2, 2, 3)
    index = np.random.default_rng(0).permutation(2 * 4 * 6)[:12].reshape(x.shape).astype(np.int64)
    attribs: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    ops = ["reshape", "reshape", "scatter_elements", "reshape"]
    for opset in (9, 11):
        check_node("MaxUnpool", [x, index], opset=opset, ops=ops, **attribs)
    padded = np.arange(12).reshape(x.shape).astype(np.int64)
    check_node("MaxUnpool", [x, padded], opset=11, pads=[1, 1, 1, 1], **attribs)
    model = node_model("MaxUnpool", [x, index, const([1, 2, 5, 8])], opset=11, **attribs)
    check(model, [x, index], expected=ReferenceEvaluator(model).run(None, {"x0": x, "x1": index}))


@pytest.mark.parametrize("axes", [[0, 1], [-1, 0], [2, 1]])
def test_center_crop_pad(random: Random, axes: list[int]) -> None:
    x = random(4, 7, 5)
    for sizes in ([3, 8], [6, 6], [5, 3]):
        check_node("CenterCropPad", [x, const(sizes)], opset=18, axes=axes)


def test_compressed_images_are_refused() -> None:
    data = np.zeros(16, np.uint8)
    with pytest.raises(ConversionError, match="no compressed images"):
        convert(node_model("ImageDecoder", [data], opset=20), [data])
