"""What the tests of the engine share: models with operators of a plugin, converted by given transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, parser

from nnef_tools.conversion import Transform
from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.errors import ConversionError
from nnef_tools.execution import make_executor
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph, Operation

HEADER = '<ir_version: 8, opset_import: ["" : 17, "my": 1]>'


def model(text: str) -> ModelProto:
    """A model in the text syntax of onnx, opset 17, with the domain `my`."""
    return parser.parse_model(HEADER + text)


def convert(text: str, **options: Any) -> Graph:
    """The NNEF graph of a model."""
    return Converter(**options)(onnx_model_to_graph(model(text)))


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


def main(graph: Graph) -> list[Operation]:
    """The operations without external and variable."""
    return [op for op in graph.operations if op.type not in ("external", "variable")]


def types(graph: Graph) -> list[str]:
    """The types of the operations without external and variable."""
    return [str(op.type) for op in main(graph)]


def refusal(text: str, **options: Any) -> ConversionError:
    """The error that converting a model ends with."""
    with pytest.raises(ConversionError) as caught:
        convert(text, **options)
    return caught.value


def run(graph: Graph, *inputs: Any) -> list[Any]:
    """What the graph computes."""
    executor = make_executor(graph, backend="numpy")
    feeds = {info.name: np.asarray(array) for info, array in zip(executor.inputs, inputs, strict=True)}
    results = executor.run(feeds)
    return [results[info.name] for info in executor.outputs]
