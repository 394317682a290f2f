"""Valid ONNX models, as bytes to damage."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

ONNX_TEXT = """
<ir_version: 8, opset_import: ["" : 17, "local" : 1], producer_name: "x">
net (float[1, 2, 5, 5] x, float[1] c) => (float[1, 4] y, float[1, 2, 5, 5] z)
<float[2, 2, 3, 3] w, float[2] b = {0.5, -1.0}, int64[2] s = {1, 50}, float[50, 4] m>
{
    h = Conv <pads: ints = [1, 1, 1, 1], kernel_shape: ints = [3, 3]> (x, w, b)
    z = local.act <alpha: float = 0.2> (h)
    f = Reshape (z, s)
    k = Constant <value_floats: floats = [1.0, 2.0, 3.0, 4.0]> ()
    g = Gemm <alpha: float = 0.5> (f, m, k)
    p = Greater (c, c)
    y = If (p) <
        then_branch = a () => (float[1, 4] t) { t = Relu(g) },
        else_branch = b () => (float[1, 4] e) { e = Neg(g) }
    >
}
<domain: "local", opset_import: ["" : 17]>
act <alpha: float = 0.1> (u) => (v) { v = LeakyRelu <alpha: float = @alpha> (u) }
"""


def onnx_model() -> bytes:
    """A model with a local function, a subgraph, weights and an attribute of floats."""
    model = ModelProto()
    model.CopyFrom(parser.parse_model(ONNX_TEXT))
    rng = np.random.default_rng(0)
    del model.graph.initializer[:]
    for name, array in {
        "w": rng.standard_normal((2, 2, 3, 3), np.float32),
        "b": np.array([0.5, -1.0], np.float32),
        "s": np.array([1, 50]),
        "m": rng.standard_normal((50, 4), np.float32),
    }.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def integer_model() -> bytes:
    """A model whose data are in typed fields, with integers and a table of attributes."""
    nodes = [
        helper.make_node("Gather", ["t", "i"], ["g"], axis=0),
        helper.make_node("Slice", ["g", "from", "to"], ["r"]),
        helper.make_node("Cast", ["r"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["y"], axes=[1], keepdims=0),
    ]
    tensors = [
        helper.make_tensor("t", TensorProto.INT32, [4, 3], list(range(12))),
        helper.make_tensor("from", TensorProto.INT64, [1], [0]),
        helper.make_tensor("to", TensorProto.INT64, [1], [2]),
    ]
    graph = helper.make_graph(
        nodes,
        "integers",
        [helper.make_tensor_value_info("i", TensorProto.INT64, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7).SerializeToString()
