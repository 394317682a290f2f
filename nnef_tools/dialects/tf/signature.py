"""Attributes that follow from the inputs and outputs of an operation: their types and numbers."""

from __future__ import annotations

from typing import Any

from ...model.graph import Operation, Tensor
from .operators import Argument, find_operator


def type_attributes(op: Operation) -> dict[str, Any]:
    """The attributes of a known operator that tell the types and numbers of its inputs and outputs.

    What the data types of the tensors do not tell is left out.
    """
    operator = find_operator(op.type or "")
    if operator is None or op.custom:
        return {}
    result: dict[str, Any] = {}
    for arguments, tensors in ((operator.outputs, op.outputs), (operator.inputs, op.inputs)):
        rest = list(tensors)
        for k, argument in enumerate(arguments):
            single = argument.count is None and not argument.is_list
            # Of several groups of any size, the first takes all; the attributes must be given then.
            count = 1 if single else max(len(rest) - (len(arguments) - k - 1), 0)
            _add(result, argument, rest[:count])
            rest = rest[count:]
    return {name: value for name, value in result.items() if name in operator.attributes}


def _add(result: dict[str, Any], argument: Argument, tensors: list[Tensor]) -> None:
    types = [tensor.dtype for tensor in tensors]
    if argument.count is not None:
        result[argument.count] = len(tensors)
    if argument.is_list:
        if None not in types:
            result[argument.dtype] = types
    elif types and types[0] is not None:
        result[argument.dtype] = types[0]
