"""Models with QuantizeLinear and DequantizeLinear, and what is left of them after a conversion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper

from nnef_tools.io.nnef import Reader, Writer
from nnef_tools.model import Graph

from ...support.arrays import Array
from ...support.nnef_models import run_nnef
from ...support.onnx_models import Info, Typed, onnx_model, run_unoptimized
from .checks import to_onnx

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16]
NARROW = [ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2, ml_dtypes.uint2]


def qdq_model(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, Array],
    inputs: dict[str, Sequence[int]],
    outputs: Sequence[str] = ("y",),
    opset: int = 21,
) -> ModelProto:
    """A model with real inputs. Outputs ending in `q` are codes of type int8, all others real."""
    infos: dict[str, Info] = {name: Typed(np.int8 if name.endswith("q") else np.float32) for name in outputs}
    return onnx_model(nodes, dict(inputs), infos, constants, opset=opset, ir_version=10 if opset <= 21 else 13)


def quantize(x: str, y: str, **attribs: Any) -> onnx.NodeProto:
    """QuantizeLinear with parameters `s` and `z`."""
    return helper.make_node("QuantizeLinear", [x, "s", "z"], [y], **attribs)


def dequantize(x: str, y: str, s: str = "s", z: str = "z", **attribs: Any) -> onnx.NodeProto:
    return helper.make_node("DequantizeLinear", [x, s, z], [y], **attribs)


def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attribs: Any) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), list(outputs), **attribs)


def entries(graph: Graph) -> list[dict[str, Any]]:
    """The quantization of all tensors, in plain numbers; those of float32."""
    quants = [tensor.quant for op in graph.operations for tensor in op.outputs if tensor.quant]
    return [{k: v if isinstance(v, str) else np.asarray(v, np.float32).tolist() for k, v in q.items()} for q in quants]


def stored(model: ModelProto) -> dict[str, Array]:
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}


def dequantizers(model: ModelProto) -> list[tuple[list[Any], list[Any], list[Any], int | None]]:
    """Codes, scales, zero points and axis of all constants that are dequantized."""
    known, found = stored(model), []
    for op in model.graph.node:
        if op.op_type == "DequantizeLinear" and op.input[0] in known:
            codes, scale = known[op.input[0]], known[op.input[1]].reshape(-1)
            given = len(op.input) > 2 and op.input[2]
            zero = known[op.input[2]].reshape(-1).astype(int) if given else np.zeros(scale.shape, int)
            axis = next((item.i % codes.ndim for item in op.attribute if item.name == "axis"), None)
            found.append((codes.astype(int).tolist(), scale.tolist(), zero.tolist(), axis if scale.size > 1 else None))
    return sorted(found, key=str)


def written(graph: Graph, folder: Path) -> Graph:
    Writer()(graph, folder)
    return Reader()(folder)


def check_round_trip(graph: Graph, inputs: Sequence[Array], tolerance: float = 1e-5) -> ModelProto:
    """The ONNX model of the graph computes what the graph does."""
    _, model = to_onnx(graph)
    for actual, wanted in zip(run_unoptimized(model, inputs), run_nnef(graph, inputs), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance)
    return model
