"""Shares equal constants, and evaluates operations on constants."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable

import numpy as np

from ...errors import NnefToolsError
from ...model import Graph, Operation
from ...model.dtypes import integer_bits, is_float, is_integer
from ...model.utils import replace_tensor_in_consumers
from ...ops.inference import evaluate
from ...ops.precision import is_floating
from ...ops.registry import find
from .editor import Array, Editor, narrowed, widened

MAX_GROWTH = 1 << 20  # the number of items by which the value of an operation may exceed its inputs

MAX_DECODED = 1 << 10
"""The most codes, integers of up to 8 bits, that become real numbers, which take several times the space."""

_NEVER_FOLDED = ("external", "variable", "constant", "update", "copy")


def share_constants(graph: Graph) -> int:
    """Makes all users of `variable` and `constant` operations with equal values, type and shape use one of them.

    It is the first one with a name, which constants made by other passes lack. Updated variables, quantized constants
    and graph outputs are left alone. Values are compared bit by bit.
    """
    editor = Editor(graph)
    groups: dict[Hashable, list[tuple[Operation, Array]]] = {}
    for operation in graph.operations:
        if operation.type in ("variable", "constant"):
            data = editor.value(operation.output)
            if data is not None:
                groups.setdefault((data.dtype, data.shape, _sample(data)), []).append((operation, data))
    count = 0
    for group in groups.values():
        if len(group) > 1:
            count += _share(group, editor)
    return editor.finish(count)


def _sample(data: Array) -> bytes:
    """A few items, by which most different values are distinguished without reading them whole."""
    return np.asarray(data.flat[:: max(1, data.size // 16)]).tobytes()


def _share(group: list[tuple[Operation, Array]], editor: Editor) -> int:
    equal: dict[bytes, list[Operation]] = {}
    for operation, data in group:
        digest = hashlib.blake2b(np.ascontiguousarray(data).tobytes()).digest()
        equal.setdefault(digest, []).append(operation)
    count = 0
    for operations in equal.values():
        kept = next((operation for operation in operations if operation.output.name), operations[0])
        for operation in operations:
            if operation is not kept and operation.output not in editor.outputs:
                replace_tensor_in_consumers(editor.graph, operation.output, kept.output)
                editor.remove(operation)
                count += 1
    return count


def fold_constants(graph: Graph) -> int:
    """Replaces op(constants..) -> y by a variable with the value, or by a literal for a scalar.

    The kernel of the operation computes the value. Operations stay if they are unknown, have several results or no
    known shape, if the value is much larger than the inputs (such as `tile`) or would be real numbers made of codes, or
    if the evaluation fails: an optimization does not report errors of the model.
    """
    editor = Editor(graph)
    count = 0
    for operation in graph.operations:
        data = _evaluate(operation, editor)
        if data is not None:
            editor.fold(operation, data)
            count += 1
    return editor.finish(count)


def _evaluate(operation: Operation, editor: Editor) -> Array | None:
    if find(operation.type) is None or operation.type in _NEVER_FOLDED or not isinstance(operation.outputs, tuple):
        return None
    if len(operation.outputs) != 1 or operation.output.quant or not operation.inputs:
        return None
    values = []
    for tensor in operation.inputs:
        value = editor.value(tensor)
        if value is None:
            return None
        values.append(value)
    size, volume = sum(value.size for value in values), operation.output.volume
    if volume is None or volume > size + MAX_GROWTH:
        return None
    if volume > MAX_DECODED and is_float(operation.output.dtype) and any(map(_are_codes, values)):
        return None
    wide = [widened(value) for value in values]
    arguments = wide if isinstance(operation.inputs, tuple) else [wide]
    try:
        data = np.asarray(evaluate(operation.type or "", arguments, operation.attribs))
    except (NnefToolsError, ArithmeticError, ValueError, LookupError):
        return None
    if is_floating(data.dtype) and any(a is not b for a, b in zip(values, wide, strict=True)):
        stored = narrowed(data, *values)
        data = data if stored is None else stored
    return data if data.size and data.shape == operation.output.shape else None


def _are_codes(data: Array) -> bool:
    return data.size > MAX_DECODED and is_integer(data.dtype) and integer_bits(data.dtype) <= 8
