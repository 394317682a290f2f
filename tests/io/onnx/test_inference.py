"""What onnx infers, in a process of its own: hostile models end that one, not ours."""

from __future__ import annotations

import pytest
from onnx import NodeProto, TensorProto, helper

from nnef_tools.io.onnx.inference import infer_shapes
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph


def _graph(*nodes: NodeProto) -> Graph:
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])]
    graph = helper.make_graph(list(nodes), "g", values, [helper.make_empty_tensor_value_info("y")])
    return onnx_model_to_graph(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def test_types_and_shapes() -> None:
    graph = _graph(helper.make_node("Transpose", ["x"], ["t"]), helper.make_node("Shape", ["t"], ["y"]))
    infer_shapes(graph)
    assert [str(op.output) for op in graph.operations] == ["t: float32[3, 2]", "y: int64[2]"]


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Conv", [], ["y"]),
        helper.make_node("Einsum", ["x"], ["y"]),
        helper.make_node("LayerNormalization", ["x", "x"], ["y"], axis=-(2**40)),
    ],
    ids=lambda node: str(node.op_type),
)
def test_hostile_nodes(node: NodeProto) -> None:
    graph = _graph(node)
    infer_shapes(graph)
    graph.assert_consistent()
