"""What onnx infers, in a process of its own: hostile models end that one, not ours."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from onnx import NodeProto, TensorProto, helper

from nnef_tools.io.onnx import inference
from nnef_tools.io.onnx.inference import infer_shapes
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph

from ...support.commands import ROOT


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


def test_a_process_that_takes_too_long_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "_CODE", "import time; time.sleep(60)  # {path!r}")
    monkeypatch.setattr(inference, "SECONDS", 0.2)
    started: list[subprocess.Popen[bytes]] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    graph = _graph(helper.make_node("Transpose", ["x"], ["y"]))
    infer_shapes(graph)
    assert graph.operations[0].output.shape is None
    assert started[0].returncode is not None  # it was waited for


def test_without_standard_input() -> None:
    code = """
import os, sys
os.close(0)
from onnx import TensorProto, helper
from nnef_tools.io.onnx.inference import infer_shapes
from nnef_tools.io.onnx.reader import onnx_model_to_graph
values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])]
node = helper.make_node("Transpose", ["x"], ["y"])
graph = helper.make_graph([node], "g", values, [helper.make_empty_tensor_value_info("y")])
graph = onnx_model_to_graph(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
infer_shapes(graph)
print(graph.operations[0].output.shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "(3, 2)"
