"""Which weights of an ONNX model have lost their names on the way to NNEF and back?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, numpy_helper

from nnef_tools.pipeline import convert_model

Array = np.ndarray[Any, Any]
Use = tuple[str, int]
"""Operator type and position of the input."""


def lost_names(
    model: Path, shapes: Mapping[str, Sequence[int]], folder: Path, *, optimize: bool
) -> dict[str, tuple[Array, set[Use]]]:
    """Name -> value and uses, of real constants of more than one item that are used.

    Integers are shapes, axes, pads and the like, which are attributes in NNEF; single numbers are literals there.
    """
    nnef, back = folder / "model.nnef", folder / "back.onnx"
    convert_model(model, nnef, output_format="nnef", input_shapes=shapes, optimize=optimize)
    convert_model(nnef, back, output_format="onnx", optimize=optimize)
    source, result = onnx.load(model), onnx.load(back)
    assert _interface(result) == _interface(source)
    kept, uses = _constants(result), _uses(source)
    return {
        name: (array, uses[name])
        for name, array in _constants(source).items()
        if name not in kept and name in uses and array.size > 1 and array.dtype.kind == "f"
    }


def _interface(model: ModelProto) -> tuple[list[str], list[str]]:
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in stored]
    return inputs, [value.name for value in model.graph.output]


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _constants(model: ModelProto) -> dict[str, Array]:
    """Initializers, and the results of Constant nodes, of the main graph."""
    result = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            result[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return result


def _uses(model: ModelProto) -> dict[str, set[Use]]:
    """Tensor -> what reads it, in nested graphs too."""
    result: dict[str, set[Use]] = defaultdict(set)
    for graph in _graphs(model.graph):
        for node in graph.node:
            for k, name in enumerate(node.input):
                result[name].add((node.op_type, k))
    return result
