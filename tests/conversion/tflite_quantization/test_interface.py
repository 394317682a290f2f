"""Quantized inputs and outputs of TFLite models: real tensors in NNEF, codes again in ONNX and TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnef_tools.execution.kernels.loading import read_graph
from nnef_tools.execution.runtimes import make_executor
from nnef_tools.pipeline import convert_model
from nnef_tools.verification.verdicts import Port

from .quantized_models import classifier, random_codes, written

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("ai_edge_litert")

TYPES = [np.int8, np.int16]


@pytest.mark.parametrize("dtype", TYPES)
def test_the_interface_of_onnx_has_the_codes_of_the_source(tmp_path: Path, dtype: Any) -> None:
    source = written(classifier(dtype), tmp_path)
    target = tmp_path / "model.onnx"
    convert_model(source, target)
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    name = f"tensor({np.dtype(dtype).name})"
    assert [item.type for item in (*session.get_inputs(), *session.get_outputs())] == [name, name]
    reference = make_executor(source, format="tflite", backend="litert-reference")
    for seed in range(8):
        codes = random_codes((1, 8, 6, 3), dtype, seed)
        (expected,) = reference.run({"x": codes}).values()
        (found,) = session.run(None, {"x": codes})
        # LiteRT interpolates the exponentials of a softmax of int16 in a table
        assert np.abs(found.astype(int) - expected.astype(int)).max() <= (1 if dtype is np.int8 else 8)


def test_the_interface_of_onnx_is_dequantized_and_quantized_not_cast(tmp_path: Path) -> None:
    from nnef_tools.io.onnx import Reader

    convert_model(written(classifier(), tmp_path), tmp_path / "model.onnx")
    graph = Reader()(str(tmp_path / "model.onnx"))
    (x,), (y,) = graph.inputs, graph.outputs
    assert {op.type for op in x.consumers} == {"DequantizeLinear"}
    assert y.producer is not None and y.producer.type == "QuantizeLinear"
    assert "Cast" not in {op.type for op in graph.operations}


@pytest.mark.parametrize("suffix", [".nnef", ".onnx", ".pb"])
def test_verification_compares_codes_with_codes(tmp_path: Path, suffix: str) -> None:
    if suffix == ".pb":
        pytest.importorskip("tensorflow")
    report = convert_model(written(classifier(), tmp_path), tmp_path / f"model{suffix}", verify=2)
    assert report.verification is not None
    assert report.verification.passed


def test_verification_finds_a_wrong_scale_of_an_input(tmp_path: Path) -> None:
    from nnef_tools.errors import VerificationError
    from nnef_tools.optimization.nnef_optimizer import Optimizer

    original = Optimizer.__call__

    def damaged(self: Any, graph: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, graph, *args, **kwargs)
        for op in graph.operations:
            if op.type == "relu":
                op.output.quant["scale"] *= 1.3
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimizer, "__call__", damaged)
        with pytest.raises(VerificationError):
            convert_model(written(classifier(), tmp_path), tmp_path / "model.nnef", verify=3)


def test_codes_and_real_values_translate_into_each_other(tmp_path: Path) -> None:
    convert_model(written(classifier(), tmp_path), tmp_path / "model.nnef")
    from nnef_tools.ops.quantization import Quantization

    (x,) = read_graph(tmp_path / "model.nnef").inputs
    port = Port("x", np.int8, quantization=Quantization.of(x.quant))
    codes = np.arange(-128, 128).astype(np.int8)
    values = port.translated(codes, np.float32)
    np.testing.assert_array_equal(values, ((codes.astype(np.float64) - 3) * np.float32(0.05)).astype(np.float32))
    np.testing.assert_array_equal(port.translated(values, np.int8), codes)
    assert port.translated(codes, np.int8) is codes


def test_a_float_interface_stays_one(tmp_path: Path) -> None:
    """The tensor in front of a final DEQUANTIZE is codes, the output itself is not."""
    from nnef_tools.model import Operation, Tensor

    graph = classifier()
    (codes,) = graph.outputs
    real = Tensor(graph, "real", codes.shape, np.float32)
    Operation(graph, "DEQUANTIZE", inputs=(codes,), outputs=(real,))
    graph.outputs = [real]
    convert_model(written(graph, tmp_path), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [item.type for item in session.get_outputs()] == ["tensor(float)"]
