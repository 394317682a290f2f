"""Quantized TFLite models by way of NNEF: the same operators, codes, scales, zero points and axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from nnef_tools.execution.runtimes import make_executor
from nnef_tools.io.tf.lite import Reader
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.pipeline import convert_model

from .quantized_models import classifier, described, entry, operators, random_codes, written


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_model_comes_back_bit_by_bit(tmp_path: Path, dtype: Any, per_channel: bool) -> None:
    source = written(classifier(dtype, per_channel=per_channel), tmp_path)
    convert_model(source, tmp_path / "model.nnef")
    convert_model(tmp_path / "model.nnef", tmp_path / "back.tflite")
    given, found = Reader()(str(source)), Reader()(str(tmp_path / "back.tflite"))
    assert operators(found) == operators(given)
    assert [(t.name, t.dtype) for t in (*found.inputs, *found.outputs)] == [("x", dtype), ("result", dtype)]


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_the_codes_of_the_results_are_the_same(tmp_path: Path, dtype: Any) -> None:
    pytest.importorskip("ai_edge_litert")
    source = written(classifier(dtype), tmp_path)
    convert_model(source, tmp_path / "model.nnef")
    convert_model(tmp_path / "model.nnef", tmp_path / "back.tflite")
    first, second = (
        make_executor(path, format="tflite", backend="litert-reference") for path in (source, tmp_path / "back.tflite")
    )
    for seed in range(4):
        codes = random_codes((1, 8, 6, 3), dtype, seed)
        np.testing.assert_array_equal(first.run({"x": codes})["result"], second.run({"x": codes})["result"])


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_a_model_comes_back_from_onnx_bit_by_bit(tmp_path: Path, dtype: Any) -> None:
    source = written(classifier(dtype), tmp_path)
    convert_model(source, tmp_path / "model.onnx")
    convert_model(tmp_path / "model.onnx", tmp_path / "back.tflite")
    given, found = Reader()(str(source)), Reader()(str(tmp_path / "back.tflite"))
    assert operators(found) == operators(given)
    assert [t.dtype for t in (*found.inputs, *found.outputs)] == [dtype, dtype]


def test_biases_of_64_bits_that_onnx_cannot_hold_are_named(tmp_path: Path) -> None:
    graph = classifier(np.int16)
    for tensor in graph.tensors:
        if tensor.dtype is np.int64 and tensor.data is not None:
            tensor.data = np.asarray(tensor.data) + (1 << 33)
    report = convert_model(written(graph, tmp_path), tmp_path / "model.onnx")
    assert sum("is not quantized any more: ONNX has no such quantization" in text for text in report.warnings) == 2


def test_a_bias_with_another_scale_stays_real(tmp_path: Path) -> None:
    """There is no integer kernel for it: the operator is one on real numbers, between QUANTIZE and DEQUANTIZE."""
    graph = classifier(per_channel=False)
    bias = next(t for t in graph.tensors if t.name == "filter_bias")
    bias.quant = {**(bias.quant or {}), "scale": 0.5}
    convert_model(written(graph, tmp_path), tmp_path / "model.nnef")
    convert_model(tmp_path / "model.nnef", tmp_path / "back.tflite")
    found = Reader()(str(tmp_path / "back.tflite"))
    (conv,) = (op for op in found.operations if op.type == "CONV_2D")
    assert conv.outputs[0].dtype is np.float32
    assert {op.type for op in found.operations} >= {"QUANTIZE", "DEQUANTIZE"}
    assert next(op for op in found.operations if op.type == "FULLY_CONNECTED").outputs[0].dtype is np.int8


def test_unsigned_weights_stay_as_they_are(tmp_path: Path) -> None:
    graph = classifier(np.uint8, per_channel=False)
    for tensor in graph.tensors:
        if tensor.dtype is np.int8 and tensor.data is not None:
            tensor.data = (np.asarray(tensor.data).astype(np.int16) + 128).astype(np.uint8)
            tensor.dtype, tensor.quant = np.uint8, {**(tensor.quant or {}), "zero_point": 126}
    source = written(graph, tmp_path)
    convert_model(source, tmp_path / "model.nnef")
    convert_model(tmp_path / "model.nnef", tmp_path / "back.tflite")
    assert operators(Reader()(str(tmp_path / "back.tflite"))) == operators(Reader()(str(source)))


@pytest.mark.parametrize("asymmetric", [False, True])
def test_weights_beside_real_inputs_stay_codes(tmp_path: Path, asymmetric: bool) -> None:
    """With DEQUANTIZE, the operator would compute in reals; LiteRT quantizes the input of this one when it runs."""
    random = np.random.default_rng(0)
    graph = Graph("hybrid")
    x, y = Tensor(graph, "x", (1, 64), np.float32), Tensor(graph, "y", (1, 16), np.float32)
    codes = random.integers(-127, 127, (16, 64), endpoint=True).astype(np.int8)
    w = Tensor(graph, "w", codes.shape, np.int8, codes, quant=entry(0.01))
    b = Tensor(graph, "b", (16,), np.float32, random.normal(size=16).astype(np.float32))
    options = {"weights_format": "DEFAULT", "keep_num_dims": False, "asymmetric_quantize_inputs": asymmetric}
    attribs = {**options, "fused_activation_function": "NONE"}
    Operation(graph, "FULLY_CONNECTED", attribs=attribs, inputs=(x, w, b), outputs=(y,))
    graph.inputs, graph.outputs = [x], [y]
    convert_model(written(graph, tmp_path), tmp_path / "model.nnef")
    convert_model(tmp_path / "model.nnef", tmp_path / "back.tflite")
    (op,) = Reader()(str(tmp_path / "back.tflite")).operations
    assert op.type == "FULLY_CONNECTED"
    assert op.attribs["asymmetric_quantize_inputs"] is asymmetric
    assert described(op.inputs[1]) == described(w)


def test_real_weights_are_what_is_verified(tmp_path: Path) -> None:
    """LiteRT itself differs by its quantization of the inputs, which a warning tells."""
    pytest.importorskip("ai_edge_litert")
    random = np.random.default_rng(0)
    graph = Graph("hybrid")
    x, y = Tensor(graph, "x", (1, 64), np.float32), Tensor(graph, "y", (1, 16), np.float32)
    codes = random.integers(-127, 127, (16, 64), endpoint=True).astype(np.int8)
    w = Tensor(graph, "w", codes.shape, np.int8, codes, quant=entry(0.01))
    options = {"weights_format": "DEFAULT", "keep_num_dims": False, "fused_activation_function": "NONE"}
    Operation(graph, "FULLY_CONNECTED", attribs=options, inputs=(x, w), outputs=(y,))
    graph.inputs, graph.outputs = [x], [y]
    source = written(graph, tmp_path)
    value = random.standard_normal((1, 64)).astype(np.float32)
    exact = value.astype(np.float64) @ (codes * 0.01).T
    for backend, low, high in (("litert-real-weights", 0.0, 1e-6), ("litert-reference", 1e-4, 0.02)):
        executor = make_executor(source, format="tflite", backend=backend)
        error = np.abs(executor.run({"x": value})["y"] - exact).max() / np.abs(exact).max()
        assert low <= error < high
    report = convert_model(source, tmp_path / "model.nnef", verify=2)
    assert any("LiteRT quantizes when it runs" in warning for warning in report.warnings)
    convert_model(tmp_path / "model.nnef", tmp_path / "back.tflite", verify=2)


def test_weights_of_four_bits_come_back(tmp_path: Path) -> None:
    graph = classifier()
    for tensor in graph.tensors:
        if tensor.dtype is np.int8 and tensor.data is not None:
            tensor.data = (np.asarray(tensor.data) // 16).astype(ml_dtypes.int4)
            tensor.dtype = ml_dtypes.int4
    source = written(graph, tmp_path)
    convert_model(source, tmp_path / "model.nnef")
    convert_model(tmp_path / "model.nnef", tmp_path / "back.tflite")
    assert operators(Reader()(str(tmp_path / "back.tflite"))) == operators(Reader()(str(source)))
