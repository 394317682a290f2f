"""The ONNX writer: what it writes passes the checker, computes the same and reads back to the same graph."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnef_tools.errors import FileError, FormatError
from nnef_tools.io.onnx import Reader, Writer
from nnef_tools.io.onnx import writer as module
from nnef_tools.model import Graph, Operation, Tensor

from ...support.onnx_models import Typed, onnx_model, run_onnx

TEXT = """
<ir_version: 8, opset_import: ["": 17, "com.example": 3], producer_name: "other",
 doc_string: "about", metadata_props: ["license": "MIT"]>
main (float[N, 4] x, bool c) => (float[N, 4] y)
<float[4] bias = {1, 2, 3, 4}>
{
    [first] a = Add (x, bias)
    [branch] y = If (c) <
        then_branch = yes () => (float[N, 4] p) { p = Relu (a) },
        else_branch = no () => (float[N, 4] q) { [inner] q = LeakyRelu <alpha = 0.5> (a) }
    >
}
"""


def written(graph: Graph, path: Path, **options: object) -> onnx.ModelProto:
    Writer(**options)(graph, path)  # type: ignore[arg-type]
    onnx.checker.check_model(str(path), full_check=True)
    return onnx.load(path)


def linear(weights: np.ndarray, dtype: type = np.float32) -> Graph:
    """y = x @ weights"""
    graph = Graph("net")
    x = Tensor(graph, "x", (2, weights.shape[0]), dtype)
    w = Tensor(graph, "w", weights.shape, dtype, weights)
    y = Tensor(graph, "y", (2, weights.shape[1]), dtype)
    Operation(graph, "MatMul", inputs=(x, w), outputs=(y,))
    graph.inputs, graph.outputs = [x], [y]
    return graph


def run(path: Path, **inputs: np.ndarray) -> list[np.ndarray]:
    return run_onnx(path, inputs)


def test_everything_of_a_model_survives(tmp_path: Path) -> None:
    source = onnx.parser.parse_model(TEXT)
    onnx.save(source, tmp_path / "in.onnx")
    model = written(Reader()(tmp_path / "in.onnx"), tmp_path / "out.onnx")
    assert model.producer_name == "nnef-tools"
    assert model.ir_version == 8
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 17, "com.example": 3}
    assert model.doc_string == "about"
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [("license", "MIT")]
    assert model.graph.name == "main"
    assert [node.name for node in model.graph.node] == ["first", "branch"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    assert [item.name for item in model.graph.input] == ["x", "c"]  # initializers are none of them
    assert [item.name for item in model.graph.initializer] == ["bias"]
    bodies = {a.name: a.g for a in model.graph.node[1].attribute}
    assert bodies["else_branch"].node[0].name == "inner"
    assert bodies["else_branch"].node[0].input == ["a"]
    x = np.array([[-9, 1, 2, 3]], np.float32)
    for c in (True, False):
        expected = x + np.array([1, 2, 3, 4], np.float32)
        expected = np.where(expected < 0, 0 if c else 0.5 * expected, expected)
        np.testing.assert_array_equal(run(tmp_path / "out.onnx", x=x, c=np.array(c))[0], expected)


def test_bytes_are_reproducible(tmp_path: Path) -> None:
    graph = linear(np.arange(12, dtype=np.float32).reshape(3, 4))
    for name in ("a.onnx", "b.onnx"):
        Writer()(graph, tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.parametrize(
    "dtype",
    [np.float32, np.float16, np.float64, np.int8, np.uint16, np.int64, np.uint64, np.bool_, np.complex64,
     ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2fnuz, ml_dtypes.int4, ml_dtypes.uint4,
     ml_dtypes.float4_e2m1fn, ml_dtypes.int2, ml_dtypes.uint2],
)  # fmt: skip
def test_initializers_of_each_type(dtype: type, tmp_path: Path) -> None:
    """An odd count, so that packed types end within a byte."""
    values = np.array([0, 1, 1, 0, 1, 1, 0], np.float32).astype(dtype)
    graph = Graph("net")
    c = Tensor(graph, "c", values.shape, dtype, values)
    y = Tensor(graph, "y", values.shape, dtype)
    Operation(graph, "Identity", inputs=(c,), outputs=(y,))
    graph.outputs = [y]
    graph.metadata["opset"] = {"": 25}
    model = written(graph, tmp_path / "out.onnx")
    read = numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_array_equal(read.astype(np.complex64), values.astype(np.complex64))


def test_file_version_fits_opset_and_types(tmp_path: Path) -> None:
    graph = linear(np.ones((3, 4), np.float32))
    versions = {}
    for opset in (13, 18, 21, 25):
        graph.metadata["opset"] = {"": opset}
        versions[opset] = written(graph, tmp_path / "out.onnx").ir_version
    assert versions == {13: 7, 18: 8, 21: 10, 25: 13}
    assert written(graph, tmp_path / "out.onnx", ir_version=13).ir_version == 13


def test_opset_of_the_graph_is_not_relabeled(tmp_path: Path) -> None:
    graph = linear(np.ones((3, 4), np.float32))
    assert written(graph, tmp_path / "out.onnx", opset_version=14).opset_import[0].version == 14
    graph.metadata["opset"] = {"": 13}
    with pytest.raises(FormatError, match="version 13, not 14"):
        Writer(opset_version=14)(graph, tmp_path / "out.onnx")


def test_external_data(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32)
    graph = linear(weights)
    model = written(graph, tmp_path / "out.onnx", external_data=True)
    raw = (tmp_path / "out.onnx.data").read_bytes()
    assert raw == weights.tobytes()
    assert len((tmp_path / "out.onnx").read_bytes()) < 1000
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[0]), weights)
    x = np.ones((2, 40), np.float32)
    np.testing.assert_allclose(run(tmp_path / "out.onnx", x=x)[0], x @ weights, rtol=1e-4, atol=1e-4)
    again = Reader()(tmp_path / "out.onnx")
    Writer(external_data=True)(again, tmp_path / "out.onnx")  # in place, from the mapped file
    assert (tmp_path / "out.onnx.data").read_bytes() == raw


def test_external_data_is_aligned_and_used_above_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MESSAGE", 8000)
    graph = linear(np.ones((40, 30), np.float32))
    Writer()(graph, tmp_path / "one.onnx")
    assert not (tmp_path / "one.onnx.data").exists()
    y = Tensor(graph, "z", (2, 40), np.float32)
    w = Tensor(graph, "v", (30, 40), np.float32, np.full((30, 40), 2, np.float32))
    Operation(graph, "MatMul", inputs=(graph.outputs[0], w), outputs=(y,))
    model = written(graph, tmp_path / "two.onnx")
    entries = [
        {e.key: e.value for e in t.external_data}
        for t in onnx.load(tmp_path / "two.onnx", load_external_data=False).graph.initializer
    ]
    assert [int(e["offset"]) for e in entries] == [0, 8192]
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[1]), np.asarray(w.data))


def test_operators_without_definition_get_a_domain(tmp_path: Path) -> None:
    graph = linear(np.ones((3, 4), np.float32))
    graph.operations[0].type = "my_matmul"
    model = written(graph, tmp_path / "out.onnx")
    assert model.graph.node[0].domain != ""
    assert model.graph.node[0].domain in {entry.domain for entry in model.opset_import}


def test_operators_of_onnxruntime_stay_in_the_default_domain(tmp_path: Path) -> None:
    x, scale = np.array([[1, 2, 2, 4]], np.float32), np.array([1, 2, 3, 4], np.float32)
    node = onnx.helper.make_node("SimplifiedLayerNormalization", ["x", "scale"], ["y"], epsilon=0.0)
    model = onnx_model([node], {"x": Typed(np.float32, [1, 4])}, {"y": Typed(np.float32, [1, 4])}, {"scale": scale})
    onnx.save(model, tmp_path / "in.onnx")
    Writer()(Reader()(tmp_path / "in.onnx"), tmp_path / "out.onnx")
    y = run_onnx(onnx.load(tmp_path / "out.onnx"), {"x": x})[0]
    np.testing.assert_allclose(y, x / 2.5 * scale, rtol=1e-6)


def test_outputs_of_unknown_rank_have_no_shape(tmp_path: Path) -> None:
    """onnx.checker refuses them, while exporters write them and runtimes take them."""
    graph = linear(np.ones((3, 4), np.float32))
    graph.outputs[0].shape = None
    Writer()(graph, tmp_path / "out.onnx")
    assert not onnx.load(tmp_path / "out.onnx").graph.output[0].type.tensor_type.HasField("shape")
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(run(tmp_path / "out.onnx", x=x)[0], np.full((2, 4), 3, np.float32))


def test_attributes_have_the_types_of_the_definition(tmp_path: Path) -> None:
    graph = Graph("net")
    x = Tensor(graph, "x", (2, 3), np.float32)
    y = Tensor(graph, "y", (2, 3), np.float32)
    Operation(graph, "LeakyRelu", attribs={"alpha": 1}, inputs=(x,), outputs=(y,))
    graph.inputs, graph.outputs = [x], [y]
    model = written(graph, tmp_path / "out.onnx")
    assert model.graph.node[0].attribute[0].type == onnx.AttributeProto.FLOAT
    graph.operations[0].attribs = {"alpha": "much"}
    with pytest.raises(FormatError, match="alpha"):
        Writer()(graph, tmp_path / "out.onnx")


def test_invalid_graphs_leave_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.onnx"
    path.write_bytes(b"before")
    graph = linear(np.ones((3, 4), np.float32))
    graph.operations[0].attribs = {"none": 1}
    with pytest.raises(FormatError, match="not a valid ONNX model"):
        Writer()(graph, path)
    graph.outputs[0].name = None
    with pytest.raises(FormatError, match="no name"):
        Writer()(graph, path)
    assert [file.name for file in tmp_path.iterdir()] == ["out.onnx"]
    assert path.read_bytes() == b"before"
    with pytest.raises(FileError):
        Writer()(linear(np.ones((3, 4), np.float32)), tmp_path)


def test_quantization_annotations_survive(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[2] x) => (float[2] y) <float s = {0.5}> { y = Relu (x) }'
    )
    annotation = onnx.TensorAnnotation(tensor_name="x")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="s")
    model.graph.quantization_annotation.append(annotation)
    onnx.save(model, tmp_path / "in.onnx")
    graph = Reader()(tmp_path / "in.onnx")
    written(graph, tmp_path / "out.onnx")
    again = Reader()(tmp_path / "out.onnx")
    quant = {t.name: t.quant for t in again.tensors if t.quant}
    assert list(quant) == ["x"] and float(quant["x"]["SCALE_TENSOR"]) == 0.5


def test_strings(tmp_path: Path) -> None:
    tensor = helper.make_tensor("s", TensorProto.STRING, [2], [b"a", "ü".encode()])
    node = helper.make_node("Identity", ["s"], ["y"])
    output = helper.make_tensor_value_info("y", TensorProto.STRING, [2])
    onnx.save(helper.make_model(helper.make_graph([node], "g", [], [output], [tensor])), tmp_path / "in.onnx")
    model = written(Reader()(tmp_path / "in.onnx"), tmp_path / "out.onnx")
    assert list(model.graph.initializer[0].string_data) == [b"a", "ü".encode()]
