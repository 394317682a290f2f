"""What the tests of rules from NNEF share: models in NNEF text, run by our kernels and, converted, by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from nnef_tools.conversion.nnef_to_onnx import Converter
from nnef_tools.execution import make_executor
from nnef_tools.execution.onnxruntime.onnx import open_session, providers
from nnef_tools.io.onnx.writer import Layout, build_message, check_message
from nnef_tools.model import Graph

from ..nnef_cases import inputs_for as inputs_for
from ..nnef_cases import nnef_graph as nnef_graph

Array = np.ndarray[Any, Any]


def to_onnx(graph: Graph, **options: Any) -> tuple[Graph, onnx.ModelProto]:
    """The converted graph, and its model, which the full checker has passed."""
    converted = Converter(**options)(graph)
    message = build_message(converted)
    check_message(message)
    model = onnx.load_model_from_string(Layout(message, {}).to_bytes())
    onnx.checker.check_model(model, full_check=True)
    return converted, model


def run_model(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs that onnxruntime computes."""
    session = open_session(model.SerializeToString(), "", threads=1, providers=providers("cpu"))
    return list(session.run(None, dict(feeds)))


def check_back(
    graph: Graph,
    feeds: Mapping[str, Array] | None = None,
    *,
    ops: Sequence[str] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    **options: Any,
) -> onnx.ModelProto:
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
    for (name, wanted), actual in zip(expected.items(), run_model(model, feeds), strict=True):
        assert actual.dtype.kind == wanted.dtype.kind, name
        assert actual.shape == wanted.shape, name
        np.testing.assert_allclose(actual, wanted, rtol=rtol, atol=atol, err_msg=name)
    return model
