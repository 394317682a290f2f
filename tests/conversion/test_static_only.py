"""What is left of a model without the operators whose shapes depend on the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

import nnef_tools
from nnef_tools.conversion import tf_to_nnef
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph, Operation, Tensor

from ..support.nnef_models import computing, types
from .plugin_models import model

DETECTOR = """g (float[4] logits, float[4,2] raw) => (float[k,2] kept_boxes, float[k] kept_scores, float[4] double)
<float t = {0.5}> {
    scores = Sigmoid(logits)
    mask = Greater(scores, t)
    found = NonZero(mask)
    index = Transpose<perm = [1, 0]>(found)
    kept_scores = GatherND(scores, index)
    boxes = Neg(raw)
    kept_boxes = GatherND(boxes, index)
    double = Add(logits, logits)
}"""
BRANCHES = """g (float[4] x, bool[1] c) => (float[k] y, float[4] z) {
    a = Relu(x)
    z = Neg(a)
    b = Neg(x)
    y = If(c) <
        then_branch = then () => (float[k] p) { m = Add(a, b) n = NonZero(m) p = Cast<to = 1>(n) },
        else_branch = other () => (float[k] q) { r = NonZero(b) q = Cast<to = 1>(r) }
    >
}"""


def names(proto: ModelProto) -> list[str | None]:
    """The outputs that are left of a model."""
    converter = Converter(static_only=True, keep_io_names=True)
    return [tensor.name for tensor in converter(onnx_model_to_graph(proto)).outputs]


def test_operators_that_depend_on_the_data_are_named() -> None:
    text = (
        "g (float[2,3] x) => (float[k,m] y, float[2,3] z) { a = Relu(x) b = NonZero(a) y = Cast<to = 1>(b) z = Neg(a) }"
    )
    graph = onnx_model_to_graph(model(text))
    with pytest.raises(ConversionError, match="NonZero"):
        Converter()(graph)
    converter = Converter(static_only=True, keep_io_names=True)
    result = converter(graph)
    assert [tensor.name for tensor in result.outputs] == ["z", "a"]
    assert types(result) == ["relu", "neg"]
    assert any("2 operator(s) without static shape are left out: Cast, NonZero" in text for text in converter.warnings)


def test_an_output_is_left_that_only_left_out_operators_read() -> None:
    text = "g (float[2,3] x) => (float[k,m] y) { a = Relu(x) b = NonZero(a) y = Cast<to = 1>(b) }"
    result = Converter(static_only=True)(onnx_model_to_graph(model(text)))
    assert [tensor.producer.type for tensor in result.outputs if tensor.producer] == ["relu"]


def test_what_a_kept_and_a_left_out_operator_read_is_an_output() -> None:
    assert names(model(DETECTOR)) == ["double", "mask", "scores", "boxes"]


def test_what_a_branch_of_a_left_out_operator_reads_is_an_output() -> None:
    assert names(model(BRANCHES)) == ["z", "a", "b"]


def test_left_out_results_that_branches_read() -> None:
    text = """g (float[4] x, bool[1] c) => (float[4] y, float[4] z) {
        z = Neg(x)
        n = Unique(z)
        y = If(c) <
            then_branch = then () => (float[4] p) { f = Cast<to = 1>(n) s = ReduceSum<keepdims = 0>(f) p = Add(x, s) },
            else_branch = other () => (float[4] q) { q = Relu(x) }
        >
    }"""
    assert names(model(text)) == ["z"]


def test_one_output_for_one_value() -> None:
    """Copies of a tensor, inputs and constants are none of what the left out operators need computed."""
    text = """g (float[4] x) => (float[k,m] y, float[k,m] z) <float[2] w = {1.0, 2.0}> {
        a = Neg(x)
        b = Identity(a)
        c = Identity(x)
        n = NonZero(a)
        o = NonZero(b)
        p = NonZero(c)
        q = NonZero(w)
        r = Concat<axis = 1>(n, o)
        y = Concat<axis = 1>(r, p)
        z = Concat<axis = 1>(y, q)
    }"""
    assert names(model(text)) == ["a"]


@pytest.mark.parametrize("suffix", ["nnef", "onnx"])
def test_what_is_left_computes_what_the_source_does(suffix: str, tmp_path: Path) -> None:
    path, target = tmp_path / "model.onnx", tmp_path / f"result.{suffix}"
    onnx.save(onnx.shape_inference.infer_shapes(model(DETECTOR)), path)
    nnef_tools.convert_model(path, target, static_only=True, keep_io_names=True, verify=1)
    logits, raw = np.array([-1, 0.5, 2, 0], np.float32), np.ones((4, 2), np.float32)
    results = nnef_tools.run_model(target, {"logits": logits, "raw": raw})
    assert list(results) == ["double", "mask", "scores", "boxes"]
    np.testing.assert_allclose(results["scores"], 1 / (1 + np.exp(-logits)), rtol=1e-6)
    assert results["mask"].tolist() == [False, True, True, False]


def test_tensorflow() -> None:
    graph = Graph("g")

    def node(type: str, *inputs: Tensor, shape: Any = (4,), dtype: Any = np.float32, **attribs: Any) -> Tensor:
        output = Tensor(graph, f"{type.lower()}{len(graph.tensors)}", shape, dtype)
        return Operation(graph, type, output.name, attribs, list(inputs), [output]).outputs[0]

    logits = node("Placeholder", dtype=np.float32)
    scores = node("Sigmoid", logits, T=np.float32)
    half = node("Const", shape=(), value=np.float32(0.5), dtype=np.float32)
    mask = node("Greater", scores, half, dtype=np.bool_, T=np.float32)
    index = node("Where", mask, shape=(None, 1), dtype=np.int64, T=np.bool_)
    kept = node("GatherNd", scores, index, shape=None, Tparams=np.float32, Tindices=np.int64)
    graph.inputs, graph.outputs = [logits], [kept]
    converter = tf_to_nnef.Converter(static_only=True, keep_io_names=True)
    result = converter(graph)
    assert [op.type for op in computing(result)] == ["sigmoid", "gt"]
    assert [op.output for op in reversed(computing(result))] == list(result.outputs)
