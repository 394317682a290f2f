"""Makes constant inputs of TensorFlow operators, such as axes and paddings, attributes during a rewrite.

During a rewrite, `perm` of a Transpose or `paddings` of a Pad are attributes with these names, and only tensors with
data are inputs. Afterwards they are constants again, the same ones if the values are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ...dialects.tf.operators import Operator
from ...model import Graph, Operation, Tensor

NAMES = frozenset(("axis", "begin", "dim", "dimension", "end", "multiples", "paddings", "perm", "reduction_indices",
                   "shape", "size", "size_splits", "split_dim", "strides"))  # fmt: skip
"""The inputs that are parameters, by their names in the signatures of operators."""


class ParameterDialect(Protocol):
    """What has to be known of the operators and constants of a graph."""

    def signature(self, operation: Operation) -> Operator | None:
        """The signature of an operator, in which parameters have names."""

    def value(self, tensor: Tensor) -> Any:
        """The value of a constant; None for anything else."""

    def new_constant(self, data: np.ndarray[Any, Any]) -> Tensor:
        """A constant of its own; operations must be sorted afterwards."""


class Parameters:
    """Turns the parameters of operations of the given types into attributes, and later back into inputs."""

    def __init__(self, graph: Graph, types: Callable[[str], bool], dialect: ParameterDialect) -> None:
        self._graph = graph
        self._dialect = dialect
        self._value = dialect.value
        self._constants: dict[Operation, dict[str, Tensor]] = {}
        for op in graph.operations:
            if types(op.type or "") and not op.custom:
                self._take(op)

    def _take(self, op: Operation) -> None:
        taken = {
            position: name
            for position, name in parameter_inputs(op, self._dialect.signature(op)).items()
            if position < len(op.inputs)
        }
        constants = {name: op.inputs[position] for position, name in taken.items()}
        values = {name: self._value(tensor) for name, tensor in constants.items()}
        if not taken or any(value is None for value in values.values()):
            return
        self._constants[op] = constants
        op.inputs = [tensor for position, tensor in enumerate(op.inputs) if position not in taken]
        op.attribs = {**op.attribs, **{name: np.asarray(value).tolist() for name, value in values.items()}}

    def put_back(self) -> None:
        """Turns parameters back into inputs, also those of new operations."""
        for op in list(self._graph.operations):
            names = parameter_inputs(op, self._dialect.signature(op), given=True)
            values = {name: op.attribs[name] for name in names.values() if name in op.attribs}
            if op.custom or not names or len(values) != len(names):
                continue
            inputs = list(op.inputs)
            for position, name in sorted(names.items()):
                inputs.insert(position, self._constant(op, name, values[name]))
            op.inputs = inputs
            op.attribs = {name: value for name, value in op.attribs.items() if name not in values}
        known = {tensor for constants in self._constants.values() for tensor in constants.values()}
        self._remove_unused(known)

    def _constant(self, op: Operation, name: str, value: Any) -> Tensor:
        old = self._constants.get(op, {}).get(name)
        if old is not None and np.asarray(self._value(old)).tolist() == value:
            return old
        data = np.asarray(value, np.int32 if old is None else old.dtype)
        return self._dialect.new_constant(data)

    def _remove_unused(self, tensors: set[Tensor]) -> None:
        for tensor in self._graph.tensors[:]:
            if tensor in tensors and not tensor.has_consumer and tensor not in self._graph.outputs:
                self._graph.remove_operations(tensor.producers, unlink=True)
                self._graph.remove_tensor(tensor)


def parameter_inputs(op: Operation, operator: Operator | None, *, given: bool = False) -> dict[int, str]:
    """Position -> name of the parameters among the inputs of a known operator. given: those that are attributes now."""
    if operator is None:
        return {}
    single = [argument for argument in operator.inputs if argument.count is None and not argument.is_list]
    names = [argument.name for argument in single if argument.name in NAMES and len(operator.inputs) > 1]
    others = len(op.inputs) - (0 if given else len(names))
    positions = {}
    position = 0
    for argument in operator.inputs:
        if argument.name in names:
            positions[position] = argument.name
            position += 1
        else:
            # a group takes all inputs but the single ones
            position += 1 if argument in single else others - (len(single) - len(names))
    return positions
