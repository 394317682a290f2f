"""A builder of small NNEF graphs, an evaluator over the kernels of operations, and the three checks of a rewrite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnef_tools.language.types import REQUIRED
from nnef_tools.model import Graph, Operation, Tensor
from nnef_tools.model.dtypes import canonical_dtype
from nnef_tools.model.verify import verify

from ..support.arrays import Array
from ..support.nnef_models import definition_of


class Net:
    """Builds a graph; shapes come from the shape rules of operations."""

    def __init__(self) -> None:
        self.graph = Graph("net")
        self.random = np.random.default_rng(1)
        self.names = 0

    def tensor(self, shape: Sequence[int], dtype: Any, name: str | None = None, data: Array | None = None) -> Tensor:
        self.names += 1
        return Tensor(self.graph, name or f"t{self.names}", tuple(shape), dtype, data)

    def external(self, *shape: int, dtype: Any = np.float32, name: str | None = None) -> Tensor:
        result = self.tensor(shape, dtype, name)
        attribs = {"shape": list(shape), "dtype": canonical_dtype(dtype)}
        Operation(self.graph, type="external", attribs=attribs, outputs=result)
        self.graph.inputs = [*self.graph.inputs, result]
        return result

    def variable(self, data: Array | tuple[int, ...], label: str | None = None) -> Tensor:
        """A variable of the value, or with random values (of both signs) of the shape."""
        if isinstance(data, tuple):
            data = self.random.normal(size=data).astype(np.float32)
        result = self.tensor(data.shape, data.dtype.type, data=data)
        label = label or f"variable{self.names}"
        attribs = {"shape": list(data.shape), "label": label, "dtype": canonical_dtype(data.dtype)}
        Operation(self.graph, type="variable", attribs=attribs, outputs=result)
        return result

    def constant(self, value: Any, *shape: int) -> Tensor:
        """A `constant` operation."""
        attribs = {"shape": list(shape), "value": list(np.ravel(value).tolist()), "dtype": np.float32}
        result = self.tensor(shape, np.float32)
        Operation(self.graph, type="constant", attribs=attribs, outputs=result)
        return result

    def literal(self, value: Any, dtype: Any = np.float32) -> Tensor:
        return Tensor(self.graph, None, (), dtype, np.array(value, dtype))

    def __getattr__(self, type: str) -> Callable[..., Any]:
        return lambda *inputs, **attribs: self.op(type, *inputs, **attribs)

    def op(self, type: str, *inputs: Any, dtype: Any = np.float32, name: str | None = None, **attribs: Any) -> Any:
        """Adds an operation. A list of tensors is an array argument; numbers are literals."""
        opdef = definition_of(type)
        attribs = opdef.complete(attribs)
        array = isinstance(inputs[0], list)
        tensors = [t if isinstance(t, Tensor) else self.literal(t) for t in (inputs[0] if array else inputs)]
        if not array:
            missing = opdef.fragment.tensors[len(tensors) :]
            tensors += [self.literal(p.default) for p in missing if p.default is not REQUIRED]
        shapes = [list(tensor.shape or ()) for tensor in tensors]
        shape = opdef.shape(*([shapes] if array else shapes), **attribs)
        if opdef.fragment.generic:
            attribs["dtype"] = canonical_dtype(dtype)
        if isinstance(shape, tuple) or (shape and isinstance(shape[0], list)):
            several = [self.tensor(tuple(item), dtype) for item in shape]
            outputs: Any = tuple(several) if isinstance(shape, tuple) else several
        else:
            outputs = (self.tensor(tuple(shape), dtype, name),)
        Operation(self.graph, type=type, attribs=attribs, inputs=tensors if array else tuple(tensors), outputs=outputs)
        return outputs[0] if len(outputs) == 1 and isinstance(outputs, tuple) else outputs

    def done(self, *outputs: Tensor) -> Graph:
        self.graph.outputs = outputs
        verify(self.graph)
        return self.graph


def evaluate(graph: Graph, seed: int = 0) -> list[Array]:
    """The graph outputs for random inputs of both signs."""
    random = np.random.default_rng(seed)
    values: dict[Tensor, Any] = {}
    for tensor in graph.inputs:
        shape: Any = tensor.shape
        if tensor.dtype is np.bool_:
            values[tensor] = random.random(shape) < 0.5
        elif issubclass(tensor.dtype, np.integer):
            values[tensor] = random.integers(0, 3, shape)
        else:
            values[tensor] = random.normal(size=shape).astype(np.float32) * 3
    for tensor in graph.tensors:
        if tensor.data is not None:
            values[tensor] = tensor.data
            assert tensor.data.shape == tensor.shape
    for operation in graph.operations:
        if operation.type in ("external", "variable"):
            continue
        opdef = definition_of(str(operation.type))
        attribs = opdef.complete(operation.attribs)
        if operation.type in ("cast", "constant"):
            attribs["dtype"] = operation.attribs["dtype"]
        inputs = [values[tensor] for tensor in operation.inputs]
        result = opdef.run(*(inputs if isinstance(operation.inputs, tuple) else [inputs]), **attribs)
        results = result if isinstance(result, (tuple, list)) else [result]
        for tensor, value in zip(operation.outputs, results, strict=True):
            assert value.shape == tensor.shape, f"{operation}: {value.shape}"
            values[tensor] = value
    return [values[tensor] for tensor in graph.outputs]


def types(graph: Graph) -> list[str | None]:
    """The types of operations, without those that introduce tensors."""
    return [op.type for op in graph.operations if op.type not in ("external", "variable", "constant")]


def check(graph: Graph, function: Callable[[Graph], int], expected: Sequence[str], *, tolerance: float = 1e-4) -> None:
    """Applies a pass until it is done. Checks structure, numbers and validity; names of inputs and outputs stay."""
    interface = [tensor.name for tensor in (*graph.inputs, *graph.outputs)]
    before = evaluate(graph)
    original = [op.type for op in graph.operations]
    total = 0
    while count := function(graph):
        total += count
        verify(graph)
    assert types(graph) == list(expected)
    assert (total > 0) == (original != [op.type for op in graph.operations])
    verify(graph)
    assert [tensor.name for tensor in (*graph.inputs, *graph.outputs)] == interface
    labels = [op.attribs["label"].lower() for op in graph.operations if op.type == "variable"]
    assert len(set(labels)) == len(labels)
    for operation in graph.operations:
        if operation.type == "variable":
            assert tuple(operation.attribs["shape"]) == operation.output.shape == operation.output.data.shape
            assert operation.attribs["dtype"] is canonical_dtype(operation.output.data.dtype)
    for old, new in zip(before, evaluate(graph), strict=True):
        assert old.dtype == new.dtype
        np.testing.assert_allclose(new, old, rtol=tolerance, atol=tolerance)
