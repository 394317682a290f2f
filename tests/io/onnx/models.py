"""Small ONNX models for the tests, and the way back from a Graph to a message (so that onnxruntime can run it)."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, helper, numpy_helper

from nnef_tools.io.onnx.schema import SCHEMA
from nnef_tools.io.onnx.storage import Storage
from nnef_tools.io.onnx.tensors import to_array, to_dense
from nnef_tools.io.protobuf import decode
from nnef_tools.model.graph import Graph, Tensor


def read_message(message: TensorProto | SparseTensorProto) -> np.ndarray[Any, Any]:
    """The array of a tensor that is in memory."""
    read = to_array if isinstance(message, TensorProto) else to_dense
    data = memoryview(message.SerializeToString())
    return read(decode(data, SCHEMA[type(message).__name__]), Storage(np.empty(0, np.uint8)))


def linear_model(rows: int, columns: int, seed: int = 0, **options: Any) -> ModelProto:
    """y = relu(x @ w + b) with raw weights."""
    random = np.random.default_rng(seed)
    w = random.standard_normal((rows, columns), np.float32)
    b = random.standard_normal(columns, np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["xw"], name="matmul"),
            helper.make_node("Add", ["xw", "b"], ["xwb"]),
            helper.make_node("Relu", ["xwb"], ["y"]),
        ],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", columns])],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, **options)


IF_MODEL = """
<ir_version: 8, opset_import: ["" : 17], producer_name: "tests">
branches (bool cond, float[2,3] x) => (float[2,3] y) {
    scale = Constant <value_float: float = 2.0> ()
    y = If (cond) <
        then_branch = then_graph () => (float[2,3] r) { r = Mul (x, scale) },
        else_branch = else_graph () => (float[2,3] r) {
            one = Constant <value = float {1.0}> ()
            t = Add (x, one)
            r = Neg (t)
        }
    >
}
"""

LOOP_MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
loop (float[2] x) => (float[2] y, float[n, 2] all) {
    count = Constant <value_int: int = 3> ()
    yes = Constant <value = bool {1}> ()
    step = Constant <value_floats: floats = [1.0, 10.0]> ()
    y, all = Loop (count, yes, x) <
        body = body (int64 i, bool c, float[2] a) => (bool d, float[2] b, float[2] e) {
            d = Identity (c)
            b = Add (a, step)
            e = Mul (b, x)
        }
    >
}
"""

FUNCTION_MODEL = """
<ir_version: 9, opset_import: ["" : 17, "local" : 1]>
calls (float[2,3] x, bool cond) => (float[2,3] y, float[2,3] z) {
    t = local.shift <by = 2.0> (x)
    y = local.twice (t)
    z = If (cond) <
        then_branch = a () => (float[2,3] r) { r = local.shift (x) },
        else_branch = b () => (float[2,3] r) { r = local.choose <flag = 1> (x, cond) }
    >
}
<domain: "local", opset_import: ["" : 17]>
shift <by: float = 0.5> (x) => (y) {
    c = Constant <value_float: float = @by> ()
    y = Add (x, c)
}
<domain: "local", opset_import: ["" : 17, "local" : 1]>
twice (a) => (b) {
    t = local.shift <by = 1.0> (a)
    b = local.shift <by = 3.0> (t)
}
<domain: "local", opset_import: ["" : 17]>
choose <flag> (x, cond) => (y) {
    k = Constant <value_int: int = @flag> ()
    f = CastLike (k, x)
    y = If (cond) <
        then_branch = g () => (float[2,3] t) { s = Add (x, f) t = Exp (s) },
        else_branch = h () => (float[2,3] t) { s = Sub (x, f) t = Neg (s) }
    >
}
"""


def to_model(graph: Graph) -> ModelProto:
    """The message of a Graph as the reader gives it. Tensors are named by their place, so wrong links show."""
    opset = [helper.make_opsetid(domain, version) for domain, version in graph.metadata["opset"].items()]
    return helper.make_model(_graph_proto(graph), opset_imports=opset, ir_version=9)


def _name(tensor: Tensor) -> str:
    return "" if tensor.name == "" else f"t{id(tensor)}"


def _graph_proto(graph: Graph) -> GraphProto:
    return helper.make_graph(
        [_node_proto(op) for op in graph.operations],
        graph.name or "g",
        [_value_info(tensor) for tensor in graph.inputs],
        [_value_info(tensor) for tensor in graph.outputs],
        [
            numpy_helper.from_array(np.ascontiguousarray(tensor.data), _name(tensor))
            for tensor in graph.tensors
            if tensor.data is not None and not tensor.has_producer and tensor.name
        ],
    )


def _value_info(tensor: Tensor) -> onnx.ValueInfoProto:
    if tensor.dtype is None:
        return helper.make_empty_tensor_value_info(_name(tensor))
    return helper.make_tensor_value_info(
        _name(tensor), helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), tensor.shape
    )


def _node_proto(op: Any) -> NodeProto:
    node = NodeProto(op_type=op.type, domain=op.domain)
    node.input.extend(_name(tensor) for tensor in op.inputs)
    node.output.extend(_name(tensor) for tensor in op.outputs)
    for key, value in op.attribs.items():
        if isinstance(value, Graph):
            value = _graph_proto(value)
        elif isinstance(value, np.ndarray):
            value = numpy_helper.from_array(value)
        node.attribute.append(helper.make_attribute(key, value))
    return node
