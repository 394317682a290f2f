"""ONNX files -> Graph: structure against the message, values against onnxruntime, bad files against crashes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from nnef_tools.errors import FileError, FormatError, MissingPackageError, NnefToolsError, UsageError
from nnef_tools.io.onnx import Reader
from nnef_tools.io.onnx.inference import infer_shapes
from nnef_tools.model.graph import Graph, Tensor

from ...support.onnx_models import run_onnx, text_model
from .models import FUNCTION_MODEL, IF_MODEL, LOOP_MODEL, linear_model, to_model

read = Reader().onnx_model_to_graph


def _tensor(graph: Graph, name: str) -> Tensor:
    (found,) = [tensor for tensor in graph.tensors if tensor.name == name]
    return found


def test_structure(tmp_path: Path) -> None:
    model = linear_model(100, 50, producer_name="me", producer_version="1.2", doc_string="doc")
    helper.set_model_props(model, {"license": "free"})
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path)
    graph = Reader()(str(path))
    graph.assert_consistent()
    assert graph.name == "linear"
    assert [(op.type, op.name, op.domain) for op in graph.operations] == [
        ("MatMul", "matmul", ""), ("Add", None, ""), ("Relu", None, "")]  # fmt: skip
    for op, node in zip(graph.operations, model.graph.node, strict=True):
        assert isinstance(op.inputs, tuple) and isinstance(op.outputs, tuple)
        assert [tensor.name for tensor in op.inputs] == list(node.input)
        assert [tensor.name for tensor in op.outputs] == list(node.output)
    assert [tensor.name for tensor in graph.inputs] == ["x"] and [tensor.name for tensor in graph.outputs] == ["y"]
    assert len(graph.tensors) == 6
    assert (_tensor(graph, "xw").shape, _tensor(graph, "xw").dtype) == (None, None)  # not declared
    infer_shapes(graph)
    assert (_tensor(graph, "xw").shape, _tensor(graph, "xw").dtype) == ((None, 50), np.float32)
    for initializer in onnx.load(path).graph.initializer:
        tensor = _tensor(graph, initializer.name)
        expected = numpy_helper.to_array(initializer)
        np.testing.assert_array_equal(tensor.data, expected)
        assert (tensor.shape, tensor.dtype) == (expected.shape, np.float32)
        assert not tensor.has_producer and not tensor.data.flags.writeable
    assert graph.metadata == {
        "opset": {"": 17}, "ir_version": 8, "producer": "me", "producer_version": "1.2", "doc": "doc",
        "metadata_props": {"license": "free"}, "symbolic": {"x": ["batch", 100], "y": ["batch", 50]},
    }  # fmt: skip


def test_initializers_that_are_inputs() -> None:
    model = linear_model(3, 4)
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 4]))
    graph = read(model)
    assert [tensor.name for tensor in graph.inputs] == ["x"]
    assert _tensor(graph, "w").data is not None


def test_domains_and_attributes() -> None:
    array = np.arange(6, dtype=np.int8).reshape(2, 3)
    node = helper.make_node("Foo", ["x"], ["y"], domain="com.example", f=0.5, i=3, s="text",
                            t=numpy_helper.from_array(array), floats=[1.0, 2.5], ints=[1, 2], strings=["a", "b"],
                            scalar=numpy_helper.from_array(np.array(7.0)))  # fmt: skip
    node.attribute.append(helper.make_attribute("empty", [], attr_type=AttributeProto.INTS))
    node.attribute.append(helper.make_attribute("binary", b"\xff\xfe"))
    node.attribute.append(helper.make_attribute("tensors", [numpy_helper.from_array(array)]))
    node.attribute.append(AttributeProto(name="untyped", ints=[4]))
    graph_type = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    relu = helper.make_node("Relu", ["y"], ["z"], domain="ai.onnx")
    opsets = [helper.make_opsetid("ai.onnx", 13), helper.make_opsetid("com.example", 2)]
    model = helper.make_model(
        helper.make_graph([node, relu], "g", [graph_type], [onnx.ValueInfoProto(name="z")]), opset_imports=opsets
    )
    graph = read(model)
    op = graph.operations[0]
    assert (op.domain, graph.operations[1].domain) == ("com.example", "")
    assert graph.metadata["opset"] == {"": 13, "com.example": 2}
    assert op.attribs["scalar"].shape == () and op.attribs.pop("scalar") == 7.0
    np.testing.assert_array_equal(op.attribs.pop("t"), array)
    np.testing.assert_array_equal(op.attribs.pop("tensors")[0], array)
    assert op.attribs == {"f": 0.5, "i": 3, "s": "text", "floats": [1.0, 2.5], "ints": [1, 2], "strings": ["a", "b"],
                          "empty": [], "binary": b"\xff\xfe", "untyped": [4]}  # fmt: skip
    assert type(op.attribs["i"]) is int and type(op.attribs["ints"]) is list


def test_missing_inputs_and_outputs() -> None:
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "", "", "h", ""], ["", "h1", ""], hidden_size=4),
        helper.make_node("LSTM", ["x", "w", "r", "", "", "", "c"], ["", "", "c1"], hidden_size=4),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("x", "w", "r", "h", "c")]
    outputs = [onnx.ValueInfoProto(name=name) for name in ("h1", "c1")]
    graph = read(helper.make_model(helper.make_graph(nodes, "g", infos, outputs)))
    graph.assert_consistent()
    first, second = graph.operations
    assert [tensor.name for tensor in first.inputs] == ["x", "w", "r", "", "", "h"]
    missing = first.inputs[3]
    assert missing is first.inputs[4] and missing is second.inputs[3] and missing is second.inputs[5]
    assert (missing.dtype, missing.shape, missing.data) == (np.float32, (), 0) and not missing.has_producer
    assert [tensor.name for tensor in first.outputs] == ["", "h1"]
    assert [tensor.name for tensor in second.outputs] == ["", "", "c1"]
    unnamed = [first.outputs[0], *second.outputs[:2]]
    assert len({id(tensor) for tensor in unnamed}) == 3
    assert all(tensor.data is None and tensor.producer is not None for tensor in unnamed)
    assert graph.sort() and graph.is_unique()


@pytest.mark.parametrize(
    "attribute, expected",
    [
        ({"value": numpy_helper.from_array(np.array([[1, 2]], np.int8))}, np.array([[1, 2]], np.int8)),
        ({"value_float": 0.5}, np.array(0.5, np.float32)),
        ({"value_floats": [1.0, 2.0]}, np.array([1, 2], np.float32)),
        ({"value_int": 3}, np.array(3)),
        ({"value_ints": [3, 4]}, np.array([3, 4])),
        ({"value_string": "ab"}, np.array("ab", np.object_)),
        ({"value_strings": ["ab", "c"]}, np.array(["ab", "c"], np.object_)),
        (
            {
                "sparse_value": helper.make_sparse_tensor(
                    numpy_helper.from_array(np.array([4.0])), numpy_helper.from_array(np.array([1])), [3]
                )
            },
            np.array([0, 4.0, 0]),
        ),
    ],
)
def test_constants(attribute: dict[str, Any], expected: np.ndarray[Any, Any]) -> None:
    node = helper.make_node("Constant", [], ["c"], **attribute)
    graph = read(helper.make_model(helper.make_graph([node], "g", [], [onnx.ValueInfoProto(name="c")])))
    (op,) = graph.operations
    assert op.type == "Constant" and list(op.attribs) == list(attribute)
    np.testing.assert_array_equal(op.output.data, expected)
    assert op.output.data.dtype == expected.dtype and op.output.shape == expected.shape
    assert op.output.dtype == (np.str_ if expected.dtype == np.object_ else expected.dtype.type)


@pytest.mark.parametrize("attributes", [{}, {"value_int": 1, "value_float": 1.0}, {"value_float": "x"}])
def test_invalid_constants(attributes: dict[str, Any]) -> None:
    node = helper.make_node("Constant", [], ["c"], **attributes)
    with pytest.raises(FormatError):
        read(helper.make_model(helper.make_graph([node], "g", [], [])))


@pytest.mark.parametrize("text", [IF_MODEL, LOOP_MODEL, FUNCTION_MODEL], ids=["if", "loop", "functions"])
def test_same_values_as_the_message(text: str) -> None:
    model = text_model(text)
    graph = read(model)
    graph.assert_consistent()
    assert graph.is_sorted() and graph.is_unique()
    random = np.random.default_rng(3)
    for flag in (True, False):
        inputs = [
            np.array(flag) if tensor.dtype == np.bool_ else random.standard_normal(tensor.shape).astype(np.float32)
            for tensor in graph.inputs
        ]
        expected = run_onnx(model, inputs)
        for found, wanted in zip(run_onnx(to_model(graph), inputs), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_nested_graphs_use_outer_tensors() -> None:
    graph = read(text_model(IF_MODEL))
    op = graph.operations[1]
    branch = op.attribs["then_branch"]
    assert isinstance(branch, Graph) and branch.name == "then_graph"
    (mul,) = branch.operations
    assert mul.inputs == (_tensor(graph, "x"), _tensor(graph, "scale"))
    assert mul in _tensor(graph, "x").consumers
    assert mul.inputs[1].data == 2.0
    assert (branch.outputs[0].dtype, branch.outputs[0].shape) == (np.float32, (2, 3))
    assert all(tensor.graph is branch for tensor in branch.tensors)
    assert {tensor.name for tensor in graph.tensors} == {"cond", "x", "scale", "y"}


def test_functions_like_the_inliner_of_onnx() -> None:
    from onnx import inliner

    model = text_model(FUNCTION_MODEL)
    before = model.SerializeToString()
    graph = read(model)
    assert model.SerializeToString() == before
    expected = inliner.inline_local_functions(model)
    assert [op.type for op in graph.operations] == [node.op_type for node in expected.graph.node]
    assert [op.attribs.get("value_float") for op in graph.operations if op.type == "Constant"] == [2.0, 1.0, 3.0]
    assert "local" not in {op.domain for op in graph.operations}


def test_function_calls_itself() -> None:
    text = """<ir_version: 9, opset_import: ["" : 17, "f" : 1]> g (float x) => (float y) { y = f.a (x) }
    <domain: "f", opset_import: ["" : 17, "f" : 1]> a (x) => (y) { t = f.b (x) y = Neg (t) }
    <domain: "f", opset_import: ["" : 17, "f" : 1]> b (x) => (y) { y = f.a (x) }"""
    with pytest.raises(FormatError, match="itself"):
        read(text_model(text))


def test_functions_that_explode() -> None:
    text = '<ir_version: 9, opset_import: ["" : 17, "f" : 1]> g (float x) => (float y) { y = f.f40 (x) }\n'
    for k in range(1, 41):
        body = f"t = f.f{k - 1} (x) y = f.f{k - 1} (t)"
        text += f'<domain: "f", opset_import: ["" : 17, "f" : 1]> f{k} (x) => (y) {{ {body} }}\n'
    text += '<domain: "f", opset_import: ["" : 17, "f" : 1]> f0 (x) => (y) { y = Neg (x) }'
    with pytest.raises(FormatError, match="expand"):
        read(text_model(text))


def test_function_of_another_opset() -> None:
    text = """<ir_version: 9, opset_import: ["" : 12, "f" : 1]> g (float[2,3] x) => (float[2,3] y) {{ y = f.a (x) }}
    <domain: "f", opset_import: ["" : 17]> a (x) => (y) {{ y = {} (x) }}"""
    assert [op.type for op in read(text_model(text.format("Sin"))).operations] == ["Sin"]
    with pytest.raises(FormatError, match="Softmax"):
        read(text_model(text.format("Softmax")))


def test_unsorted_nodes() -> None:
    model = text_model(IF_MODEL)
    nodes = list(model.graph.node)[::-1]
    copy = ModelProto.FromString(model.SerializeToString())
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    graph = read(copy)
    assert [op.type for op in graph.operations] == ["Constant", "If"]


@pytest.mark.parametrize(
    "body, match",
    [("y = Add (x, z) z = Neg (y)", "cycle"), ("y = Neg (y)", "cycle"), ("y = Add (x, q)", "'q' is used"),
     ("t = Neg (x) t = Abs (x) y = Neg (t)", "twice"), ("x = Neg (x) y = Abs (x)", "twice"),
     ("t = Neg (x)", "'y' is used"),
     ("t, t = Split (x) y = Neg (t)", "twice")],
)  # fmt: skip
def test_invalid_graphs(body: str, match: str) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) {{ {body} }}'
    with pytest.raises(FormatError, match=match):
        read(text_model(text))


@pytest.mark.parametrize("change, match", [
    (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "two initializers"),
    (lambda m: m.graph.input.append(m.graph.input[0]), "two inputs"),
    (lambda m: m.graph.node[0].ClearField("op_type"), "type"),
    (lambda m: m.graph.initializer[0].ClearField("name"), "without a name"),
    (lambda m: setattr(m.opset_import[0], "version", 1000), "version 1000"),
    (lambda m: setattr(m.opset_import[0], "version", -1), "version -1"),
    (lambda m: m.ClearField("graph"), "no graph"),
    (lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 99), "type 99"),
    (lambda m: m.graph.node[0].attribute.append(AttributeProto(name="a", type=1, ref_attr_name="b")), "function"),
    (lambda m: m.graph.node[0].attribute.extend([AttributeProto(name="a", i=1)] * 2), "twice"),
])  # fmt: skip
def test_invalid_models(change: Callable[[ModelProto], Any], match: str) -> None:
    model = linear_model(2, 3)
    change(model)
    with pytest.raises(FormatError, match=match):
        read(model)


def test_no_opset_is_the_first() -> None:
    model = linear_model(2, 3)
    del model.opset_import[:]
    assert read(model).metadata["opset"] == {"": 1}


def test_quantization_annotation() -> None:
    model = linear_model(2, 3)
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.25, np.float32), "scale"))
    annotation = model.graph.quantization_annotation.add(tensor_name="y")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="scale")
    assert read(model).outputs[0].quant == {"SCALE_TENSOR": np.float32(0.25)}
    annotation.quant_parameter_tensor_names.add(key="ZERO_POINT_TENSOR", value="none")
    with pytest.raises(FormatError, match="ZERO_POINT"):
        read(model)


def test_sparse_initializer() -> None:
    model = linear_model(2, 3)
    values = numpy_helper.from_array(np.array([4.0], np.float32), "b")
    del model.graph.initializer[1:]
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([2])), [3])
    )
    assert _tensor(read(model), "b").data.tolist() == [0, 0, 4]


def _shapes_model(tmp_path: Path) -> Path:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[n, 3, h] a, float[n, ?] b, float[2] c) => (float[p, q] y) {
        s = Shape (a) i = Constant <value_ints: ints = [0]> () n = Gather (s, i)
        m = Constant <value_ints: ints = [-1]> () t = Concat <axis = 0> (n, m)
        y = Reshape (a, t)
    }"""
    path = tmp_path / "shapes.onnx"
    onnx.save_model(text_model(text), path)
    return path


def test_input_shapes(tmp_path: Path) -> None:
    path = _shapes_model(tmp_path)
    open_graph = Reader()(path)
    assert [tensor.shape for tensor in open_graph.inputs] == [(None, 3, None), (None, None), (2,)]
    assert open_graph.metadata["symbolic"]["a"] == ["n", 3, "h"]
    graph = Reader()(path, {"a": (4, 3, np.int64(5))})
    assert [tensor.shape for tensor in graph.inputs] == [(4, 3, 5), (4, None), (2,)]
    assert graph.metadata["symbolic"] == {"y": ["p", "q"]}
    infer_shapes(graph)
    assert graph.outputs[0].shape == (4, 15)
    graph = Reader()(path, {"a": [4, 3, None], "b": [6, 7]})
    assert [tensor.shape for tensor in graph.inputs] == [(4, 3, None), (6, 7), (2,)]


def test_named_extents_of_outputs(tmp_path: Path) -> None:
    path = tmp_path / "linear.onnx"
    onnx.save_model(linear_model(3, 4), path)
    graph = Reader()(path, {"x": (5, 3)})
    assert graph.outputs[0].shape == (5, 4) and graph.metadata["symbolic"] == {}


def test_input_shape_of_unknown_rank(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[] x) => (float y) { y = Neg (x) }'
    model = text_model(text)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert read(model).outputs[0].shape is None
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path)
    graph = Reader()(path, {"x": (2, 3)})
    assert graph.inputs[0].shape == (2, 3)
    infer_shapes(graph)
    assert graph.outputs[0].shape == (2, 3)


@pytest.mark.parametrize(
    "shapes, match",
    [({"z": (1,)}, "not an input"), ({"a": (1, 3)}, "rank"),
     ({"a": (1, 3, "x")}, "integers"), ({"a": 5}, "integers"), ({"a": (-1, 3, 3)}, "range")],
)  # fmt: skip
def test_wrong_input_shapes(tmp_path: Path, shapes: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Reader()(_shapes_model(tmp_path), shapes)


def test_files(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="missing"):
        Reader()(tmp_path / "missing.onnx")
    with pytest.raises(FileError):
        Reader()(tmp_path)
    for content in (b"", b"random text, no model at all", bytes(10000), b"\x08\x07"):
        path = tmp_path / "bad.onnx"
        path.write_bytes(content)
        with pytest.raises(FormatError, match=r"bad\.onnx"):
            Reader()(path)


def test_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingPackageError, match="onnxsim"):
        monkeypatch.setitem(sys.modules, "onnxsim", None)
        Reader(simplify=True)(_shapes_model(tmp_path))
    path = tmp_path / "functions.onnx"
    onnx.save_model(text_model(FUNCTION_MODEL), path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackageError, match="functions"):
        Reader()(path)
    assert Reader()(_shapes_model(tmp_path)).operations


def test_reading_loads_no_onnx(tmp_path: Path) -> None:
    path = _shapes_model(tmp_path)
    code = f"import sys, nnef_tools.io.onnx; nnef_tools.io.onnx.Reader()({str(path)!r}); "
    code += "assert 'onnx' not in sys.modules and 'google.protobuf' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def _mutants(data: bytes, count: int, seed: int) -> list[bytes]:
    random = np.random.default_rng(seed)
    result = []
    for k in range(count):
        mutant = bytearray(data)
        if k % 4 == 0:
            mutant = mutant[: random.integers(len(data))]
        elif k % 4 == 1:
            for _ in range(random.integers(1, 6)):
                mutant[random.integers(len(mutant))] ^= 1 << int(random.integers(8))
        elif k % 4 == 2:
            start = random.integers(len(mutant))
            mutant[start : start + 8] = random.integers(0, 256, random.integers(1, 12), np.uint8).tobytes()
        else:
            begin, end = sorted(random.integers(0, len(mutant), 2))
            mutant[begin:begin] = mutant[begin : min(end, begin + 200)]
        result.append(bytes(mutant))
    return result


def _large_constants() -> ModelProto:
    model = linear_model(60, 40)
    values = TensorProto(name="v", data_type=TensorProto.INT64, dims=[5000])
    values.int64_data.extend(range(5000))
    model.graph.initializer.append(values)
    return model


@pytest.mark.parametrize(
    "model",
    [text_model(IF_MODEL), text_model(LOOP_MODEL), text_model(FUNCTION_MODEL), linear_model(3, 4), _large_constants()],
    ids=["if", "loop", "functions", "linear", "large"],
)
def test_mutants(tmp_path: Path, model: ModelProto) -> None:
    data = model.SerializeToString()
    path = tmp_path / "mutant.onnx"
    outcomes = {"read": 0, "refused": 0}
    for mutant in _mutants(data, 240, len(data)):
        path.write_bytes(mutant)
        try:
            graph = Reader()(path)
        except NnefToolsError as error:
            assert error.message
            outcomes["refused"] += 1
        else:
            graph.assert_consistent()
            outcomes["read"] += 1
    assert min(outcomes.values()) >= 5


def test_weights_are_not_read(tmp_path: Path) -> None:
    """Reading 48 MB of weights takes a fraction of their size, in a process of its own."""
    path = tmp_path / "large.onnx"
    onnx.save_model(linear_model(3000, 4000), path)
    code = f"""
import resource
from nnef_tools.io.onnx import Reader
from nnef_tools.io.onnx.inference import infer_shapes
import nnef_tools.io.onnx.build
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
graph = Reader()({str(path)!r})
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert sum(t.data.nbytes for t in graph.tensors if t.data is not None) > 48_000_000
assert used < 8 * 1024, used
"""
    subprocess.run([sys.executable, "-c", code], check=True)
