"""Recognizes groups of operators that one builtin computes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...model import Graph, Operation, Tensor

_RTOL = 1e-6
_L2_EPSILON = 1e-6
"""The least norm that L2_NORMALIZATION divides by."""
_L2_RANK = 4


def recognize(graph: Graph) -> int:
    """Replaces the last operator of each group; what is not used any more stays. Returns the number of groups."""
    count = sum(_recognize_prelu(graph, op) for op in graph.operations if op.type == "ADD" and not op.custom)
    for op in list(graph.operations):
        if op.custom or op.type not in ("MUL", "DIV") or op.attribs.get("fused_activation_function", "NONE") != "NONE":
            continue
        x, type = next(_candidates(op), (None, ""))
        if x is None or x.shape != op.output.shape or op.output.dtype is not np.float32:
            continue
        op.type, op.inputs = type, (x,)
        op.attribs = {"fused_activation_function": "NONE"} if type == "L2_NORMALIZATION" else {}
        count += 1
    return count


def _recognize_prelu(graph: Graph, op: Operation) -> bool:
    """PRELU, where it is relu(x) - slopes * relu(-x)."""
    for positive, negative in (op.inputs, op.inputs[::-1]):
        x, product = _operand(positive, "RELU"), _made_by(negative, "MUL")
        for rest, slopes in (product.inputs, product.inputs[::-1]) if product is not None and x is not None else ():
            data = None if slopes.has_producer or slopes.quant else slopes.data
            if data is None or _operand(_operand(rest, "RELU"), "NEG") is not x or x is None or x.rank is None:
                continue
            values = -np.asarray(data)
            while values.ndim >= x.rank and values.shape[0] == 1:
                values = values[0]
            is_plain = op.attribs.get("fused_activation_function", "NONE") == "NONE"
            if is_plain and values.ndim == x.rank - 1 and x.shape == op.output.shape and x.dtype is np.float32:
                slopes = Tensor(graph, slopes.name, values.shape, np.float32, values)
                op.type, op.attribs, op.inputs = "PRELU", {}, (x, slopes)
                return True
    return False


def _candidates(op: Operation) -> Iterator[tuple[Tensor, str]]:
    for depth in (1, 2):
        factors, number = _factors(op.output, depth)
        if len(factors) != 2:
            continue
        for x, y in (factors, factors[::-1]):
            if _is_hard_sigmoid(y, x, number):
                yield x, "HARD_SWISH"
            if number == 1.0 and x.rank is not None and x.rank <= _L2_RANK and _is_inverse_norm(y, x):
                yield x, "L2_NORMALIZATION"
    if op.type == "DIV" and len(op.inputs) == 2:
        x, norm = op.inputs
        root = _operand(_limited(norm, _L2_EPSILON), "SQRT")
        if x.rank is not None and x.rank <= _L2_RANK and _is_sum_of_squares(root, x):
            yield x, "L2_NORMALIZATION"


def _factors(tensor: Tensor, depth: int) -> tuple[list[Tensor], float]:
    """The tensors that a product has as factors, and the product of its numbers."""
    value = _number(tensor)
    if value is not None:
        return [], value
    op = _made_by(tensor, "MUL", "DIV") if depth else None
    if op is None:
        return [tensor], 1.0
    left, right = op.inputs
    if op.type == "DIV":
        divisor = _number(right)
        if not divisor:
            return [tensor], 1.0
        factors, number = _factors(left, depth - 1)
        return factors, number / divisor
    parts = [_factors(item, depth - 1) for item in (left, right)]
    return parts[0][0] + parts[1][0], parts[0][1] * parts[1][1]


def _is_hard_sigmoid(y: Tensor, x: Tensor, number: float) -> bool:
    """Is number * y = clamp(x + 3, 0, 6) / 6?"""
    clamp = _made_by(y, "RELU6", "RELU_0_TO_1")
    if clamp is None:
        return False
    limit = 6.0 if clamp.type == "RELU6" else 1.0
    line, shift = _with_number(clamp.input, "ADD")
    if line is None or not np.isclose(shift, limit / 2, rtol=_RTOL) or not np.isclose(number * limit, 1, rtol=_RTOL):
        return False
    if line is x:
        return limit == 6.0
    factors, slope = _factors(line, 1)
    return factors == [x] and bool(np.isclose(slope, limit / 6, rtol=_RTOL))


def _is_inverse_norm(y: Tensor, x: Tensor) -> bool:
    root = _operand(y, "RSQRT")
    return _is_sum_of_squares(_limited(root, _L2_EPSILON**2), x)


def _is_sum_of_squares(y: Tensor | None, x: Tensor) -> bool:
    """Is it the sum along the last axis, which stays?"""
    op = None if y is None else _made_by(y, "SUM")
    if op is None or not op.attribs.get("keep_dims") or op.inputs[1].data is None or x.rank is None:
        return False
    axes = [int(axis) % x.rank for axis in np.asarray(op.inputs[1].data).reshape(-1)]
    return axes == [x.rank - 1] and _operand(op.inputs[0], "SQUARE") is x


def _limited(y: Tensor | None, least: float) -> Tensor | None:
    z, number = (None, 0.0) if y is None else _with_number(y, "MAXIMUM")
    return z if np.isclose(number, least, rtol=_RTOL, atol=0) else None


def _with_number(tensor: Tensor, type: str) -> tuple[Tensor | None, float]:
    """The operand that is no number, and the number, of an operator with two operands."""
    op = _made_by(tensor, type)
    if op is None:
        return None, 0.0
    for x, other in (op.inputs, op.inputs[::-1]):
        value = _number(other)
        if value is not None and x.shape == tensor.shape:
            return x, value
    return None, 0.0


def _made_by(tensor: Tensor, *types: str) -> Operation | None:
    op = tensor.producer
    is_plain = op is not None and not op.custom and op.attribs.get("fused_activation_function", "NONE") == "NONE"
    return op if is_plain and op is not None and op.type in types and not tensor.quant else None


def _operand(tensor: Tensor | None, type: str) -> Tensor | None:
    op = None if tensor is None else _made_by(tensor, type)
    return None if op is None else op.inputs[0]


def _number(tensor: Tensor) -> float | None:
    is_one = tensor.data is not None and not tensor.has_producer and tensor.volume == 1 and not tensor.quant
    return float(np.asarray(tensor.data).item()) if is_one else None
