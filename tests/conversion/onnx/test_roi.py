"""Regions of interest and their selection, compared with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import helper

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import const, node_model
from .checks import check, check_node, convert

Random = Callable[..., Array]


ROIS = np.asarray([[0, 0, 5, 4], [1.5, 2.2, 9.7, 8.1], [-3, -2, 3, 12], [4, 4, 4.5, 4.2]], np.float32)
IMAGES = np.asarray([0, 1, 1, 0], np.int64)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("sampling", [0, 1, 2])
def test_roi_align(random: Random, mode: str, coordinates: str, sampling: int) -> None:
    x = random(2, 3, 6, 7)
    rois = ROIS if sampling else const(ROIS, np.float32)
    attribs: dict[str, Any] = {"mode": mode, "output_height": 2, "output_width": 3, "sampling_ratio": sampling}
    tolerance = {"rtol": 1e-4, "atol": 1e-5}
    shifted = {**attribs, "coordinate_transformation_mode": coordinates, "spatial_scale": 0.5}
    result = check_node("RoiAlign", [x, rois, IMAGES], opset=16, **tolerance, **shifted)
    assert result.ops.count("gather") == 4
    check_node("RoiAlign", [x, rois, IMAGES], opset=10, **tolerance, **attribs)


def test_roi_align_counts_samples_of_constant_regions_only(random: Random) -> None:
    x = random(2, 3, 6, 7)
    with pytest.raises(ConversionError, match=r"sampling_ratio = 0.*must be constant"):
        convert(node_model("RoiAlign", [x, ROIS, IMAGES], opset=16), [x, ROIS, IMAGES])


def test_max_roi_pool(random: Random) -> None:
    x = random(2, 3, 6, 7)
    rois = np.concatenate([IMAGES[:, None], ROIS], axis=1).astype(np.float32)
    for scale in (1.0, 0.5):
        check_node("MaxRoiPool", [x, rois], opset=1, pooled_shape=[2, 3], spatial_scale=scale)
        check_node("MaxRoiPool", [x, const(rois, np.float32)], opset=1, pooled_shape=[3, 2], spatial_scale=scale)


def _boxes(random: Random) -> tuple[Array, Array]:
    centres, sizes = np.abs(random(1, 12, 2)) * 5, np.abs(random(1, 12, 2)) * 4
    return np.concatenate([centres, centres + sizes], axis=-1), np.abs(random(1, 2, 12))


@pytest.mark.parametrize("centred", [0, 1])
def test_non_max_suppression_of_constants(random: Random, centred: int) -> None:
    boxes, scores = _boxes(random)
    inputs = [const(item, np.float32) for item in (boxes, scores)]
    for threshold, least in ((0.1, 0.0), (0.5, 0.4)):
        more = [const([5]), const([threshold], np.float32), const([least], np.float32)]
        model = node_model("NonMaxSuppression", [*inputs, *more], opset=11, center_point_box=centred)
        model.graph.node.append(helper.make_node("Gather", ["x", "y0"], ["z"]))
        del model.graph.output[:]
        model.graph.input.append(helper.make_tensor_value_info("x", 1, [12]))
        model.graph.output.append(helper.make_tensor_value_info("z", 1, None))
        check(model, [np.arange(12, dtype=np.float32)], ops=["gather"])


def test_refusals(random: Random) -> None:
    boxes, scores = _boxes(random)
    with pytest.raises(ConversionError, match="fixed_nms=True gives room for the most rows"):
        convert(node_model("NonMaxSuppression", [boxes, scores, const([5])], opset=11), [boxes, scores])
