"""The converter from NNEF to TensorFlow Lite for its users: refusals, plugins, custom operators, inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnef_tools.conversion.engine.transform import Transform
from nnef_tools.conversion.nnef_to_tflite import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.io.tf.lite import Reader, Writer
from nnef_tools.model import Graph, Operation, Tensor

from ...support.nnef_models import nnef_graph
from .checks import check_lite, converted_to_tflite, operators, run_litert

X = "x = external(shape = [1, 2, 3, 4]); "


def test_io_transpose() -> None:
    converted = converted_to_tflite(nnef_graph(X + "y = relu(x);"), io_transpose=True)
    assert (converted.inputs[0].shape, converted.outputs[0].shape) == ((1, 3, 4, 2), (1, 3, 4, 2))
    assert operators(converted) == ["RELU"]


def test_float64_is_refused() -> None:
    graph = nnef_graph(X + "y = exp(x);")
    for tensor in graph.tensors:
        tensor.dtype = np.float64
    with pytest.raises(ConversionError) as caught:
        Converter()(graph)
    assert "float64" in caught.value.refused[0].reason


def test_transform_with_helpers() -> None:
    transform = Transform(
        type="RELU6", inputs="!pad_input(I[0], [(0, 0), (0, 0), (1, 1), (0, 0)])", outputs="!O[0]", using={}
    )
    graph = nnef_graph("x = external(shape = [1, 2, 3, 4]); y = relu(x);")
    converted = Converter(custom_transforms={"relu": transform})(graph)
    assert operators(converted) == ["PAD", "RELU6"]


def test_helpers() -> None:
    converter = Converter()
    assert converter.is_same_padding([7, 6], [4, 6], [2, 1])
    assert not converter.is_same_padding([7, 6], [3, 6], [2, 1])
    assert converter.is_valid_padding([(0, 0)])
    assert not converter.is_valid_padding([])
    assert not converter.is_valid_padding([(0, 1)])
    assert converter.data_format(2) == "NHWC"


def test_custom_operators(tmp_path: Path) -> None:
    graph = Graph("g")
    x = Tensor(graph, "x", (1, 3), np.float32)
    y, z = Tensor(graph, "y", (1, 3), np.float32), Tensor(graph, "z", (1, 3), np.float32)
    Operation(graph, "external", attribs={"shape": [1, 3]}, inputs=(), outputs=(x,))
    Operation(graph, "Blend", attribs={"factor": 0.5, "steps": [1, 2]}, inputs=(x,), outputs=(y,), custom=True)
    Operation(graph, "Raw", attribs={"custom_options": "01ff"}, inputs=(y,), outputs=(z,), custom=True)
    graph.inputs, graph.outputs = [x], [z]
    with pytest.raises(ConversionError):
        Converter()(graph)
    path = tmp_path / "custom.tflite"
    Writer()(Converter(mirror_unsupported=True)(graph), path)
    first, second = Reader()(path).operations
    shown = [{key: value for key, value in op.attribs.items() if key[0] != "_"} for op in (first, second)]
    assert (first.type, first.custom, shown[0]) == ("Blend", True, {"factor": 0.5, "steps": [1, 2]})
    assert (second.type, second.custom, shown[1]) == ("Raw", True, {"custom_options": b"\x01\xff"})


def test_integers_of_32_bits_stay() -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT runs the converted models")
    body = "i = external<integer>(shape = [2, 3]); n = argmax_reduce(cast<scalar>(i), axes = [1]); "
    graph = nnef_graph(body + "y = tile(n, repeats = [1, 2]); z = copy(i);", ("y", "z"))
    wide = converted_to_tflite(graph)
    assert {t.dtype for t in (*wide.inputs, *wide.outputs)} == {np.int64}
    graph.metadata = {"tensors": {name: {"dtype": "int32"} for name in ("i", "n", "y", "z")}}
    converted = converted_to_tflite(graph)
    assert np.int64 not in {t.dtype for t in converted.tensors}
    feeds = {"i": np.array([[3, 0, 1], [2, 7, 5]], np.int32)}
    results = run_litert(converted, feeds, reference=True)
    assert results["y"].tolist() == [[0, 0], [1, 1]]
    assert results["z"].tolist() == [[3, 0, 1], [2, 7, 5]]


def test_indices_in_int32_need_no_cast() -> None:
    pytest.importorskip("ai_edge_litert", reason="LiteRT runs the converted models")
    graph = nnef_graph(
        "i = external<integer>(shape = [2]); t = constant(shape = [3, 2], value = [0.5]); y = gather(t, i);"
    )
    check_lite(graph, {"i": np.array([2, 0])}, ops=["GATHER"])
