"""A model converted from ONNX to NNEF, or the other way, computes what it did before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

from nnef_tools.conversion.nnef_to_onnx import Converter as FromNnef
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.execution import make_executor
from nnef_tools.io.onnx.writer import Layout, build_message, check_message
from nnef_tools.model import Graph

from ...support.arrays import Array, assert_agree
from ...support.conversions import Converted, assert_computes, convert_to_nnef
from ...support.nnef_models import inputs_for
from ...support.onnx_models import Const, contrib_model, node_model, read_model, run_onnx, run_unoptimized


def convert(model: ModelProto, inputs: Sequence[Array], **options: Any) -> Converted:
    """Converts a model and runs the result with the numpy kernels. inputs: in the order of the model."""
    return convert_to_nnef(Converter(**options), read_model(model), inputs)


def check(
    model: ModelProto,
    inputs: Sequence[Array],
    *,
    ops: Sequence[str] | None = None,
    expected: Sequence[Array] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    **options: Any,
) -> Converted:
    """The converted model computes what onnxruntime does (or `expected`), in the same shapes and kinds of items.

    ops: the operations that it must consist of.
    """
    if expected is None:
        names = [info.name for info in model.graph.input]
        expected = run_unoptimized(model, dict(zip(names, inputs, strict=True)))
    result = convert(model, inputs, **options)
    assert_computes(result, expected, ops=ops, rtol=rtol, atol=atol)
    return result


def check_node(
    op: str,
    inputs: Sequence[Array | Const | None],
    outputs: int | Sequence[str] = 1,
    *,
    opset: int = 21,
    ops: Sequence[str] | None = None,
    expected: Sequence[Array] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    **attribs: Any,
) -> Converted:
    """`check` for a model of one node."""
    model = node_model(op, inputs, outputs, opset, **attribs)
    arrays = [item for item in inputs if isinstance(item, np.ndarray)]
    return check(model, arrays, ops=ops, expected=expected, rtol=rtol, atol=atol)


def check_contrib(
    op: str,
    inputs: Sequence[Array | Const | None],
    outputs: Sequence[Any] = (np.float32,),
    *,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    domain: str = "com.microsoft",
    **attribs: Any,
) -> Converted:
    """`check` for a model of one com.microsoft node."""
    model = contrib_model(op, inputs, outputs, domain, **attribs)
    return check(model, [x for x in inputs if isinstance(x, np.ndarray)], rtol=rtol, atol=atol)


def to_onnx(graph: Graph, **options: Any) -> tuple[Graph, ModelProto]:
    """The converted graph, and its model, which the full checker has passed."""
    converted = FromNnef(**options)(graph)
    message = build_message(converted)
    check_message(message)
    model = onnx.load_model_from_string(Layout(message, {}).to_bytes())
    onnx.checker.check_model(model, full_check=True)
    return converted, model


def check_back(
    graph: Graph,
    feeds: Mapping[str, Array] | None = None,
    *,
    ops: Sequence[str] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    **options: Any,
) -> ModelProto:
    """onnxruntime computes on the converted model what our kernels do on the NNEF graph, in the same kinds and shapes.

    ops: the operators that the model must consist of.
    """
    feeds = inputs_for(graph) if feeds is None else feeds
    expected = make_executor(graph, backend="numpy").run(feeds)
    _, model = to_onnx(graph, **options)
    if ops is not None:
        assert [node.op_type for node in model.graph.node] == list(ops)
    assert [item.name for item in model.graph.input] == [tensor.name for tensor in graph.inputs]
    assert [item.name for item in model.graph.output] == list(expected)
    for (name, wanted), actual in zip(expected.items(), run_onnx(model, feeds), strict=True):
        assert_agree(actual, wanted, rtol=rtol, atol=atol, what=name)
    return model
