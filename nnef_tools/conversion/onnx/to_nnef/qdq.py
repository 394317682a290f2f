"""QuantizeLinear and DequantizeLinear as quantization of tensors in NNEF, instead of arithmetic.

* DequantizeLinear of constant codes: a variable that stores the codes.
* DynamicQuantizeLinear whose results only DequantizeLinear reads: `dynamic_quantize`.
* QuantizeLinear whose codes nothing but DequantizeLinear with equal parameters reads: the result of the latter is a
  `copy` of the real tensor that is quantized. `absorb_copies` drops it where nothing reads the real tensor itself.

Otherwise the parameters must be constant, per tensor or per axis, and the codes integers. Blocks, small floats, and
codes that are used otherwise are left to the arithmetic of `quant.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Graph, Operation, Tensor
from ....model.dtypes import integer_range, is_integer
from ....model.utils import replace_tensor_in_producers
from ...building.nnef import Builder
from ...building.quantized import Array, QuantizedArray, quantized_constant
from ..common import dtype_of, shape

DOMAINS = ("", "com.microsoft")
QUANTIZERS = frozenset(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"))


# constant codes


def dequantized_constant(
    b: Builder, x: Tensor, scale: Tensor, zero_point: Tensor | None, axis: int, block_size: int
) -> Tensor | None:
    """The real values of constant codes, to be stored as codes; None if they are not of that kind."""
    if not is_integer(x.dtype):
        return None
    scales, zeros = b.value(scale), None if zero_point is None else b.value(zero_point)
    if scales is None or (zero_point is not None and zeros is None):
        return None
    codes = b.value(x)
    if codes is None or not codes.size or (block_size and scales.size != 1):
        return None
    return _stored(b, x, codes, scales, zeros, axis)


def _stored(b: Builder, base: Tensor, codes: Array, scale: Array, zero_point: Array | None, axis: int) -> Tensor | None:
    parameters = _parameters(list(codes.shape), scale, zero_point, axis)
    if parameters is None:
        return None
    key = (base, codes.dtype, *(np.asarray(item).tobytes() for item in parameters[:2]), parameters[2])
    if key not in b.views:
        b.views[key] = quantized_constant(b, QuantizedArray(codes, *parameters), base)
    return b.views[key]


def _parameters(
    extents: list[int], scale: Array, zero_point: Array | None, axis: int
) -> tuple[Array, Array, int | None] | None:
    """Scale, zero point and the axis along which they vary; None if they are not per tensor or axis, or not finite."""
    scale = scale.astype(np.float32)
    zero = np.zeros(scale.shape, np.int64) if zero_point is None else zero_point.astype(np.int64)
    if not np.all(np.isfinite(scale)) or zero.size != scale.size:
        return None
    if scale.size == 1:
        return scale.reshape(()), zero.reshape(()), None
    axis += len(extents) if axis < 0 else 0
    if not 0 <= axis < len(extents) or not scale.shape == zero.shape == (extents[axis],):
        return None
    return scale, zero, axis


# pairs


def find_pairs(graph: Graph) -> dict[Operation, Operation]:
    """DequantizeLinear -> the QuantizeLinear or DynamicQuantizeLinear whose codes only it and its equals read."""
    captured = {tensor for op in graph.operations for tensor in op.captures}
    bound = {*graph.outputs, *captured}
    pairs: dict[Operation, Operation] = {}
    for op in graph.operations:
        if op.type == "DynamicQuantizeLinear" and op.domain == "" and not bound & {*op.outputs}:
            readers = [reader for tensor in op.outputs for reader in tensor.consumers]
            if len(op.outputs) == 3 and all(_restores_all(reader, op) for reader in readers):
                pairs.update(dict.fromkeys(readers, op))
        if op.type != "QuantizeLinear" or op.domain not in DOMAINS or len(op.outputs) != 1 or op.outputs[0] in bound:
            continue
        readers = op.outputs[0].consumers
        if is_plain(op) and readers and all(restores(reader, op) for reader in readers):
            pairs.update(dict.fromkeys(readers, op))
    return pairs


def _restores_all(op: Operation, quantizer: Operation) -> bool:
    """Is it a DequantizeLinear of the three results of a DynamicQuantizeLinear?"""
    return op.type == "DequantizeLinear" and op.domain in DOMAINS and [*op.inputs] == [*quantizer.outputs]


def is_plain(op: Operation) -> bool:
    """Does QuantizeLinear make integers, by constant parameters that are positive, not in blocks?"""
    if len(op.inputs) not in (2, 3) or not all(_is_constant(tensor) for tensor in op.inputs[1:]):
        return False
    scale = _scale(op)
    positive = bool(scale.size and np.all(np.isfinite(scale)) and np.all(scale > 0))
    blocked = op.attribs.get("block_size", 0) and scale.size != 1
    return positive and not blocked and is_integer(_codes_type(op))


def restores(op: Operation, quantizer: Operation) -> bool:
    """Is it a DequantizeLinear of the codes alone, with the same parameters?"""
    if op.type != "DequantizeLinear" or op.domain not in DOMAINS or len(op.inputs) not in (2, 3):
        return False
    if op.inputs[0] is not quantizer.outputs[0] or not all(_is_constant(tensor) for tensor in op.inputs[1:]):
        return False
    scale = _scale(quantizer)
    return (
        np.array_equal(_scale(op).reshape(-1), scale.reshape(-1))
        and np.array_equal(_zero_point(op).reshape(-1), _zero_point(quantizer).reshape(-1))
        and (
            scale.size == 1 or all(_attribute(op, key) == _attribute(quantizer, key) for key in ("axis", "block_size"))
        )
    )


def _is_constant(tensor: Tensor) -> bool:
    return tensor.data is not None or tensor.name == ""


def _scale(op: Operation) -> Array:
    return np.asarray(op.inputs[1].data, np.float32)


def _zero_point(op: Operation) -> Array:
    given = len(op.inputs) > 2 and op.inputs[2].name != ""
    return np.asarray(op.inputs[2].data).astype(np.int64) if given else np.zeros(np.shape(_scale(op)), np.int64)


def _attribute(op: Operation, key: str) -> int:
    return int(op.attribs.get(key, {"axis": 1, "block_size": 0}[key]))


def _codes_type(op: Operation) -> Any:
    if len(op.inputs) > 2 and op.inputs[2].name != "":
        return op.inputs[2].dtype
    code = op.attribs.get("output_dtype", 0)
    return dtype_of(code) if code else np.uint8


def parameters_of(op: Operation, codes: Tensor) -> tuple[float, int] | None:
    """Scale and zero point by which DequantizeLinear reads all of these codes; None for others and other operators."""
    if op.type != "DequantizeLinear" or op.domain not in DOMAINS or op.inputs[0] is not codes:
        return None
    if not all(_is_constant(tensor) for tensor in op.inputs[1:]) or op.inputs[1].dtype is not np.float32:
        return None
    scale, zero_point = _scale(op), _zero_point(op)
    if scale.size != 1 or zero_point.size != 1 or not np.isfinite(scale).all() or not (scale > 0).all():
        return None
    return float(scale.reshape(())), int(zero_point.reshape(()))


def quantized_real(b: Builder, x: Tensor, op: Operation) -> Tensor:
    """x as the quantizing operator of a pair leaves it: a constant stored as codes, or a quantized copy of x."""
    if op.type == "DynamicQuantizeLinear":
        return b.dynamic_quantize(x)
    scale, zero_point, dtype = _scale(op), _zero_point(op), _codes_type(op)
    parameters = _parameters(shape(x), scale, zero_point, _attribute(op, "axis"))
    if parameters is None:
        raise Unsupported(f"parameters of shape {list(scale.shape)} for axis {_attribute(op, 'axis')} of {shape(x)}")
    form = QuantizedArray(np.zeros((), dtype), *parameters)
    value = b.value(x)
    if value is not None and value.size and bool(np.all(np.isfinite(value.astype(np.float32)))):
        stored = _stored(b, x, _rounded(value, form), scale, zero_point, _attribute(op, "axis"))
        assert stored is not None
        return stored
    result = Tensor(b.graph, shape=x.shape, dtype=x.dtype, quant=form.quant())
    Operation(b.graph, type="copy", inputs=x, outputs=result)
    return result


def _rounded(values: Array, form: QuantizedArray) -> Array:
    """The codes that QuantizeLinear gives: rounding half to even in float32."""
    low, high = integer_range(form.codes.dtype)
    scale, zero_point = (form.along_axis(p, values.ndim) for p in (form.scale, form.zero_point))
    with np.errstate(over="ignore"):
        steps = np.rint(values.astype(np.float32) / scale).astype(np.float64)
    return np.clip(steps + zero_point, low, high).astype(np.int64).astype(form.codes.dtype)


def absorb_copies(graph: Graph) -> dict[Tensor, Tensor]:
    """Quantized copies take the place of what they are copies of, unless that is used in other ways, too.

    Returns what has been replaced: tensor -> the quantized one.
    """
    replaced: dict[Tensor, Tensor] = {}
    for op in list(graph.operations):
        if op.type != "copy" or not op.output.quant:
            continue
        real, result = op.input, op.output
        updates = [reader for reader in real.consumers if reader.type == "update" and reader.inputs[0] is real]
        if {*real.consumers} != {op, *updates} or real.quant or real.producer is None or real in graph.outputs:
            continue
        if real in graph.inputs and result in graph.outputs:
            continue
        graph.remove_operation(op, unlink=True)
        replace_tensor_in_producers(graph, real, result)
        for update in updates:  # of a variable, which then stores codes
            update.inputs = (result, *update.inputs[1:])
            update.output.quant = dict(result.quant or {})
        replaced[real] = result
        graph.remove_tensor(real)
    return replaced
