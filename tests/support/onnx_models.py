"""Small ONNX models, and what onnxruntime computes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from nnef_tools.execution.onnxruntime.onnx import open_session, providers
from nnef_tools.io.onnx.reader import onnx_model_to_graph
from nnef_tools.model import Graph

from .arrays import Array


@dataclass(frozen=True)
class Typed:
    """Type of the items and shape, None if it is not known, of an input or output."""

    dtype: Any
    shape: Sequence[Any] | None = None


Info = Array | Typed | Sequence[Any] | None
"""What an input or output is declared as: like an array, `Typed`, of float32 and a shape, or None for onnx to infer."""


@dataclass(frozen=True)
class Const:
    """Marks an input of a node that is an initializer."""

    array: Array


def const(value: Any, dtype: Any = np.int64) -> Const:
    """An initializer; int64 unless said otherwise."""
    return Const(np.asarray(value, dtype))


def value_info(name: str, info: Info) -> ValueInfoProto:
    """The declaration of an input or output."""
    if info is None:
        return ValueInfoProto(name=name)
    if isinstance(info, np.ndarray):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(info.dtype), info.shape)
    if isinstance(info, Typed):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(info.dtype)), info.shape)
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, info)


def onnx_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Info],
    outputs: Mapping[str, Info],
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    domains: Sequence[str] = (),
    ir_version: int = 8,
) -> ModelProto:
    """A model of nodes, with a graph named `net`. domains: of custom operators, in version 1."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [value_info(name, info) for name, info in inputs.items()],
        [value_info(name, info) for name, info in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    versions = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=versions, ir_version=ir_version)


def node_model(
    op: str,
    inputs: Sequence[Array | Const | None],
    outputs: int | Sequence[str] = 1,
    opset: int = 21,
    *,
    infer: bool = True,
    **attribs: Any,
) -> ModelProto:
    """A model of one node. Inputs are graph inputs `x0`, `x1`, .. (arrays give type and shape), initializers or absent.

    outputs: how many (`y0`, ..) or their names, '' for an omitted one. infer: whether their types and shapes are.
    """
    results = [f"y{k}" for k in range(outputs)] if isinstance(outputs, int) else list(outputs)
    names, given, constants = _operands(inputs)
    node = helper.make_node(op, names, results, name="node", **attribs)
    model = onnx_model([node], given, {name: None for name in results if name}, constants, opset=opset)
    return onnx.shape_inference.infer_shapes(model) if infer else model


def contrib_model(
    op: str,
    inputs: Sequence[Array | Const | None],
    outputs: Sequence[Any],
    domain: str = "com.microsoft",
    **attribs: Any,
) -> ModelProto:
    """A model of one node of a domain whose types and shapes onnx cannot infer; inputs as for `node_model`.

    outputs: their numpy types, None if omitted. Attributes that are None are left out.
    """
    results = {f"y{k}": dtype for k, dtype in enumerate(outputs)}
    names, given, constants = _operands(inputs)
    node = helper.make_node(op, names, ["" if dtype is None else name for name, dtype in results.items()],
                            domain=domain)  # fmt: skip
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attribs.items() if value is not None)
    infos = {name: Typed(dtype) for name, dtype in results.items() if dtype is not None}
    return onnx_model([node], given, infos, constants, domains=["com.microsoft"])


def _operands(inputs: Sequence[Array | Const | None]) -> tuple[list[str], dict[str, Info], dict[str, Array]]:
    """Names of the inputs of a node, those of the graph, and its initializers."""
    names = ["" if item is None else f"x{k}" for k, item in enumerate(inputs)]
    named = list(zip(names, inputs, strict=True))
    given: dict[str, Info] = {name: item for name, item in named if isinstance(item, np.ndarray)}
    return names, given, {name: item.array for name, item in named if isinstance(item, Const)}


def text_model(text: str) -> ModelProto:
    """A model in the text syntax of onnx."""
    return onnx.parser.parse_model(text)


def read_model(model: ModelProto) -> Graph:
    """The graph that our reader makes of a model."""
    return onnx_model_to_graph(model)


def onnx_session(model: ModelProto | Path, *, optimized: bool = True, threads: int = 1) -> Any:
    """A session of onnxruntime, with results that are exact on all processors. threads: 0 for all there are."""
    source, where = (str(model), str(model)) if isinstance(model, Path) else (model.SerializeToString(), "")
    return open_session(source, where, threads=threads, optimized=optimized, providers=providers("cpu"))


def run_onnx(
    model: ModelProto | Path,
    inputs: Mapping[str, Any] | Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    optimized: bool = True,
    threads: int = 1,
) -> list[Array]:
    """What onnxruntime computes. inputs: by name, or in the order of the model. names: of outputs, by default all."""
    session = onnx_session(model, optimized=optimized, threads=threads)
    if not isinstance(inputs, Mapping):
        inputs = {info.name: value for info, value in zip(session.get_inputs(), inputs, strict=True)}
    return list(session.run(names, dict(inputs)))


def run_unoptimized(model: ModelProto | Path, inputs: Mapping[str, Array] | Sequence[Array]) -> list[Array]:
    """What onnxruntime computes node by node, as the model stands: the reference for its conversions."""
    return run_onnx(model, inputs, optimized=False)


def run_node(
    op: str,
    inputs: Sequence[Array | None],
    outputs: int = 1,
    opset: int = 20,
    *,
    reference: bool = False,
    **attribs: Any,
) -> list[Array]:
    """What onnxruntime computes of one node; with `reference` the evaluator of onnx, which knows more cases."""
    model = node_model(op, inputs, outputs, opset, infer=False, **attribs)
    feeds = {f"x{k}": array for k, array in enumerate(inputs) if array is not None}
    if not reference:
        return run_onnx(model, feeds)
    results: Any = ReferenceEvaluator(model).run(None, feeds)
    return list(results)
