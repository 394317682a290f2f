"""Models with operators of a plugin, converted by given transforms."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import ModelProto

from nnef_tools.conversion import Transform
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.model import Graph

from ..support.onnx_models import read_model, text_model

HEADER = '<ir_version: 8, opset_import: ["" : 17, "my": 1]>'


def model(text: str) -> ModelProto:
    """A model in the text syntax of onnx, opset 17, with the domain `my`."""
    return text_model(HEADER + text)


def convert(text: str, **options: Any) -> Graph:
    """The NNEF graph of a model."""
    return Converter(**options)(read_model(model(text)))


def foo(
    transform: Transform,
    attributes: str = "",
    inputs: str = "float[1,3,4] x",
    outputs: str = "float[1,3,4] y",
    **options: Any,
) -> Graph:
    """The NNEF graph of a model with one operator `my.Foo`, converted by the transform."""
    arguments = ", ".join(item.split()[-1] for item in inputs.split(", ")) if inputs else ""
    results = ", ".join(item.split()[-1] for item in outputs.split(", "))
    node = f"{results} = my.Foo{f'<{attributes}>' if attributes else ''}({arguments})"
    text = f"g ({inputs}) => ({outputs}) {{ {node} }}"
    return convert(text, custom_transforms={"Foo": transform}, **options)


def refusal(text: str, **options: Any) -> ConversionError:
    """The error that converting a model ends with."""
    with pytest.raises(ConversionError) as caught:
        convert(text, **options)
    return caught.value
