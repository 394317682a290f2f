"""Products of dynamically quantized values with constant codes, in the form that runtimes compute with integers.

`MatMulInteger`, Cast and Mul take the place of a product of two DequantizeLinear, one of all results of
DynamicQuantizeLinear, the other of a constant. onnxruntime fuses both forms, but not the latter where several products
read the same values: then it rounds these to 8 bits once more. Convolutions stay: `ConvInteger` is slower than reals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...model import Graph, Operation, Tensor
from ...model.utils import place_operations, remove_unreachable

Array = np.ndarray[Any, Any]

_FLOAT = 1
"""TensorProto.FLOAT."""


def restore_integer_products(graph: Graph) -> int:
    """Replaces products of dynamically quantized values, in place. Returns the count. Shapes must be known."""
    if not any(op.type == "DynamicQuantizeLinear" for op in graph.operations):
        return 0
    found = [(op, maker, weights) for op in graph.operations if (maker := _maker(op)) and (weights := _weights(op))]
    for op, maker, weights in found:
        _replace(graph, op, maker, weights)
    if found:
        remove_unreachable(graph)
        place_operations(graph)
    return len(found)


def _maker(op: Operation) -> Operation | None:
    """The DynamicQuantizeLinear whose values the product has as its first operand."""
    plain = op.type == "MatMul" or (op.type == "Gemm" and _is_plain(op))
    values = op.inputs[0].producer if plain and op.domain == "" else None
    if values is None or values.type != "DequantizeLinear" or (op.inputs[0].rank or 0) < 2:
        return None
    maker = values.inputs[0].producer
    known = maker is not None and maker.type == "DynamicQuantizeLinear" and [*values.inputs] == [*maker.outputs]
    return maker if known else None


def _is_plain(op: Operation) -> bool:
    get = op.attribs.get
    return get("alpha", 1.0) == get("beta", 1.0) == 1.0 and not get("transA", 0)


def _weights(op: Operation) -> tuple[Tensor, Tensor, Tensor] | None:
    """Codes of 8 bits with a scale and a zero point for all of them or for each column; None for other operands."""
    values = op.inputs[1].producer
    if values is None or values.type != "DequantizeLinear" or len(values.inputs) != 3:
        return None
    codes, scale, zero_point = values.inputs
    columns = 0 if op.attribs.get("transB", 0) else 1
    known = all(t.data is not None for t in values.inputs) and codes.dtype in (np.int8, np.uint8) and codes.rank == 2
    if not known or (scale.volume != 1 and values.attribs.get("axis", 1) % 2 != columns):
        return None
    return codes, scale, zero_point


def _replace(graph: Graph, op: Operation, maker: Operation, weights: tuple[Tensor, Tensor, Tensor]) -> None:
    codes, scale, zero_point = weights
    result, shape = op.outputs[0], op.outputs[0].shape
    if op.attribs.get("transB", 0):
        codes = codes.copy_with(shape=tuple(reversed(codes.shape or ())), data=np.asarray(codes.data).T)
    if scale.volume == 1:
        scale, zero_point = (_reshaped(tensor, ()) for tensor in (scale, zero_point))
    x, x_scale, x_zero = maker.outputs

    def call(type: str, *inputs: Tensor, dtype: Any = np.float32, extents: Any = shape, **attribs: Any) -> Tensor:
        made = Tensor(graph, shape=extents, dtype=dtype)
        Operation(graph, type=type, attribs=attribs, inputs=inputs, outputs=(made,))
        return made

    sums = call("MatMulInteger", x, codes, x_zero, zero_point, dtype=np.int32)
    values = call("Cast", sums, to=_FLOAT)
    values = call("Mul", values, call("Mul", x_scale, scale, extents=scale.shape))
    if op.type == "Gemm" and len(op.inputs) > 2 and op.inputs[2].name != "":
        values = call("Add", values, op.inputs[2])
    last = values.producer
    assert last is not None
    graph.remove_operation(op, unlink=True)
    last.outputs = (result,)
    graph.remove_tensor(values)


def _reshaped(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    return (
        tensor if tensor.shape == shape else tensor.copy_with(shape=shape, data=np.asarray(tensor.data).reshape(shape))
    )
