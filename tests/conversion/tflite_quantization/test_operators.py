"""Operators on codes come back from NNEF as the same operators on codes, with the same results in LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.io.tf.lite import Reader
from nnef_tools.model import Graph
from nnef_tools.pipeline import convert_model

from ...support.lite_models import Fixed, operator_graph, run_litert
from .quantized_models import classifier, entry, operators, random_codes, written

pytest.importorskip("ai_edge_litert", reason="it runs the models")

X = (1, 4, 3, 4)
CODES = {np.int8: (-128, 0.05), np.uint8: (0, 0.05), np.int16: (0, 0.0002)}
"""Type of codes -> a zero point with which no code, or half of them, are negative numbers, and a scale."""


def integers(*values: int) -> Fixed:
    return Fixed(np.array(values, np.int32))


MOVES: list[tuple[str, list[Any], list[tuple[int, ...]], dict[str, Any]]] = [
    ("REDUCE_MAX", [X, integers(1, 2)], [(1, 1, 1, 4)], {"keep_dims": True}),
    ("REDUCE_MIN", [X, integers(1)], [(1, 3, 4)], {"keep_dims": False}),
    ("PACK", [X, X], [(2, *X)], {"axis": 0, "values_count": 2}),
    ("UNPACK", [X], [(1, 3, 4)] * 4, {"axis": 1, "num": 4}),
    ("MAXIMUM", [X, X], [X], {}),
    ("MINIMUM", [X, (1, 1, 3, 4)], [X], {}),
    ("SELECT_V2", [Fixed(np.array([True, False, True, True])), X, X], [X], {}),
]
COMPUTING = ("ABS", "EXP", "LOG", "RSQRT", "GELU")


def model(type: str, arguments: list[Any], shapes: list[tuple[int, ...]], dtype: Any, **options: Any) -> Graph:
    """A model of the operator with codes of that type."""
    zero_point, scale = CODES[dtype]
    codes = [random_codes(item, dtype, 0) if isinstance(item, tuple) else item for item in arguments]
    graph = operator_graph(type, codes, shapes=shapes, dtypes=[dtype] * len(shapes), **options)
    for tensor in (*graph.inputs, *graph.outputs):
        tensor.quant = entry(scale, zero_point)
    return graph


def came_back(graph: Graph, folder: Path) -> Graph:
    """The model that comes of it by way of NNEF, which has the same result."""
    convert_model(written(graph, folder), folder / "model.nnef")
    convert_model(folder / "model.nnef", folder / "back.tflite")
    found = Reader()(folder / "back.tflite")
    inputs = [random_codes(tuple(map(int, t.shape or ())), t.dtype, seed) for seed, t in enumerate(graph.inputs)]
    for actual, wanted in zip(run_litert(found, inputs), run_litert(graph, inputs), strict=True):
        np.testing.assert_array_equal(actual, wanted)
    return found


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize(("type", "arguments", "shapes", "options"), MOVES, ids=[item[0] for item in MOVES])
def test_moves(
    type: str, arguments: list[Any], shapes: list[tuple[int, ...]], options: dict[str, Any], dtype: Any, tmp_path: Path
) -> None:
    found = came_back(model(type, arguments, shapes, dtype, **options), tmp_path)
    assert [op.type for op in found.operations] == [type]


@pytest.mark.parametrize("type", COMPUTING)
def test_computing(type: str, tmp_path: Path) -> None:
    graph = model(type, [X], [X], np.int8, **({"approximate": False} if type == "GELU" else {}))
    graph.outputs[0].quant = entry(0.04, 3)
    found = came_back(graph, tmp_path)
    assert [op.type for op in found.operations] == [type]


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize(("channels", "multiplier", "dilation"), [(3, 2, 1), (1, 4, 1), (4, 1, 2)])
def test_depthwise_convolution(channels: int, multiplier: int, dilation: int, dtype: Any, tmp_path: Path) -> None:
    """Also of one channel, which is no CONV_2D, and with scales for each of several results of a channel."""
    count = channels * multiplier
    scales = np.linspace(0.01, 0.02, count, dtype=np.float32)
    codes, bias_type = random_codes((1, 3, 3, count), np.int8, 1), np.int64 if dtype is np.int16 else np.int32
    filter, bias = Fixed(np.maximum(codes, -127)), Fixed(np.arange(count).astype(bias_type) * 9)
    window = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": dilation, "dilation_w_factor": 1}
    options = {**window, "depth_multiplier": multiplier, "fused_activation_function": "RELU"}
    graph = model("DEPTHWISE_CONV_2D", [(1, 5, 4, channels), filter, bias], [(1, 5, 4, count)], dtype, **options)
    zeros, scale = np.zeros(count, np.int64), np.float32(CODES[dtype][1])
    _, w, b = graph.operations[0].inputs
    w.quant, b.quant = entry(scales, zeros, 3), entry(scales * scale, zeros)
    found = came_back(graph, tmp_path)
    assert operators(found) == operators(graph)


def test_groups_of_one_channel_stay_groups(tmp_path: Path) -> None:
    """LiteRT quantizes the input of CONV_2D otherwise than that of DEPTHWISE_CONV_2D, if there is dynamic range."""
    filter, bias = Fixed(np.maximum(random_codes((4, 3, 3, 1), np.int8, 1), -127)), Fixed(np.arange(4, dtype=np.int32))
    window = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    graph = model("CONV_2D", [X, filter, bias], [X], np.int8, fused_activation_function="NONE", **window)
    _, w, b = graph.operations[0].inputs
    w.quant, b.quant = entry(0.01), entry(float(np.float32(0.01) * np.float32(CODES[np.int8][1])))
    assert operators(came_back(graph, tmp_path)) == operators(graph)


def test_sums_of_wide_codes_have_any_scales(tmp_path: Path) -> None:
    """Runtimes before version 3 of ADD take scales of int16 for powers of two."""
    found = came_back(model("ADD", [X, X], [X], np.int16, fused_activation_function="NONE"), tmp_path)
    assert found.operations[0].attribs["pot_scale_int16"] is False


def test_zeros_with_another_scale_are_no_bias(tmp_path: Path) -> None:
    """Operators with different scales may share them."""
    graph = classifier(np.int16)
    for op in graph.operations:
        if op.type in ("CONV_2D", "FULLY_CONNECTED"):
            bias = op.inputs[2]
            bias.data, bias.quant = np.zeros_like(bias.data), {**(bias.quant or {}), "scale": 0.5, "zero_point": 0}
    found = came_back(graph, tmp_path)
    assert [op.type for op in found.operations] == [op.type for op in graph.operations]
