"""What the tests of rules from NNEF share: models in NNEF text, run by our kernels and, converted, by onnxruntime."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

from nnef_tools.conversion.nnef_to_onnx import Converter
from nnef_tools.execution import make_executor
from nnef_tools.io.onnx.writer import Layout, build_message, check_message
from nnef_tools.language.elaborate import build_graph
from nnef_tools.language.parser import parse
from nnef_tools.model import Graph
from nnef_tools.ops.extensions import extension_fragments
from nnef_tools.ops.inference import infer_graph

Array = np.ndarray[Any, Any]
EXTENSIONS = "extension KHR_enable_fragment_definitions, KHR_enable_operator_expressions;"


def nnef_graph(body: str, outputs: Sequence[str] = ("y",)) -> Graph:
    """A graph of statements such as `x = external(shape = [2, 3]); y = relu(x);`, with our fragments declared."""
    inputs = re.findall(r"(\w+) = external", body)
    used = [f.text for name, f in extension_fragments().items() if re.search(rf"\b{name}(<\w+>)?\(", body)]
    header = "\n".join([EXTENSIONS, *used])
    text = f"version 1.0;\n{header}\ngraph g({', '.join(inputs)}) -> ({', '.join(outputs)}) {{ {body} }}"
    graph = build_graph(parse(text))
    infer_graph(graph)
    return graph


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
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def inputs_for(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Random inputs: normal numbers, small natural ones and truth values."""
    random = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    for tensor in graph.inputs:
        shape = [n or 1 for n in tensor.shape or ()]
        values = random.standard_normal(shape).astype(np.float32)
        if tensor.dtype is np.bool_:
            feeds[str(tensor.name)] = values > 0
        elif tensor.dtype is np.int64:
            feeds[str(tensor.name)] = random.integers(0, 2, shape)
        else:
            feeds[str(tensor.name)] = values
    return feeds


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
