"""Operators on codes as operators on the real values of codes, between DequantizeLinear and QuantizeLinear.

`QLinearConv` and the like, and `MatMulInteger` or `ConvInteger` with the Cast and Mul behind it that make real values
of its result, take the form in which other models are quantized. What makes quantized tensors of that form (`qdq.py`)
so applies to them. Scales and zero points must be constant, and positive; all others stay for the rules of `quant.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ....model import Graph, Operation, Tensor
from ....model.copying import copy_graph
from ....model.dtypes import is_integer
from ....model.facts import opset_versions
from ....model.utils import remove_unreachable
from ..common import dtype_code
from .quant_moves import find_moves, move_values

Array = np.ndarray[Any, Any]

MICROSOFT = "com.microsoft"
FIRST_VERSION = 10
"""The first operator set that has QuantizeLinear."""

AXES_AS_INPUT = {"ReduceMean": 18, "ReduceSum": 13}
"""Operators -> the first version that takes axes as an input."""


def with_real_operators(graph: Graph, kept: Collection[str] = ()) -> tuple[Graph, dict[Tensor, Tensor]]:
    """The graph, or a copy with operators on real values; and tensor of the copy -> its original.

    kept: types of operators that stay.
    """
    version = opset_versions(graph.metadata).get("", 1)
    products = any((op.domain, op.type) in _RULES and op.type not in kept for op in graph.operations)
    moved = any(op.type in ("QuantizeLinear", "DequantizeLinear") for op in graph.operations)
    if version < FIRST_VERSION or not (products or (moved and find_moves(graph, version))):
        return graph, {}
    result = copy_graph(graph)
    copies = dict(zip(graph.tensors, result.tensors, strict=True))
    rewriter = _Rewriter(result, version)
    for op in list(result.operations):
        if op.type not in kept:
            rewriter.rewrite(op)
    remove_unreachable(result)
    result.sort()
    for op, form in find_moves(result, version).items():
        if op.type not in kept:
            move_values(result, op, form, version)
    result.sort()
    return result, {copy: original for original, copy in copies.items()}


class _StaysError(Exception):
    """The operator has no form in real values."""


class _Rewriter:
    """Replaces operators of a graph, in place."""

    def __init__(self, graph: Graph, version: int) -> None:
        self.graph = graph
        self.version = version

    def rewrite(self, op: Operation) -> None:
        """Replaces an operator, unless it stays."""
        rule = _RULES.get((op.domain, str(op.type)))
        if rule is not None and op.graph is not None:
            with suppress(_StaysError):
                rule(self, op)

    def call(
        self, type: str, *inputs: Tensor | None, shape: Any = None, dtype: Any = np.float32, **attribs: Any
    ) -> Tensor:
        """The result of a standard operator, which is real by default. Attributes of None are left out."""
        given = {key: item for key, item in attribs.items() if item is not None}
        result = Tensor(self.graph, shape=shape, dtype=dtype)
        arguments = tuple(self._missing() if tensor is None else tensor for tensor in inputs)
        Operation(self.graph, type=type, attribs=given, inputs=arguments, outputs=(result,))
        return result

    def constant(self, value: Array) -> Tensor:
        """A constant tensor."""
        return Tensor(self.graph, shape=value.shape, dtype=value.dtype.type, data=value)

    def _missing(self) -> Tensor:
        return Tensor(self.graph, name="", shape=(), data=np.empty(()))

    def real(self, codes: Tensor, scale: Array, zero_point: Array | None, axis: int | None = None) -> Tensor:
        """The values of codes. Scale and zero point: of one item, or with one for each position of the axis."""
        if zero_point is not None and zero_point.size != scale.size:
            sizes = {scale.size, zero_point.size}
            if 1 not in sizes:
                raise _StaysError
            scale, zero_point = np.broadcast_arrays(scale.reshape(-1), zero_point.reshape(-1))
        if scale.size == 1:
            axis, scale, zero_point = None, scale.reshape(()), None if zero_point is None else zero_point.reshape(())
        elif axis is None or scale.ndim != 1:
            raise _StaysError
        parameters = [self.constant(item) for item in (scale, zero_point) if item is not None]
        return self.call("DequantizeLinear", codes, *parameters, shape=codes.shape, axis=axis)

    def finish(self, op: Operation, values: Tensor, scale: Array, zero_point: Array) -> None:
        """Quantizes the values that replace an operator on codes."""
        if scale.size != 1 or zero_point.size != 1:
            raise _StaysError
        result, parameters = op.outputs[0], (self.constant(item.reshape(())) for item in (scale, zero_point))
        self.graph.remove_operation(op, unlink=True)
        result.dtype = zero_point.dtype
        Operation(self.graph, type="QuantizeLinear", inputs=(values, *parameters), outputs=(result,))


def _has(op: Operation, position: int) -> bool:
    return len(op.inputs) > position and op.inputs[position].name != ""


def _scale(op: Operation, position: int) -> Array:
    """A constant scale, of positive numbers."""
    found = op.inputs[position].data if _has(op, position) else None
    if found is None or np.asarray(found).dtype != np.float32:
        raise _StaysError
    scale = np.asarray(found)
    if not scale.size or not np.all(np.isfinite(scale)) or not np.all(scale > 0):
        raise _StaysError
    return scale


def _zero_point(op: Operation, position: int, codes: Tensor | None = None) -> Array:
    """A constant zero point; 0 in the type of the codes if it is left out."""
    if _has(op, position):
        found = op.inputs[position].data
    else:
        found = None if codes is None or codes.dtype is None else np.zeros((), codes.dtype)
    if found is None or not is_integer(np.asarray(found).dtype.type) or not np.size(found):
        raise _StaysError
    return np.asarray(found)


def _operand(r: _Rewriter, op: Operation, position: int, axis: int | None = None) -> Tensor:
    """The values of an operand, which its scale and zero point follow."""
    codes = op.inputs[position]
    return r.real(codes, _scale(op, position + 1), _zero_point(op, position + 2, codes), axis)


def _check_single(op: Operation, *positions: int) -> None:
    """Stays unless these parameters have one item each."""
    if any(_has(op, k) and np.size(op.inputs[k].data) != 1 for k in positions):
        raise _StaysError


def _rank(tensor: Tensor) -> int:
    if tensor.shape is None:
        raise _StaysError
    return len(tensor.shape)


def _bias(r: _Rewriter, codes: Tensor, scale: Array) -> Tensor:
    if codes.data is None or codes.dtype is not np.int32 or _rank(codes) != 1:
        raise _StaysError
    return r.real(codes, scale, None, axis=0)


# QLinear operators


def _qlinear_conv(r: _Rewriter, op: Operation) -> None:
    _check_single(op, 1, 2)
    scales, zeros = (_scale(op, 4), _scale(op, 6)), _zero_point(op, 7)
    x, w = _operand(r, op, 0), _operand(r, op, 3, axis=0)
    bias = _bias(r, op.inputs[8], (_scale(op, 1).reshape(()) * scales[0]).astype(np.float32)) if _has(op, 8) else None
    attribs, shape = dict(op.attribs), op.outputs[0].shape
    last = bool(attribs.pop("channels_last", 0))
    x = _channels_first(r, x) if last else x
    y = r.call("Conv", x, w, *([] if bias is None else [bias]), shape=None if last else shape, **attribs)
    r.finish(op, _channels_last(r, y, _rank(w), shape) if last else y, scales[1], zeros)


def _channels_first(r: _Rewriter, x: Tensor) -> Tensor:
    rank = _rank(x)
    return r.call("Transpose", x, perm=[0, rank - 1, *range(1, rank - 1)], dtype=x.dtype)


def _channels_last(r: _Rewriter, x: Tensor, rank: int, shape: Any) -> Tensor:
    """A tensor of that rank with channels last, which is then of that shape."""
    return r.call("Transpose", x, shape=shape, perm=[0, *range(2, rank), 1], dtype=x.dtype)


def _nhwc_max_pool(r: _Rewriter, op: Operation) -> None:
    """MaxPool of codes between transposes."""
    x, result = op.inputs[0], op.outputs[0]
    pooled = r.call("MaxPool", _channels_first(r, x), dtype=x.dtype, **op.attribs)
    _replace(r, op, _channels_last(r, pooled, _rank(x), result.shape))


def _qlinear_matmul(r: _Rewriter, op: Operation) -> None:
    _check_single(op, 1, 2, 6, 7)
    scale, zero = _scale(op, 6), _zero_point(op, 7)
    x, y = _operand(r, op, 0), _operand(r, op, 3, axis=-1)
    r.finish(op, r.call("MatMul", x, y, shape=op.outputs[0].shape), scale, zero)


def _qgemm(r: _Rewriter, op: Operation) -> None:
    _check_single(op, 1, 2)
    a_scale, b_scale = _scale(op, 1), _scale(op, 4)
    by_rows = bool(op.attribs.get("transB", 0))
    result = (_scale(op, 7), _zero_point(op, 8)) if _has(op, 7) else None
    if result is not None and (result[0].size, result[1].size) != (1, 1):
        raise _StaysError
    a, b = _operand(r, op, 0), _operand(r, op, 3, axis=0 if by_rows else 1)
    alpha = np.float32(op.attribs.get("alpha", 1.0))
    bias = (
        [_bias(r, op.inputs[6], np.asarray(a_scale.reshape(()) * b_scale * alpha, np.float32))] if _has(op, 6) else []
    )
    attribs = {**op.attribs, "alpha": float(alpha)}
    values = r.call("Gemm", a, b, *bias, shape=op.outputs[0].shape, **attribs)
    _replace(r, op, values) if result is None else r.finish(op, values, *result)


def _replace(r: _Rewriter, op: Operation, values: Tensor) -> None:
    """Lets real values be the result of an operator."""
    result, maker = op.outputs[0], values.producer
    assert maker is not None
    r.graph.remove_operation(op, unlink=True)
    maker.outputs = (result,)
    r.graph.remove_tensor(values)


def _unary(type: str, *attributes: str) -> Callable[[_Rewriter, Operation], None]:
    """The operator of one input with these attributes."""

    def rule(r: _Rewriter, op: Operation) -> None:
        _check_single(op, 1, 2)
        scale, zero = _scale(op, 3), _zero_point(op, 4, op.inputs[0])
        attribs = {key: op.attribs.get(key) for key in attributes}
        r.finish(op, r.call(type, _operand(r, op, 0), shape=op.outputs[0].shape, **attribs), scale, zero)

    return rule


def _binary(type: str) -> Callable[[_Rewriter, Operation], None]:
    """The operator of two inputs."""

    def rule(r: _Rewriter, op: Operation) -> None:
        _check_single(op, 1, 2, 4, 5)
        scale, zero = _scale(op, 6), _zero_point(op, 7, op.inputs[0])
        values = r.call(type, _operand(r, op, 0), _operand(r, op, 3), shape=op.outputs[0].shape)
        r.finish(op, values, scale, zero)

    return rule


def _pool(type: str, *attributes: str) -> Callable[[_Rewriter, Operation], None]:
    """The pooling operator with these attributes, between transposes if channels are last."""

    def rule(r: _Rewriter, op: Operation) -> None:
        _check_single(op, 1, 2)
        scale, zero = _scale(op, 3), _zero_point(op, 4, op.inputs[0])
        values, last = _operand(r, op, 0), bool(op.attribs.get("channels_last", 0))
        shape, attribs = op.outputs[0].shape, {key: op.attribs.get(key) for key in attributes}
        values = _channels_first(r, values) if last else values
        values = r.call(type, values, shape=None if last else shape, **attribs)
        r.finish(op, _channels_last(r, values, _rank(op.inputs[0]), shape) if last else values, scale, zero)

    return rule


def _reduction(type: str) -> Callable[[_Rewriter, Operation], None]:
    """The reduction with its axes as the version of the model has them."""

    def rule(r: _Rewriter, op: Operation) -> None:
        _check_single(op, 1, 2)
        scale, zero = _scale(op, 3), _zero_point(op, 4, op.inputs[0])
        axes, attribs = op.attribs.get("axes"), {"keepdims": op.attribs.get("keepdims", 1)}
        operand = _operand(r, op, 0)
        if axes is not None and r.version >= AXES_AS_INPUT[type]:
            operands = [operand, r.constant(np.asarray(axes, np.int64))]
        else:
            operands, attribs = [operand], {**attribs, "axes": axes}
        r.finish(op, r.call(type, *operands, shape=op.outputs[0].shape, **attribs), scale, zero)

    return rule


def _softmax(r: _Rewriter, op: Operation) -> None:
    """Before version 13, Softmax is that of a matrix; the attribute `opset` says which one is meant."""
    _check_single(op, 1, 2)
    axis = op.attribs.get("axis", -1)
    if axis not in (-1, (op.inputs[0].rank or 0) - 1) and (op.attribs.get("opset", 1) < 13) != (r.version < 13):
        raise _StaysError
    scale, zero = _scale(op, 3), _zero_point(op, 4)
    r.finish(op, r.call("Softmax", _operand(r, op, 0), shape=op.outputs[0].shape, axis=axis), scale, zero)


def _concat(r: _Rewriter, op: Operation) -> None:
    if len(op.inputs) < 5 or (len(op.inputs) - 2) % 3:
        raise _StaysError
    starts = range(2, len(op.inputs), 3)
    _check_single(op, *(k + 1 for k in starts), *(k + 2 for k in starts))
    scale, zero = _scale(op, 0), _zero_point(op, 1)
    values = r.call("Concat", *(_operand(r, op, k) for k in starts), shape=op.outputs[0].shape, axis=op.attribs["axis"])
    r.finish(op, values, scale, zero)


def _where(r: _Rewriter, op: Operation) -> None:
    _check_single(op, 2, 3, 5, 6)
    scale, zero = _scale(op, 7), _zero_point(op, 8)
    values = r.call("Where", op.inputs[0], _operand(r, op, 1), _operand(r, op, 4), shape=op.outputs[0].shape)
    r.finish(op, values, scale, zero)


# integer products


def _dynamic(op: Operation, position: int, at_zero_point: int) -> Operation | None:
    """The DynamicQuantizeLinear of which an operand and its zero point are results."""
    maker = op.inputs[position].producer
    if maker is None or maker.type != "DynamicQuantizeLinear" or maker.domain != "" or len(maker.outputs) != 3:
        return None
    given = _has(op, at_zero_point) and op.inputs[at_zero_point] is maker.outputs[2]
    return maker if given and op.inputs[position] is maker.outputs[0] else None


def _integer_product(type: str) -> Callable[[_Rewriter, Operation], None]:
    """The product of dynamically quantized values with constant codes, with Cast and Mul behind it."""

    def rule(r: _Rewriter, op: Operation) -> None:
        maker = _dynamic(op, 0, 2)
        w = op.inputs[1]
        if maker is None or w.data is None:
            raise _StaysError
        zero = _zero_point(op, 3, w)
        last, w_scale = _scaled(r.graph, op, maker.outputs[1])
        axis = 0 if type == "Conv" else max(_rank(w) - 1, 0)
        if type == "Conv" and w_scale.size != 1:
            raise _StaysError
        if w_scale.size != 1:
            w_scale = _vector(w_scale, (w.shape or ())[axis])
        weights = r.real(w, w_scale, zero, axis)
        values = r.call("DequantizeLinear", *maker.outputs, shape=maker.inputs[0].shape)
        values = r.call(type, values, weights, shape=last.outputs[0].shape, **op.attribs)
        _replace(r, last, values)

    return rule


def _vector(scale: Array, count: int | None) -> Array:
    if scale.shape[-1] != scale.size or scale.size != count:
        raise _StaysError
    return scale.reshape(-1)


def _scaled(graph: Graph, op: Operation, x_scale: Tensor) -> tuple[Operation, Array]:
    """The last of the operators that multiply the sums by both scales, and that of the weights, 1 if there is none."""
    value = _only_reader(graph, op.outputs[0], "Cast")
    if value.attribs.get("to") != dtype_code(np.float32):
        raise _StaysError
    found, w_scale, last = False, None, value
    while not found or w_scale is None:
        try:
            following = _only_reader(graph, last.outputs[0], "Mul")
        except _StaysError:
            break
        factor = following.inputs[1] if following.inputs[0] is last.outputs[0] else following.inputs[0]
        of_x, of_w = _factors(factor, x_scale)
        if (of_x and found) or (of_w is not None and w_scale is not None) or (not of_x and of_w is None):
            break
        found, w_scale, last = found or of_x, w_scale if of_w is None else of_w, following
    if not found:
        raise _StaysError
    return last, np.ones((), np.float32) if w_scale is None else w_scale


def _only_reader(graph: Graph, tensor: Tensor, type: str) -> Operation:
    reader = tensor.consumer
    captured = any(tensor in op.captures for op in graph.operations)
    if reader is None or reader.type != type or reader.domain != "" or tensor in graph.outputs or captured:
        raise _StaysError
    return reader


def _factors(factor: Tensor, x_scale: Tensor) -> tuple[bool, Array | None]:
    """Is the scale of x in a factor, and the scale of the weights in it; (False, None) for any other factor."""
    if factor is x_scale:
        return True, None
    if factor.data is not None:
        return False, _positive(factor)
    maker = factor.producer
    if maker is None or maker.type != "Mul" or maker.domain != "" or x_scale not in maker.inputs:
        return False, None
    other = maker.inputs[1] if maker.inputs[0] is x_scale else maker.inputs[0]
    scale = None if other.data is None else _positive(other)
    return (False, None) if scale is None else (True, scale)


def _positive(tensor: Tensor) -> Array | None:
    values = np.asarray(tensor.data)
    good = values.dtype == np.float32 and values.size and np.all(np.isfinite(values)) and np.all(values > 0)
    return values if good else None


def _matmul_integer_to_float(r: _Rewriter, op: Operation) -> None:
    maker, y = _dynamic(op, 0, 4), op.inputs[1]
    if maker is not None:
        if op.inputs[2] is not maker.outputs[1]:
            raise _StaysError
    else:
        _check_single(op, 2, 4)
        constants = _scale(op, 2), _zero_point(op, 4, op.inputs[0])
    weights = r.real(y, _scale(op, 3), _zero_point(op, 5, y), axis=-1)
    if maker is None:
        x = r.real(op.inputs[0], *constants)
    else:
        x = r.call("DequantizeLinear", *maker.outputs, shape=op.inputs[0].shape)
    _biased(r, op, x, weights, 6)


def _dynamic_quantize_matmul(r: _Rewriter, op: Operation) -> None:
    x, y = op.inputs[:2]
    weights = r.real(y, _scale(op, 2), _zero_point(op, 3, y), axis=-1)
    types = (np.uint8, np.float32, np.uint8)
    shapes = (x.shape, (), ())
    results = tuple(Tensor(r.graph, shape=shape, dtype=dtype) for shape, dtype in zip(shapes, types, strict=True))
    Operation(r.graph, type="DynamicQuantizeLinear", inputs=(x,), outputs=results)
    _biased(r, op, r.call("DequantizeLinear", *results, shape=x.shape), weights, 4)


def _biased(r: _Rewriter, op: Operation, x: Tensor, weights: Tensor, position: int) -> None:
    """Replaces an operator by a matrix product, and a sum with its input at that position."""
    shape = op.outputs[0].shape
    values = r.call("MatMul", x, weights, shape=shape)
    _replace(r, op, r.call("Add", values, op.inputs[position], shape=shape) if _has(op, position) else values)


_RULES: Mapping[tuple[str, str], Callable[[_Rewriter, Operation], None]] = {
    ("", "QLinearConv"): _qlinear_conv,
    ("", "QLinearMatMul"): _qlinear_matmul,
    ("", "MatMulInteger"): _integer_product("MatMul"),
    ("", "ConvInteger"): _integer_product("Conv"),
    (MICROSOFT, "NhwcMaxPool"): _nhwc_max_pool,
    (MICROSOFT, "QGemm"): _qgemm,
    (MICROSOFT, "QLinearAdd"): _binary("Add"),
    (MICROSOFT, "QLinearConv"): _qlinear_conv,
    (MICROSOFT, "QLinearMul"): _binary("Mul"),
    (MICROSOFT, "QLinearSigmoid"): _unary("Sigmoid"),
    (MICROSOFT, "QLinearLeakyRelu"): _unary("LeakyRelu", "alpha"),
    (MICROSOFT, "QLinearSoftmax"): _softmax,
    (MICROSOFT, "QLinearConcat"): _concat,
    (MICROSOFT, "QLinearWhere"): _where,
    (MICROSOFT, "QLinearAveragePool"): _pool(
        "AveragePool", "kernel_shape", "auto_pad", "ceil_mode", "count_include_pad", "pads", "strides"
    ),
    (MICROSOFT, "QLinearGlobalAveragePool"): _pool("GlobalAveragePool"),
    (MICROSOFT, "QLinearReduceMean"): _reduction("ReduceMean"),
    (MICROSOFT, "MatMulIntegerToFloat"): _matmul_integer_to_float,
    (MICROSOFT, "DynamicQuantizeMatMul"): _dynamic_quantize_matmul,
}
