"""Non-maximum suppression and the end of detectors, on boxes for which LiteRT's order is defined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion.tflite_to_nnef import Converter
from nnef_tools.io.tf.lite import Writer
from nnef_tools.pipeline import convert_model

from ...support.conversions import assert_computes, convert_to_nnef
from ...support.lite_models import Argument, Fixed, operator_graph, read_back, run_litert
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


POST_PROCESS = "TFLite_Detection_PostProcess"
REAL = [np.float32] * 4


def detector(boxes: int, classes: int, seed: int = 0) -> list[Argument]:
    """Encodings, scores of which none are equal, and anchors."""
    random = np.random.default_rng(seed)
    scores = (random.permutation(boxes * classes) + 1) / (boxes * classes)
    anchors = np.concatenate([random.random((boxes, 2)), 0.1 + 0.3 * random.random((boxes, 2))], 1)
    return [
        random.standard_normal((1, boxes, 4)).astype(np.float32),
        scores.reshape(1, boxes, classes).astype(np.float32),
        Fixed(anchors.astype(np.float32)),
    ]


def options(classes: int, most: int, each: int = 1, **more: Any) -> dict[str, Any]:
    scales = {"y_scale": 10.0, "x_scale": 8.0, "h_scale": 5.0, "w_scale": 4.0}
    limits = {"nms_score_threshold": 0.25, "nms_iou_threshold": 0.4}
    counts = {"max_detections": most, "max_classes_per_detection": each, "num_classes": classes}
    return {**scales, **limits, **counts, "custom": True, **more}


CASES = {
    "best class": (detector(30, 5), options(4, 6)),
    "without background": (detector(30, 4, 1), options(4, 6)),
    "one class": (detector(20, 1), options(1, 5)),
    "more room than boxes": (detector(7, 3), options(3, 12)),
    "several classes": (detector(20, 4, 2), options(3, 4, 2)),
    "more classes than there are": (detector(20, 3), options(2, 4, 3)),
    "no threshold": (detector(6, 3), options(3, 6, nms_score_threshold=0.0)),
    "threshold of a score": (detector(5, 4), options(4, 5, nms_score_threshold=0.5)),
    "nothing found": (detector(5, 4), options(4, 5, nms_score_threshold=2.0)),
    "regular": (detector(30, 5), options(4, 8, use_regular_nms=True)),
    "regular, few of a class": (detector(30, 4), options(4, 20, use_regular_nms=True, detections_per_class=2)),
    "regular, more room": (detector(3, 3), options(2, 10, 2, use_regular_nms=True)),
    "integers for numbers": (detector(9, 3), options(3, 4, y_scale=10, x_scale=10, use_regular_nms=0)),
}


@pytest.mark.parametrize("name", CASES)
def test_ends_of_detectors(name: str) -> None:
    arguments, given = CASES[name]
    check(POST_PROCESS, *arguments, dtypes=REAL, **given)


def test_equal_scores_of_a_detector() -> None:
    """The first box comes first, and the first class."""
    encodings, _, anchors = detector(8, 3)
    check(POST_PROCESS, encodings, np.full((1, 8, 3), 0.5, np.float32), anchors, dtypes=REAL, **options(3, 8))


def test_more_than_boxes_in_encodings() -> None:
    encodings, *others = detector(10, 3)
    wide = np.concatenate([np.asarray(encodings), np.ones((1, 10, 6), np.float32)], 2)
    check(POST_PROCESS, wide, *others, dtypes=REAL, **options(3, 4))


@pytest.mark.parametrize("regular", [False, True])
def test_codes_at_the_end_of_a_detector(regular: bool) -> None:
    random = np.random.default_rng(5)
    encodings = random.integers(80, 176, (1, 20, 4)).astype(np.uint8)
    scores = random.permutation(20 * 4).reshape(1, 20, 4).astype(np.uint8)
    anchors = np.asarray(detector(20, 4)[2].array)  # type: ignore[union-attr]
    codes = np.round(anchors * 200 + 2).astype(np.uint8)
    given = options(3, 6, use_regular_nms=regular, nms_score_threshold=0.1)
    shapes = [(1, 6, 4), (1, 6), (1, 6), (1,)]
    graph = operator_graph(POST_PROCESS, [encodings, scores, Fixed(codes)], shapes=shapes, dtypes=REAL, **given)
    for tensor, scale, zero in zip(graph.operations[0].inputs, (0.1, 1 / 128, 0.005), (128, 0, 2), strict=True):
        tensor.quant = {"scale": scale, "zero_point": zero}
    expected = run_litert(graph, [encodings, scores])
    assert 0 < expected[3][0] <= 6
    result = convert_to_nnef(Converter(), read_back(graph), [encodings, scores])
    assert_computes(result, expected, ops=None, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("regular", [False, True])
@pytest.mark.parametrize("suffix", [".onnx", ".pb", ".nnef"])
def test_a_detector_on_other_ways(suffix: str, regular: bool, tmp_path: Path) -> None:
    given = options(3, 6, 2, use_regular_nms=regular)
    shapes = [(1, 12, 4), (1, 12), (1, 12), (1,)]
    Writer()(operator_graph(POST_PROCESS, detector(20, 4), shapes=shapes, dtypes=REAL, **given), tmp_path / "m.tflite")
    convert_model(tmp_path / "m.tflite", tmp_path / f"m{suffix}", verify=True)


WRONG = {
    "num_classes = 5": options(5, 4),
    "max_detections = 0": options(3, 0),
    "nms_iou_threshold = 0": options(3, 4, nms_iou_threshold=0),
}


@pytest.mark.parametrize("text", WRONG)
def test_options_that_litert_refuses(text: str) -> None:
    assert text in refusal(POST_PROCESS, *detector(6, 3), dtypes=REAL, **WRONG[text])
