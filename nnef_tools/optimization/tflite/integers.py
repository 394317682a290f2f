"""Operators on codes, in place of operators on the real values of DEQUANTIZE whose results QUANTIZE rounds.

Integer kernels compute the same up to their rounding. Operators that only move values come to work on codes wherever
these are known; others, where TensorFlow Lite has a kernel for just these parameters. The rest stays as it is, which is
exact: DEQUANTIZE, the operator for reals, QUANTIZE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from ...model import Graph, Operation, Tensor
from ...model.dtypes import is_float, is_integer
from ...model.facts import FORMAT
from ...model.state import effects
from ...model.utils import place_operations, remove_unreachable, replace_tensor_in_consumers
from ..passes import Pass

Array = np.ndarray[Any, Any]

ACTIVATIONS = (np.int8, np.uint8, np.int16)
SCALE_TOLERANCE = 1e-6
"""The relative difference of the scale of a bias from the product of the other scales that rounding explains."""

HYBRID = "weights_beside_reals"
"""In the metadata of a graph that was converted, with QUANTIZE and DEQUANTIZE around operators on real numbers: name of
codes that such operators read -> kind, see `facts.TensorFact`. The pass takes it away; graphs of files lack it."""

_BYTES = (np.int8, np.uint8)
_MOVES: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        ("RESHAPE", "TRANSPOSE", "SLICE", "STRIDED_SLICE", "GATHER", "SPLIT", "SPLIT_V", "CONCATENATION", "PAD",
         "MAX_POOL_2D", "REDUCE_MAX", "REDUCE_MIN", "RESIZE_NEAREST_NEIGHBOR", "EXPAND_DIMS", "SQUEEZE",
         "PACK", "UNPACK", "MAXIMUM", "MINIMUM", "GATHER_ND", "BROADCAST_TO", "SELECT_V2"), ACTIVATIONS
    ),
    **dict.fromkeys(
        ("MIRROR_PAD", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "TILE"), _BYTES
    ),
}  # fmt: skip
"""Operators whose results are codes of their inputs, or zero -> the types of codes that they have kernels for."""

_COMPUTING: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(
        ("ADD", "SUB", "MUL", "MEAN", "LEAKY_RELU", "RELU", "RELU6", "LOGISTIC", "TANH", "SOFTMAX",
         "AVERAGE_POOL_2D", "RESIZE_BILINEAR"), ACTIVATIONS
    ),
    **dict.fromkeys(("GELU", "HARD_SWISH", "PRELU", "RELU_N1_TO_1", "RELU_0_TO_1"), _BYTES),
    **dict.fromkeys(("ABS", "BATCH_MATMUL", "ELU", "EXP", "LOG", "RSQRT", "SQUARED_DIFFERENCE"), (np.int8,)),
}  # fmt: skip
"""Operators with kernels for codes -> the types of codes."""

_JOINING = ("CONCATENATION", "MAXIMUM", "MINIMUM")
"""Operators of which it is the same to round their inputs and to round their result."""

_SAME = ("AVERAGE_POOL_2D", "RESIZE_BILINEAR")
"""Operators whose result has the quantization of their input."""

_PROBABILITIES = {np.int8: (1 / 256, -128), np.uint8: (1 / 256, 0), np.int16: (1 / 32768, 0)}
_FIXED: Mapping[str, Mapping[Any, tuple[float, int]]] = {
    "LOGISTIC": _PROBABILITIES,
    "SOFTMAX": _PROBABILITIES,
    "TANH": {np.int8: (1 / 128, 0), np.uint8: (1 / 128, 128), np.int16: (1 / 32768, 0)},
}
"""Operators whose result has a certain scale and zero point."""

_PLACES: Mapping[str, tuple[int, int, int, int]] = {
    "CONV_2D": (0, 1, 2, 0),
    "DEPTHWISE_CONV_2D": (0, 1, 2, 3),
    "FULLY_CONNECTED": (0, 1, 2, 0),
    "TRANSPOSE_CONV": (2, 1, 3, 0),
}
"""Operators with weights -> the positions of input, weights and bias, and the axis of the channels of the weights."""

_FUSED = ("RELU", "RELU6", "RELU_N1_TO_1")
_FUSING = ("ADD", "SUB", "MUL", "AVERAGE_POOL_2D", *_PLACES)


def compute_with_codes(graph: Graph) -> int:
    """Replaces operators on real values by operators on codes; see the module. Returns the number of changes."""
    hybrid = graph.metadata.pop(HYBRID, {})
    count = 0
    for op in list(graph.operations):
        if op.graph is None:
            continue
        if hybrid and op.type in _PLACES:
            count += _read_weights(op, hybrid)
        if op.type == "QUANTIZE":
            count += _requantize(graph, op)
        elif op.type in _MOVES:
            count += _move(graph, op) or (op.type in _JOINING and _join(graph, op))
        elif op.type in _COMPUTING or op.type in _PLACES:
            count += _compute(graph, op)
    if count:
        _name(graph)
        remove_unreachable(graph, keep=effects(graph))
        place_operations(graph)
    return count


COMPUTE_WITH_CODES = Pass("compute-with-codes", compute_with_codes)


# what is known of tensors


def _codes(tensor: Tensor) -> Tensor | None:
    """The codes whose real values a tensor has, None if there are none."""
    return None if tensor.producer is None else _dequantized(tensor.producer)


def _dequantized(op: Operation) -> Tensor | None:
    """The codes that an operation makes real values of; None for other operations, and those that a file damaged."""
    if op.type != "DEQUANTIZE" or len(op.inputs) != 1 or len(op.outputs) != 1:
        return None
    codes: Tensor = op.inputs[0]
    return codes if is_integer(codes.dtype) and (codes.quant or {}).get("scale") is not None else None


def _parameters(codes: Tensor) -> tuple[Array, Array]:
    """Scale and zero point."""
    quant: Mapping[str, Any] = codes.quant or {}
    scale = np.asarray(quant["scale"], np.float32)
    zero_point = quant.get("zero_point")
    return scale, np.zeros(scale.shape, np.int64) if zero_point is None else np.asarray(zero_point, np.int64)


def _is_per_tensor(codes: Tensor) -> bool:
    return _parameters(codes)[0].ndim == 0


def _same(first: Tensor, second: Tensor) -> bool:
    """Have both the same type and quantization?"""
    pairs = zip(_parameters(first), _parameters(second), strict=True)
    return first.dtype is second.dtype and all(np.array_equal(a, b) for a, b in pairs)


def _reals(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [t for t in tensors if t.name != "" and t.dtype is not None and is_float(t.dtype)]


# rewrites


def _requantize(graph: Graph, op: Operation) -> bool:
    """QUANTIZE of the values of codes: these codes, if the parameters are the same, or a change of the codes."""
    codes, result = _codes(op.inputs[0]), op.outputs[0]
    if codes is None or not _is_per_tensor(codes) or codes.data is not None:
        return False
    if _same(codes, result) and result not in graph.outputs:
        replace_tensor_in_consumers(graph, result, codes)
        graph.remove_operation(op, unlink=True)
        return True
    if _same(codes, result) and codes not in (*graph.inputs, *graph.outputs) and _only_reads(codes, op.inputs[0]):
        producer = codes.producer
        assert producer is not None
        _set_outputs(producer, codes, result)
        replace_tensor_in_consumers(graph, codes, result)
        graph.remove_operation(op, unlink=True)
        return True
    kinds = (codes.dtype, result.dtype)
    if kinds in ((np.int8, np.int16), (np.uint8, np.int16), (np.int16, np.uint8)):
        return False
    op.inputs = (codes,)
    return True


def _only_reads(codes: Tensor, values: Tensor) -> bool:
    return all(op.type in ("DEQUANTIZE", *_MOVES, *_COMPUTING, *_PLACES, "QUANTIZE") for op in codes.consumers)


def _set_outputs(op: Operation, old: Tensor, new: Tensor) -> None:
    op.outputs = tuple(new if t is old else t for t in op.outputs)


def _read_weights(op: Operation, hybrid: Mapping[str | None, str]) -> bool:
    """Lets an operator on real numbers read codes, as it did in the source."""
    _, place, at_bias, _ = _PLACES[str(op.type)]
    codes = _codes(op.inputs[place])
    reals = [t for k, t in enumerate(op.inputs) if k not in (place, at_bias) and t.dtype is np.float32]
    if codes is None or codes.name not in hybrid or any(_codes(t) is not None for t in reals):
        return False
    op.inputs = tuple(codes if k == place else t for k, t in enumerate(op.inputs))
    if op.type == "FULLY_CONNECTED":
        op.attribs = {**op.attribs, "asymmetric_quantize_inputs": hybrid[codes.name] == "asymmetric"}
    return True


def _move(graph: Graph, op: Operation) -> bool:
    """Moves codes instead of their values."""
    reals = _reals(op.inputs)
    found = [codes for t in reals if (codes := _codes(t)) is not None]
    if not found or len(found) < len(reals) or op.attribs.get("fused_activation_function", "NONE") != "NONE":
        return False
    first = found[0]
    if len(found) == 1 and first.data is not None:
        return _move_constant(graph, op, first)
    if first.dtype not in _MOVES[str(op.type)] or not all(_is_per_tensor(c) and _same(c, first) for c in found):
        return False
    _read_codes(op)
    results = list(op.outputs)
    moved = [Tensor(graph, shape=t.shape, dtype=first.dtype, quant=dict(first.quant or {})) for t in results]
    op.outputs = tuple(moved)
    for codes, values in zip(moved, results, strict=True):
        Operation(graph, type="DEQUANTIZE", inputs=(codes,), outputs=(values,))
    return True


def _join(graph: Graph, op: Operation) -> bool:
    """Codes of different quantizations get that of the result first, which rounds each value once, too."""
    found = _result(graph, op)
    inputs = [_codes(t) for t in op.inputs]
    if found is None or None in inputs or op.attribs.get("fused_activation_function", "NONE") != "NONE":
        return False
    chain, _, _, result = found
    if len(chain) > 1:
        return False
    parts = [codes for codes in inputs if codes is not None]
    if result.dtype not in _MOVES[str(op.type)]:
        return False
    if any(c.data is not None or not _is_per_tensor(c) or c.dtype is not result.dtype for c in parts):
        return False
    for k, codes in enumerate(parts):
        if not _same(codes, result):
            quant = dict(result.quant or {})
            parts[k] = Tensor(graph, shape=codes.shape, dtype=result.dtype, quant=quant)
            Operation(graph, type="QUANTIZE", inputs=(codes,), outputs=(parts[k],))
    for other in chain:
        graph.remove_operation(other, unlink=True)
    op.inputs, op.outputs = tuple(parts), (result,)
    return True


def _move_constant(graph: Graph, op: Operation, codes: Tensor) -> bool:
    """Reshapes and transposes constant codes, up to where their parameters belong to one axis again."""
    scale, _ = _parameters(codes)
    data, quant = np.asarray(codes.data), dict(codes.quant or {})
    channels = None
    if scale.ndim:
        channels = np.broadcast_to(
            _along(np.arange(scale.size), int(quant["quantized_dimension"]), data.ndim), data.shape
        )
    last: Operation | None = op
    while last is not None:
        change = _change(last)
        if change is None:
            return False
        data = change(data)
        if channels is None:
            break
        channels = change(channels)
        axis = next((k for k, n in enumerate(data.shape) if n == scale.size and _varies_along(channels, k)), None)
        if axis is not None:
            quant["quantized_dimension"] = axis
            break
        last = last.output.consumer
    if last is None:
        return False
    constant = Tensor(graph, codes.name, data.shape, codes.dtype, data, quant=quant)
    last.type, last.attribs, last.inputs = "DEQUANTIZE", {}, (constant,)
    return True


def _change(op: Operation) -> Callable[[Array], Array] | None:
    """What a reshape or a transpose does; None for other operations, and for those whose arguments are computed."""
    second = op.inputs[1].data if len(op.inputs) > 1 else None
    if op.type not in ("RESHAPE", "TRANSPOSE") or second is None:
        return None
    arguments = [int(n) for n in np.asarray(second)]
    return lambda array: array.transpose(arguments) if op.type == "TRANSPOSE" else array.reshape(arguments)


def _along(values: Array, axis: int, rank: int) -> Array:
    """A vector as an array of that rank with its items along an axis."""
    return values.reshape([-1 if k == axis else 1 for k in range(rank)])


def _varies_along(channels: Array, axis: int) -> bool:
    """Are the numbers of channels those of the positions along an axis?"""
    return bool(np.all(channels == _along(np.arange(channels.shape[axis]), axis, channels.ndim)))


def _read_codes(op: Operation) -> None:
    op.inputs = tuple((_codes(t) or t) if t.name != "" else t for t in op.inputs)


def _compute(graph: Graph, op: Operation) -> bool:
    """An operator on codes, with the bias and the activation behind it, in place of one whose result is quantized."""
    found = _result(graph, op)
    if found is None:
        return False
    chain, bias, function, result = found
    if {function, op.type} & {"RELU6", "RELU_N1_TO_1"} and np.any(_parameters(result)[0] * 2**30 < 6):
        return False  # LiteRT refuses limits whose codes overflow 32 bits
    x = _codes(op.inputs[_PLACES[str(op.type)][0] if op.type in _PLACES else 0])
    if x is None or not _is_per_tensor(x) or x.dtype is not result.dtype:
        return False
    inputs = _weighted(graph, op, x, bias) if op.type in _PLACES else _operands(op, x, result)
    if inputs is None:
        return False
    transpose = next((other for other in chain if other.type == "TRANSPOSE"), None)
    for other in chain:
        if other is not transpose:
            graph.remove_operation(other, unlink=True)
    op.inputs = tuple(inputs)
    if transpose is None:
        op.outputs = (result,)
    else:  # follows, on codes
        codes = Tensor(graph, shape=op.outputs[0].shape, dtype=result.dtype, quant=dict(result.quant or {}))
        op.outputs = (codes,)
        transpose.inputs, transpose.outputs = (codes, *transpose.inputs[1:]), (result,)
    if function != "NONE":
        op.attribs = {**op.attribs, "fused_activation_function": function}
    if op.type in ("ADD", "SUB") and x.dtype is np.int16:  # runtimes before version 3 have no kernel for other scales
        op.attribs = {**op.attribs, "pot_scale_int16": all(map(_is_power_of_two, (*inputs, result)))}
    return True


def _is_power_of_two(codes: Tensor) -> bool:
    return bool(np.all(np.frexp(_parameters(codes)[0])[0] == 0.5))


def _result(graph: Graph, op: Operation) -> tuple[list[Operation], Tensor | None, str, Tensor] | None:
    """What follows an operator up to a QUANTIZE: operations, bias, activation, and the codes. None without that.

    There may be a transpose among the operations, behind the bias.
    """
    chain: list[Operation] = []
    bias, function, value = None, str(op.attribs.get("fused_activation_function", "NONE")), op.outputs[0]
    while value not in graph.outputs and len(value.consumers) == 1:
        following = value.consumers[0]
        chain.append(following)
        if following.type == "QUANTIZE":
            return chain, bias, function, following.outputs[0]
        if following.type == "ADD" and op.type in _PLACES and bias is None and function == "NONE" and len(chain) == 1:
            bias = following.inputs[1] if following.inputs[0] is value else following.inputs[0]
            function = str(following.attribs.get("fused_activation_function", "NONE"))
        elif following.type in _FUSED and op.type in _FUSING and function == "NONE":
            function = str(following.type)
        elif following.type != "TRANSPOSE" or any(other.type == "TRANSPOSE" for other in chain[:-1]):
            return None
        value = following.outputs[0]
    return None


def _operands(op: Operation, x: Tensor, result: Tensor) -> list[Tensor] | None:
    """The inputs as codes, if there is a kernel for their parameters and those of the result."""
    if x.dtype not in _COMPUTING[str(op.type)]:
        return None
    inputs = []
    for tensor in op.inputs:
        codes = _codes(tensor) if _reals([tensor]) else tensor
        if codes is None or (codes is not tensor and (not _is_per_tensor(codes) or codes.dtype is not x.dtype)):
            return None
        inputs.append(codes)
    if op.type in _SAME and not _same(x, result):
        return None
    if op.type in _FIXED:
        wanted = _FIXED[str(op.type)][x.dtype]
        scale, zero_point = _parameters(result)
        if (float(scale), int(zero_point)) != wanted:
            return None
    return inputs


def _weighted(graph: Graph, op: Operation, x: Tensor, bias: Tensor | None) -> list[Tensor] | None:
    """The inputs of an operator with weights as codes, if there is a kernel for their parameters."""
    at_x, at_weights, at_bias, axis = _PLACES[str(op.type)]
    weights = _codes(op.inputs[at_weights])
    own = op.inputs[at_bias] if len(op.inputs) > at_bias and op.inputs[at_bias].name != "" else None
    if own is not None and (own.data is None or np.any(own.data)):
        if bias is not None:
            return None
        bias = own
    if weights is None or not _has_kernel(str(op.type), x, weights, axis):
        return None
    scale = np.asarray(_parameters(x)[0] * _parameters(weights)[0], np.float32)
    count = (weights.shape or ())[axis] or 0
    if bias is None:
        if own is None:
            codes = None
        else:
            zeros = np.zeros(count, np.int64 if x.dtype is np.int16 else np.int32)
            codes = Tensor(graph, own.name, zeros.shape, zeros.dtype.type, zeros, quant=_bias_quant(scale))
    else:
        codes = _codes(bias)
        if codes is None or codes.shape != (count,) or codes.dtype not in _bias_types(x.dtype):
            return None
        of_bias, zero_point = _parameters(codes)
        if np.any(zero_point):
            return None
        if not np.allclose(of_bias, scale, rtol=SCALE_TOLERANCE, atol=0):
            if codes.data is None or np.any(codes.data):
                return None
            # zeros, which several operators may share, have any scale, but kernels compare
            codes = Tensor(graph, shape=codes.shape, dtype=codes.dtype, data=codes.data, quant=_bias_quant(scale))
        if x.dtype is np.int16 and codes.dtype is np.int32 and graph.metadata.get(FORMAT) != "tflite":
            data = np.asarray(codes.data).astype(np.int64)  # with those of 32 bits, kernels add in 32 bits
            codes = codes.copy_with(dtype=np.int64, data=data)
    inputs = list(op.inputs[:at_bias])
    inputs[at_x], inputs[at_weights] = x, weights
    return inputs if codes is None else [*inputs, codes]


def _bias_quant(scale: Array) -> dict[str, Any]:
    if not scale.ndim:
        return {"scale": float(scale), "zero_point": 0}
    return {"scale": scale, "zero_point": np.zeros(scale.size, np.int64), "quantized_dimension": 0}


def _bias_types(dtype: Any) -> tuple[Any, ...]:
    return (np.int64, np.int32) if dtype is np.int16 else (np.int32,)


def _has_kernel(type: str, x: Tensor, weights: Tensor, axis: int) -> bool:
    """Is there a kernel for the type and the parameters of the weights?"""
    if weights.data is None:
        return False
    if weights.dtype is np.uint8 or x.dtype is np.uint8:
        return weights.dtype is x.dtype is np.uint8 and _is_per_tensor(weights)
    if weights.dtype not in (np.int8, ml_dtypes.int4) or (weights.dtype is ml_dtypes.int4 and type == "TRANSPOSE_CONV"):
        return False
    _, zero_point = _parameters(weights)
    if not _is_per_tensor(weights) and int((weights.quant or {})["quantized_dimension"]) != axis:
        return False
    return not np.any(zero_point)


def _name(graph: Graph) -> None:
    """Gives codes the names of their values that nothing reads any more."""
    for op in reversed(list(graph.operations)):  # those of this pass are the last ones, and their names count least
        if op.type == "DEQUANTIZE":
            codes, values = op.inputs[0], op.outputs[0]
            used = values.has_consumer or values in graph.outputs
            if not used and codes.data is None and codes not in (*graph.inputs, *graph.outputs):
                codes.name = values.name


def dequantize_wide_constants(graph: Graph) -> int:
    """Makes constants real whose codes are too wide for DEQUANTIZE: biases of operators that are left for reals."""
    count = 0
    for op in list(graph.operations):
        codes = _dequantized(op)
        if codes is None or codes.data is None or codes.dtype not in (np.int32, np.int64):
            continue
        scale, zero_point = _parameters(codes)
        if scale.ndim:
            axis = int((codes.quant or {})["quantized_dimension"])
            scale, zero_point = (_along(item, axis, np.ndim(codes.data)) for item in (scale, zero_point))
        values = op.outputs[0]
        graph.remove_operation(op, unlink=True)
        values.data = ((np.asarray(codes.data) - zero_point) * scale.astype(np.float64)).astype(np.float32)
        count += 1
    if count:
        remove_unreachable(graph, keep=effects(graph))
    return count


DEQUANTIZE_WIDE_CONSTANTS = Pass("dequantize-wide-constants", dequantize_wide_constants)
