"""NNEF to TensorFlow Lite: every standard operation and custom fragment over a matrix of attributes, run by LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.nnef_cases import ALL, CUSTOM, RECURRENT, REGIONS, ROI_CASES, ROIS, SEVERAL, X
from ...support.nnef_models import inputs_for, nnef_graph
from ..tf.test_from_nnef import CONVOLUTIONS
from .checks import check_lite, converted_to_tflite

pytest.importorskip("ai_edge_litert", reason="LiteRT runs the converted models")

REFUSED = {
    "multiclass_nms(x, s, score_threshold = 0.1, iou_threshold = 0.4, candidates = 5, kept = 4)": "multiclass_nms",
    "det(x)": "MatrixDeterminant",
    "shift_left(i, j)": "shift_left",
    "shift_right(cast<integer>(cast<scalar>(i) * -37.0), j)": "RIGHT_SHIFT has no kernel for int64",
}


@pytest.mark.parametrize(("declarations", "call"), [*ALL, *CUSTOM, *CONVOLUTIONS])
def test_operation(declarations: str, call: str) -> None:
    graph = nnef_graph(f"{declarations} y = {call};")
    if call not in REFUSED:
        check_lite(graph)
        return
    with pytest.raises(ConversionError) as caught:
        converted_to_tflite(graph)
    assert REFUSED[call] in caught.value.refused[0].reason


@pytest.mark.parametrize(("declarations", "statement"), [*SEVERAL, *RECURRENT])
def test_several_results(declarations: str, statement: str) -> None:
    outputs = ("y", "q", "s") if "lstm" in statement else ("y", "q")
    check_lite(nnef_graph(declarations + statement, outputs))


@pytest.mark.parametrize("call", ROI_CASES)
def test_regions(call: str) -> None:
    graph = nnef_graph(f"{X}{ROIS} y = {call};")
    check_lite(graph, {**inputs_for(graph), "r": REGIONS, "j": np.array([0, 1, 1, 0])})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("erf", [-9.0, -1.5, -0.5, -0.49, -1e-6, 0.0, 1e-20, 0.3, 0.51, 4.0, 30.0]),
        ("asinh", [-1e18, -3.0, -1e-6, 0.0, 1e-20, 0.5, 7.0, 1e30]),
        ("atanh", [-0.99, -1e-6, 0.0, 1e-20, 0.3, 0.999]),
        ("acosh", [1.0, 1.0000001, 1.5, 30.0, 1e30]),
        ("sinh", [-88.9, -1.5, -1e-6, 0.0, 1e-20, 0.7, 1.0, 30.0]),
        ("cosh", [-88.9, -1.5, 0.0, 1e-3, 30.0]),
        ("softplus", [-100.0, -20.0, -1.0, 0.0, 3.0, 200.0]),
        ("asin", [-1.0, -0.999999, -1e-6, 0.0, 1e-20, 0.5, 1.0]),
        ("acos", [-1.0, -0.5, 0.0, 0.999999, 1.0]),
        ("atan", [-1e30, -1.0, 0.0, 1e-20, 3.0]),
        ("tan", [-1.5, -1e-6, 0.0, 0.7, 1.57]),
    ],
)
def test_identities_keep_the_accuracy(name: str, values: list[float]) -> None:
    graph = nnef_graph(f"x = external(shape = [{len(values)}]); y = {name}(x);")
    # an operator that computes at all has an accuracy of a few units of the last place
    check_lite(graph, {"x": np.asarray(values, np.float32)}, rtol=3e-6, atol=0)
