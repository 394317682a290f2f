"""Function bodies of standard operators, against the expanded models of the onnx backend tests and onnxruntime."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from nnef_tools.io.onnx import Reader
from nnef_tools.io.onnx.functions import expand
from nnef_tools.model.graph import Graph, Operation

from ...support.onnx_models import run_onnx
from .models import to_model

read = Reader().onnx_model_to_graph


@pytest.fixture(scope="module")
def cases() -> dict[str, ModelProto]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return {case.name: case.model for case in collect_testcases(None)}


def test_all_backend_tests_read(cases: dict[str, ModelProto]) -> None:
    assert len(cases) > 1000
    for name, model in cases.items():
        graph = read(model)
        graph.assert_consistent()
        assert graph.is_sorted() and graph.is_unique(), name
        assert [op.type for op in graph.operations] == [node.op_type for node in model.graph.node], name
        for tensor, value in zip(graph.outputs, model.graph.output, strict=True):
            kind = value.type.tensor_type
            if kind.elem_type not in (0, TensorProto.STRING):
                assert tensor.dtype == helper.tensor_dtype_to_np_dtype(kind.elem_type).type, name
            if kind.elem_type and all(dim.HasField("dim_value") for dim in kind.shape.dim):
                assert tensor.shape == tuple(dim.dim_value for dim in kind.shape.dim), name


def _needed_nodes(model: ModelProto) -> list[NodeProto]:
    """The nodes of an expanded model that its outputs depend on."""
    producers = {name: node for node in model.graph.node for name in node.output}
    done: set[str] = set()
    stack = [value.name for value in model.graph.output]
    while stack:
        name = stack.pop()
        if name in producers and name not in done:
            done.update(producers[name].output)
            stack.extend(producers[name].input)
            for attribute in producers[name].attribute:
                stack.extend(item for node in attribute.g.node for item in node.input)
                stack.extend(value.name for value in attribute.g.output)
    return [node for node in model.graph.node if done.intersection(node.output)]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    return [op.type for op in value.operations] if isinstance(value, Graph) else value


def _expected_attributes(node: NodeProto) -> dict[str, Any]:
    result = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, TensorProto):
            value = numpy_helper.to_array(value)
        elif isinstance(value, bytes):
            value = value.decode()
        elif attribute.HasField("g"):
            value = [inner.op_type for inner in value.node]
        result[attribute.name] = _plain(value)
    return result


def test_bodies_like_the_expanded_models(cases: dict[str, ModelProto]) -> None:
    types = set()
    for name, model in cases.items():
        graph = read(model)
        for suffix in ("_expanded", "_expanded_ver18"):
            expected = cases.get(name + suffix)
            if expected is None or len(graph.operations) != 1 or any(o.name == "" for o in graph.operations[0].outputs):
                continue
            (op,) = graph.operations
            if any(isinstance(value, Graph) for value in op.attribs.values()):
                assert expand(op, graph.metadata["opset"]) is None
                continue
            # The expanded models come from the body for the version of the model that they state.
            version = {entry.domain: entry.version for entry in expected.opset_import}
            body = expand(op, graph.metadata["opset"] | version)
            assert body is not None, name
            body.assert_consistent()
            assert len(body.inputs) == len(op.inputs) and len(body.outputs) == len(op.outputs)
            nodes = _needed_nodes(expected)
            assert [item.type for item in body.operations] == [node.op_type for node in nodes], name
            for item, node in zip(body.operations, nodes, strict=True):
                attribs = {key: _plain(value) for key, value in item.attribs.items()}
                assert attribs == _expected_attributes(node), (name, item)
            types.add(op.type)
    assert len(types) > 30


def _operation(node: NodeProto, shapes: list[list[int]], version: int) -> tuple[Operation, ModelProto]:
    names = [name for name in node.input if name]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(names, shapes, strict=True)]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph([node], "g", infos, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=9)
    return read(model).operations[0], model


@pytest.mark.parametrize(
    "node, shapes, version",
    [
        (helper.make_node("Elu", ["x"], ["y"], alpha=0.3), [[2, 3]], 13),
        (helper.make_node("Elu", ["x"], ["y"]), [[2, 3]], 22),
        (helper.make_node("Selu", ["x"], ["y"]), [[2, 3]], 6),
        (helper.make_node("HardSigmoid", ["x"], ["y"], beta=0.4), [[2, 3]], 17),
        (helper.make_node("MeanVarianceNormalization", ["x"], ["y"]), [[2, 3, 4, 4]], 13),
        (helper.make_node("Celu", ["x"], ["y"], alpha=2.0), [[2, 3]], 12),
        (helper.make_node("Softmax", ["x"], ["y"]), [[2, 3]], 13),
        (helper.make_node("LogSoftmax", ["x"], ["y"], axis=0), [[2, 3]], 18),
        (helper.make_node("Clip", ["x", "", "max"], ["y"]), [[2, 3], []], 13),
        (helper.make_node("LayerNormalization", ["x", "s"], ["y"], axis=-1), [[2, 3], [3]], 17),
        (helper.make_node("LayerNormalization", ["x", "s", "b"], ["y", "", "inv"], axis=1), [[2, 3], [3], [3]], 17),
        (helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2), [[2, 4, 5], [4], [4]], 21),
        (helper.make_node("Gelu", ["x"], ["y"], approximate="tanh"), [[2, 3]], 20),
        (helper.make_node("Mish", ["x"], ["y"]), [[2, 3]], 18),
        (helper.make_node("ReduceL2", ["x"], ["y"], keepdims=0), [[2, 3]], 18),
    ],
    ids=lambda value: value.op_type if isinstance(value, NodeProto) else None,
)
def test_bodies_compute_the_same(node: NodeProto, shapes: list[list[int]], version: int) -> None:
    op, model = _operation(node, shapes, version)
    body = expand(op, {"": version})
    assert body is not None
    for tensor in body.outputs:
        tensor.dtype = np.float32
    random = np.random.default_rng(5)
    values = [np.asarray(random.standard_normal(shape) + 0.5, np.float32) for shape in shapes]

    expected = iter(run_onnx(model, values))
    inner = iter(values)
    present = [next(inner) if name else np.zeros((), np.float32) for name in node.input]
    for tensor in body.inputs:  # the runtime wants a type for each input, also for the one that nothing uses
        tensor.dtype, tensor.shape = tensor.dtype or np.float32, tensor.shape or ()
    for name, found in zip(node.output, run_onnx(to_model(body), present), strict=True):
        if name:
            np.testing.assert_allclose(found, next(expected), rtol=1e-5, atol=1e-6)


def test_no_function() -> None:
    op, _ = _operation(helper.make_node("Relu", ["x"], ["y"]), [[2]], 13)
    assert expand(op, {"": 13}) is None  # a function since version 14
    assert expand(op, {"": 14}) is not None
    assert expand(op, {}) is None
    op, _ = _operation(helper.make_node("Conv", ["x", "w"], ["y"]), [[1, 2, 3], [1, 2, 3]], 13)
    assert expand(op, {"": 13}) is None
    op.domain = "com.example"
    assert expand(op, {"": 13, "com.example": 1}) is None


def test_defaults_are_put_in_and_unused_nodes_left_out() -> None:
    op, _ = _operation(helper.make_node("LayerNormalization", ["x", "s"], ["y"]), [[2, 3], [3]], 17)
    body = expand(op, {"": 17})
    assert body is not None
    used = {id(t) for item in body.operations for t in item.inputs} | {id(t) for t in body.outputs}
    assert all(any(id(t) in used for t in item.outputs) for item in body.operations)
    assert any(np.array_equal(t.data, np.float32(1e-5)) for t in body.tensors if t.data is not None)
