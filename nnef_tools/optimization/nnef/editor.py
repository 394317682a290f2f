"""The edits that rewrites of NNEF graphs share: values of constants, new constants, removal of operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import FormatError
from ...io.nnef.labels import FreshLabels
from ...model import Graph, Operation, Tensor
from ...model.dtypes import canonical_dtype
from ...model.utils import place_operations, replace_tensor_in_consumers
from ...model.widths import has_literal
from ...ops.bind import bind
from ...ops.inference import evaluate
from ...ops.library import Library
from ...ops.precision import common_float, is_floating, is_narrow

Array = np.ndarray[Any, np.dtype[Any]]
Argument = tuple[Operation, Tensor]


class Editor:
    """The edits of a graph during one pass. `finish` puts new operations into their places."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.outputs = frozenset(graph.outputs)
        variables = [operation for operation in graph.operations if operation.type == "variable"]
        self._labels = Counter(_label(operation) for operation in variables)
        self._fresh_label = FreshLabels(self._labels)
        self._updated = {
            _label(tensor.producer)
            for operation in graph.operations
            if operation.type == "update"
            for tensor in operation.inputs[:1]
            if tensor.producer is not None
        }

    def finish(self, count: int) -> int:
        """Restores the topological order, and returns the number of rewrites."""
        if count:
            place_operations(self.graph)
        return count

    def value(self, tensor: Tensor) -> Array | None:
        """The value of a constant: a literal, a `constant`, or a `variable` that no `update` changes. Else None.

        It is None for quantized constants, too, whose data may be codes.
        """
        producer = tensor.producer
        if tensor.quant or (producer is not None and producer.type not in ("variable", "constant")):
            return None
        if self.is_updated(tensor):
            return None
        if isinstance(tensor.data, np.ndarray | np.generic):
            return np.asarray(tensor.data)
        if producer is not None and producer.type == "constant":
            return np.asarray(evaluate("constant", (), producer.attribs))
        return None

    def is_updated(self, tensor: Tensor) -> bool:
        """Is the tensor a variable that some `update` changes?"""
        producer = tensor.producer
        return producer is not None and producer.type == "variable" and _label(producer) in self._updated

    def is_private(self, tensor: Tensor) -> bool:
        """Is the tensor an intermediate result with a single user, so that it may vanish?"""
        return tensor.consumer is not None and tensor not in self.outputs and not tensor.quant

    def set_value(self, operation: Operation, index: int, data: Array, replaced: Sequence[Argument] = ()) -> None:
        """Gives an input of the operation another constant value.

        The present constant changes in place if nothing else uses it; otherwise a new one is made (see
        `make_constant`). `index` may be one after the last input.
        """
        inputs = list(operation.inputs)
        old = inputs[index] if index < len(inputs) else None
        own = [(operation, old)] if old is not None else []
        hint = old.producer.attribs.get("label") if old is not None and old.producer is not None else None
        inputs[index : index + 1] = [self.make_constant(data, [*own, *replaced], hint)]
        operation.inputs = tuple(inputs)

    def make_constant(self, data: Array, replaced: Sequence[Argument], hint: str | None = None) -> Tensor:
        """A constant in place of others that are about to vanish, arguments of operations that will not use them.

        The first of them that nothing else uses gets the value, so that its name stays; otherwise see `new_constant`.
        """
        own = next((tensor for operation, tensor in replaced if data.ndim > 0 and self._owns(operation, tensor)), None)
        if own is None:
            return self.new_constant(data, hint)
        producer = own.producer
        assert producer is not None
        _become_variable(producer, own, data, producer.attribs.get("label") or self._new_label(own.name))
        return own

    def replace_constant(self, tensor: Tensor, data: Array) -> None:
        """Gives a constant another value, for all of its users."""
        producer = tensor.producer
        if producer is None:
            tensor.data, tensor.shape = data, data.shape
            return
        label = producer.attribs.get("label")
        if label is None or self._labels[_label(producer)] > 1:  # other variables with the label keep their value
            label = self._new_label(label or tensor.name)
        _become_variable(producer, tensor, data, label)

    def _owns(self, operation: Operation, tensor: Tensor) -> bool:
        """Is the constant used only by this operation, as one argument?"""
        return (
            tensor.producer is not None
            and tensor.consumer is operation
            and tensor not in self.outputs
            and sum(other is tensor for other in operation.inputs) == 1
            and (tensor.producer.type == "constant" or self._labels[_label(tensor.producer)] == 1)
        )

    def new_constant(self, data: Array, hint: str | None = None) -> Tensor:
        """A literal for a finite scalar, else a `variable` with a new label made from the hint."""
        if data.ndim == 0 and has_literal(data):
            return Tensor(self.graph, None, (), data.dtype.type, data)
        tensor = Tensor(self.graph)
        operation = add_operation(self.graph, "variable", (), tensor)
        _become_variable(operation, tensor, data, self._new_label(hint))
        return tensor

    def become_constant(self, operation: Operation, data: Array) -> None:
        """Replaces an operation by its value; the result keeps its name, but a scalar becomes a literal."""
        tensor = operation.output
        if data.ndim == 0 and tensor not in self.outputs and has_literal(data):
            replace_tensor_in_consumers(self.graph, tensor, self.new_constant(data))
            self.remove(operation)
            return
        operation.inputs = ()
        operation.outputs = (tensor,)
        _become_variable(operation, tensor, data, self._new_label(tensor.name))

    def fold(self, operation: Operation, data: Array) -> None:
        """Replaces an operation on constants by its value.

        The first operand with as many items, or one that is repeated, passes its name on if nothing else uses it.
        """
        whole = [t for t in operation.inputs if operation.type == "tile" or t.volume == data.size]
        replaced = [(operation, t) for t in whole[:1]]
        result = operation.output
        if result in self.outputs or not any(self._owns(*argument) for argument in replaced):
            self.become_constant(operation, data)
            return
        replace_tensor_in_consumers(self.graph, result, self.make_constant(data, replaced))
        self.remove(operation)

    def _new_label(self, hint: str | None) -> str:
        label = self._fresh_label(hint)
        self._labels[label.lower()] += 1
        return label

    def remove(self, operation: Operation) -> None:
        """Removes an operation whose results nothing uses any more, with its results."""
        outputs = list(operation.outputs)
        self.graph.remove_operation(operation, unlink=True)
        self.graph.remove_tensors(tensor for tensor in outputs if not tensor.has_producer)

    def forward(self, operation: Operation, sources: Sequence[Tensor]) -> bool:
        """Removes an operation whose results equal the sources, one for one; False if that is impossible.

        A result that is a graph output keeps its name: the operation that computes the source then computes the result
        instead. If the source is an input or output of the graph or a constant, an operation with one result becomes a
        `copy` (if it is not one already).
        """
        pairs = list(zip(operation.outputs, sources, strict=True))
        if all(self._is_replaceable(result, source) for result, source in pairs):
            self.graph.remove_operation(operation, unlink=True)
            for result, source in pairs:
                self._replace(result, source)
            return True
        if len(pairs) != 1 or operation.type == "copy":
            return False
        [(result, source)] = pairs
        operation.type = "copy"
        operation.attribs = {"dtype": canonical_dtype(result.dtype or source.dtype or np.float32)}
        operation.inputs, operation.outputs = (source,), (result,)
        return True

    def _is_replaceable(self, result: Tensor, source: Tensor) -> bool:
        if result not in self.outputs:
            return not result.quant
        producer = source.producer
        movable = producer is not None and bool(producer.inputs) and source not in self.outputs
        return movable and not (source.quant and result.quant) and (not result.quant or source.consumer is not None)

    def _replace(self, result: Tensor, source: Tensor) -> None:
        if result not in self.outputs:
            replace_tensor_in_consumers(self.graph, result, source)
            self.graph.remove_tensor(result)
            return
        replace_tensor_in_consumers(self.graph, source, result)
        producer = source.producer
        assert producer is not None
        outputs = [result if tensor is source else tensor for tensor in producer.outputs]
        producer.outputs = tuple(outputs) if isinstance(producer.outputs, tuple) else outputs
        result.quant = result.quant or source.quant
        self.graph.remove_tensor(source)


def add_operation(
    graph: Graph, type: str, inputs: Tensor | tuple[Tensor, ...], result: Tensor, **attribs: Any
) -> Operation:
    """Adds an operation that produces the tensor at the end of the graph; its `dtype` is the class of the items.

    `Editor.finish` puts it into its place.
    """
    attribs["dtype"] = canonical_dtype(result.dtype or np.float32)
    return Operation(graph, type=type, attribs=attribs, inputs=inputs, outputs=result)


def attributes(operation: Operation) -> dict[str, Any]:
    """The attributes of an operation, with defaults for those that are missing, as in operations that plugins create.

    FormatError if one that has no default is missing.
    """
    call = bind(operation, Library())
    if call.missing:
        raise FormatError(f"operation '{operation.type}' -> {operation.outputs!r} lacks attribute '{call.missing[0]}'")
    return call.attribs | call.surplus


def real(array: Any) -> Array | None:
    """The values as float64, for combining constants; None if they are not of a floating-point type."""
    data = np.asarray(array)
    return data.astype(np.float64) if is_floating(data.dtype) else None


def widened(array: Array) -> Array:
    """An array in the precision that it is computed in: float32 for half precision."""
    return array.astype(np.float32) if is_floating(array.dtype) and is_narrow(array.dtype) else array


def narrowed(data: Array, *sources: Array) -> Array | None:
    """A combination of constants in their common floating-point type; None if it does not fit.

    It does not fit if an item overflows, or underflows to 0. Scalars do not influence the type, unless all are scalars.
    What is stored in half precision is computed in float32, so a combination that half precision rounds is float32.
    """
    ranked = [source for source in sources if source.ndim > 0] or sources
    dtype = common_float(source.dtype for source in ranked)
    with np.errstate(all="ignore"):
        if is_narrow(dtype) and not np.array_equal(data.astype(dtype).astype(data.dtype), data):
            dtype = np.float32
        result = np.asarray(data.astype(dtype))
        lost = ~np.isfinite(result.astype(np.float64)) | ((result == 0) & (data != 0))
    return None if lost.any() else result


def _label(operation: Operation | None) -> str:
    """The label of a variable for comparisons, which ignore case."""
    return str(operation.attribs.get("label", "")).lower() if operation is not None else ""


def _become_variable(operation: Operation, tensor: Tensor, data: Array, label: str) -> None:
    # quantized data may be codes: integers that stand for real numbers
    dtype = operation.attribs["dtype"] if tensor.quant else canonical_dtype(data.dtype)
    operation.type = "variable"
    operation.attribs = {"shape": list(data.shape), "label": label, "dtype": dtype}
    tensor.data, tensor.shape, tensor.dtype = data, data.shape, data.dtype.type
