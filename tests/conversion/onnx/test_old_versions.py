"""Operators of versions that onnxruntime does not run any more: what they accept, warn of and refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.execution import make_executor
from nnef_tools.io.onnx.reader import onnx_model_to_graph

from ...support.arrays import Array
from ...support.onnx_models import const, node_model

X = np.linspace(-2, 3, 24, dtype=np.float32).reshape(2, 3, 4)


def convert(model: ModelProto) -> tuple[Any, list[str]]:
    converter = Converter()
    return converter(onnx_model_to_graph(model)), converter.warnings


def run(model: ModelProto, *inputs: Array) -> Array:
    executor = make_executor(convert(model)[0], backend="numpy")
    values = dict(zip((info.name for info in executor.inputs), inputs, strict=True))
    return next(iter(executor.run(values).values()))


def batch_normalization(**attribs: Any) -> ModelProto:
    parameters = [const(np.linspace(1, 2, 3), np.float32) for _ in range(4)]
    return node_model("BatchNormalization", [X, *parameters], opset=6, **attribs)


@pytest.mark.parametrize("make", [batch_normalization, lambda **a: node_model("Dropout", [X], opset=6, **a)])
def test_mode(make: Any) -> None:
    assert convert(make(is_test=1))[1] == []
    assert any("is_test" in warning for warning in convert(make())[1])
    with pytest.raises(ConversionError, match="is_test = 0"):
        convert(make(is_test=0))


def test_consumed_inputs_do_not_matter() -> None:
    np.testing.assert_array_equal(run(node_model("Relu", [X], opset=1, consumed_inputs=[0]), X), np.maximum(X, 0))


@pytest.mark.parametrize(
    ("name", "dtype"), [("FLOAT", np.float32), ("DOUBLE", np.float64), ("INT64", np.int64), ("BOOL", np.bool_)]
)
def test_cast_by_name(name: str, dtype: Any) -> None:
    np.testing.assert_array_equal(run(node_model("Cast", [X], opset=1, to=name), X), X.astype(dtype))


@pytest.mark.parametrize("name", ["ABS", "ARRAY", "STRING", "COMPLEX64"])
def test_cast_to_what_is_no_type(name: str) -> None:
    with pytest.raises(ConversionError, match=f"cannot cast to {name}"):
        convert(node_model("Cast", [X], opset=1, to=name))


@pytest.mark.parametrize("axis", [-3, -1, 0, 1, 2])
def test_softmax_of_several_axes(axis: int) -> None:
    model = node_model("Softmax", [X], opset=11, axis=axis)
    flat = X.reshape(int(np.prod(X.shape[:axis])), -1)
    expected = ReferenceEvaluator(node_model("Softmax", [flat], axis=1)).run(None, {"x0": flat})[0]
    np.testing.assert_allclose(run(model, X), expected.reshape(X.shape), rtol=1e-5)


@pytest.mark.parametrize(("op", "axis"), [("Softmax", -4), ("Softmax", 4), ("Flatten", -4), ("Flatten", 4)])
def test_axis_out_of_range(op: str, axis: int) -> None:
    with pytest.raises(ConversionError, match=f"axis {axis} is out of range for rank 3"):
        convert(node_model(op, [X], opset=11, axis=axis))
