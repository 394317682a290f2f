"""What the tests of ONNX rules share: small models, and the comparison of their conversions with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from nnef_tools.conversion.onnx_to_nnef import Converter
from nnef_tools.execution import make_executor
from nnef_tools.execution.onnxruntime.onnx import open_session, providers
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph
from nnef_tools.model.dtypes import nnef_dtype

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Const:
    """Marks an input of a node that is an initializer."""

    array: Array


def const(value: Any, dtype: Any = np.int64) -> Const:
    """An initializer; int64 unless said otherwise."""
    return Const(np.asarray(value, dtype))


def node_model(
    op: str, inputs: Sequence[Array | Const | None], outputs: int | Sequence[str] = 1, opset: int = 21, **attribs: Any
) -> ModelProto:
    """A model of one node. Inputs are graph inputs `x0`, `x1`, .. (arrays give type and shape), initializers or absent.

    outputs: how many (`y0`, ..) or their names, '' for an omitted one.
    """
    names = ["" if item is None else f"x{k}" for k, item in enumerate(inputs)]
    results = [f"y{k}" for k in range(outputs)] if isinstance(outputs, int) else list(outputs)
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(item.dtype), item.shape)
        for name, item in zip(names, inputs, strict=True)
        if isinstance(item, np.ndarray)
    ]
    initializers = [
        numpy_helper.from_array(item.array, name)
        for name, item in zip(names, inputs, strict=True)
        if isinstance(item, Const)
    ]
    graph = helper.make_graph(
        [helper.make_node(op, names, results, name="node", **attribs)],
        "test",
        infos,
        [onnx.ValueInfoProto(name=name) for name in results if name],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


def text_model(text: str) -> ModelProto:
    """A model in the text syntax of onnx."""
    return onnx.parser.parse_model(text)


def run_onnxruntime(model: ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    """The outputs of the original model, computed without optimizations."""
    session = open_session(model.SerializeToString(), "", threads=1, optimized=False, providers=providers("cpu"))
    return list(session.run(None, dict(inputs)))


@dataclass(frozen=True)
class Converted:
    """A converted model, what it computes, and the types of its operations (without external and variable)."""

    graph: Graph
    converter: Converter
    outputs: list[Array]

    @property
    def ops(self) -> list[str]:
        return [str(op.type) for op in self.graph.operations if op.type not in ("external", "variable")]


def convert(model: ModelProto, inputs: Sequence[Array], **options: Any) -> Converted:
    """Converts a model and runs the result with the numpy kernels. inputs: in the order of the model."""
    converter = Converter(**options)
    graph = converter(onnx_model_to_graph(model))
    executor = make_executor(graph, backend="numpy")
    feeds = {info.name: array for info, array in zip(executor.inputs, inputs, strict=True)}
    results = executor.run(feeds)
    return Converted(graph, converter, [results[info.name] for info in executor.outputs])


def check(
    model: ModelProto,
    inputs: Sequence[Array],
    *,
    ops: Sequence[str] | None = None,
    expected: Sequence[Array] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    **options: Any,
) -> Converted:
    """The converted model computes what onnxruntime does (or `expected`), in the same shapes and kinds of items.

    ops: the operations that it must consist of.
    """
    names = [info.name for info in model.graph.input]
    if expected is None:
        expected = run_onnxruntime(model, dict(zip(names, inputs, strict=True)))
    result = convert(model, inputs, **options)
    if ops is not None:
        assert result.ops == list(ops)
    for tensor, actual, wanted in zip(result.graph.outputs, result.outputs, expected, strict=True):
        assert actual.shape == wanted.shape == tensor.shape
        assert nnef_dtype(actual.dtype.type) == nnef_dtype(wanted.dtype.type)
        np.testing.assert_allclose(actual, wanted, rtol=rtol, atol=atol)
    return result


def check_node(
    op: str,
    inputs: Sequence[Array | Const | None],
    outputs: int | Sequence[str] = 1,
    *,
    opset: int = 21,
    ops: Sequence[str] | None = None,
    expected: Sequence[Array] | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    **attribs: Any,
) -> Converted:
    """`check` for a model of one node."""
    model = node_model(op, inputs, outputs, opset, **attribs)
    arrays = [item for item in inputs if isinstance(item, np.ndarray)]
    return check(model, arrays, ops=ops, expected=expected, rtol=rtol, atol=atol)


@pytest.fixture
def random() -> Callable[..., Array]:
    """`random(2, 3)`: standard normal float32 numbers, the same for each test."""
    generator = np.random.default_rng(0)
    return lambda *shape: generator.standard_normal(shape).astype(np.float32)
