"""NNEF to Caffe2: which operators are written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nnef_tools
from nnef_tools.conversion.nnef_to_caffe2 import Converter
from nnef_tools.errors import ConversionError, FormatError
from nnef_tools.io.caffe2 import Reader, Writer
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.verify import verify

from ...support.nnef_models import nnef_graph


@pytest.mark.parametrize(
    ("body", "types"),
    [
        ("x = external(shape = [2, 3]); y = relu(x);", ["Relu"]),
        ("x = external(shape = [2, 3]); y = clamp(x, 0.0, 6.0);", ["Clip"]),
        ("x = external(shape = [2, 3]); y = softmax(x, axes = [1]);", ["Softmax"]),
        ("x = external(shape = [2, 3, 4]); y = softmax(x, axes = [1]);", ["Transpose", "Softmax", "Transpose"]),
        ("x = external(shape = [2, 3]); y = select(x > 0.0, x, 0.0);", ["GT", "Where"]),
        ("x = external(shape = [2, 3]); y = pow(x, 2.5);", ["Pow"]),
        ("x = external(shape = [2, 3, 4, 5]); y = max_pool(x, size = [1, 1, 2, 2], border = 'ignore');", ["MaxPool"]),
        ("x = external(shape = [2, 3, 4]); y = avg_pool(x, size = [1, 1, 2], border = 'ignore');", ["AveragePool"]),
        ("x = external(shape = [2, 3, 4, 5]); y = pad(x, padding = [(0, 0), (0, 0), (1, 2), (0, 1)]);", ["PadImage"]),
        ("x = external(shape = [2, 3, 4, 5]); y = pad(x, padding = [(0, 0), (1, 0), (0, 0), (0, 0)]);", ["Concat"]),
        ("x = external(shape = [2, 3]); y = slice(x, axes = [0, 1], begin = [1, 0], end = [2, 2]);", ["Slice"] * 2),
        ("x = external(shape = [2, 3]); y = slice(x, axes = [1], begin = [0], end = [3], stride = [2]);", ["Gather"]),
        ("x = external(shape = [2, 3]); y = transpose(x, axes = [1, 0]);", ["Transpose"]),
        ("x = external(shape = [2, 3]); y = matmul(x, x, transposeB = true);", ["MatMul"]),
        ("x = external(shape = [1, 4, 3, 3]); y = nearest_upsample(x, factor = [2, 2]);", ["ResizeNearest"]),
        (
            "x = external(shape = [1, 7, 3, 3]); y = local_response_normalization(x, size = [1, 5, 1, 1]);",
            ["LRN"],
        ),
    ],
)  # fmt: skip
def test_operators(body: str, types: list[str]) -> None:
    graph = Converter()(nnef_graph(body))
    verify(graph)
    assert [op.type for op in graph.operations] == types


def test_refusals_by_name() -> None:
    body = "x = external(shape = [2, 3]); z = asinh(x); y = cum_sum(z, axis = 1);"
    with pytest.raises(ConversionError) as caught:
        Converter()(nnef_graph(body))
    assert [refusal.type for refusal in caught.value.refused] == ["asinh", "cum_sum"]


def test_files(tmp_path: Path) -> None:
    body = """
    x = external(shape = [1, 2, 4, 4]);
    w = variable(shape = [3, 2, 3, 3], label = 'w');
    y = conv(x, w, 0.5, padding = [(1, 1), (1, 1)]);
    """
    source = nnef_graph(body)
    weights = np.arange(54, dtype=np.float32).reshape(3, 2, 3, 3)
    next(t for t in source.tensors if t.name == "w").data = weights
    target = tmp_path / "out"
    nnef_tools.save_model(Converter()(source), target, format="caffe2")
    assert sorted(file.name for file in target.iterdir()) == ["init_net.pb", "predict_net.pb", "value_info.json"]
    assert json.loads((target / "value_info.json").read_text("utf-8")) == {"x": [1, [1, 2, 4, 4]]}
    first = {file.name: file.read_bytes() for file in target.iterdir()}
    [conv] = nnef_tools.load_model(target).operations
    assert conv.type == "Conv"
    assert conv.attribs["pads"] == [1, 1, 1, 1]
    np.testing.assert_array_equal(conv.inputs[1].data, weights)
    np.testing.assert_array_equal(conv.inputs[2].data, [0.5] * 3)
    Writer()(Converter()(source), target)
    assert {file.name: file.read_bytes() for file in target.iterdir()} == first


def test_float64_is_said_to_become_float32(tmp_path: Path) -> None:
    graph = nnef_graph("x = external(shape = [2]); y = x * 0.1;")
    graph.metadata["tensors"] = {"x": {"source": "x", "dtype": "float64"}, "y": {"source": "y", "dtype": "float64"}}
    for tensor in graph.tensors:
        tensor.dtype = np.float64
    converter = Converter()
    Writer()(converter(graph), tmp_path / "out")
    assert any("float32" in text for text in converter.warnings)


def test_codes_that_are_copied_stay_codes(tmp_path: Path) -> None:
    """A model that is read and written in its own format keeps the fillers of the Int8 operators."""
    from ...support.caffe2_models import recorded

    source = recorded("int8_conv").write(tmp_path)
    nnef_tools.convert_model(source, tmp_path / "copy", output_format="caffe2")
    first, second = Reader()(source), Reader()(tmp_path / "copy")
    assert [(op.type, op.attribs) for op in first.operations] == [(op.type, op.attribs) for op in second.operations]
    for one, other in zip(first.operations[1].inputs, second.operations[1].inputs, strict=True):
        assert (one.name, one.dtype, one.quant) == (other.name, other.dtype, other.quant)
        if one.data is not None:
            np.testing.assert_array_equal(one.data, other.data)


def test_what_has_no_form(tmp_path: Path) -> None:
    graph = Graph("g")
    x = Tensor(graph, "x", (2,), np.float32)
    w = Tensor(graph, "w", (2,), np.float16, np.zeros(2, np.float16))
    y = Tensor(graph, "y", (2,), np.float32)
    Operation(graph, "Add", inputs=(x, w), outputs=(y,))
    graph.inputs, graph.outputs = [x], [y]
    with pytest.raises(FormatError, match="constant 'w' is float16"):
        Writer()(graph, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    w.data, w.dtype = np.zeros(2, np.float32), np.float32
    graph.operations[0].attribs["axis"] = {"a": 1}
    with pytest.raises(FormatError, match="argument 'axis' has a value that Caffe2 has no form for"):
        Writer()(graph, tmp_path / "out")
