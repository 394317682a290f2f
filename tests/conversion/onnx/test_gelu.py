"""Gelu, which NNEF has to write out, is one operator to onnxruntime again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import nnef_tools


def test_onnxruntime_recognises_gelu(tmp_path: Path) -> None:
    """Erf and what is around it take twice as long."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 32]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Gelu", ["x"], ["y"])], "g", values[:1], values[1:])
    source = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), source)
    nnef_tools.convert_model(source, tmp_path / "m.nnef")
    nnef_tools.convert_model(tmp_path / "m.nnef", tmp_path / "back.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(tmp_path / "back.onnx", options)
    assert [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node] == ["Gelu"]
    x = np.linspace(-8, 8, 64, dtype=np.float32).reshape(2, 32)
    (expected,) = onnxruntime.InferenceSession(source).run(None, {"x": x})
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-6, atol=1e-6)
