"""Versions of operators: the lowest that has the types and options of an operation, and the first runtime with it.

The versions are those of TensorFlow's `op_version.cc`. `runtimes.txt` tells the first release of TensorFlow with each
version of an operator, `-` where there is none: `OPERATOR first-of-version-1 first-of-version-2 ..`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from ....errors import FormatError
from ....model.graph import Operation, Tensor
from .types import TYPE_NAMES

# The version by the type of the first input; 1 for any other type.
_BY_TYPE = """
ABS INT32=5 INT8=2 UINT8=2
ARG_MAX ARG_MIN BOOL=3 INT8=2
AVERAGE_POOL_2D MAX_POOL_2D TANH LOGISTIC INT16=3 INT8=2
CONCATENATION UINT32=4 INT16=3 INT8=2
EXP LOG REDUCE_PROD INT8=2 INT16=2
FLOOR_DIV INT16=3 INT8=3 FLOAT32=2
FLOOR_MOD INT16=2 INT8=2
GELU INT8=2 UINT8=2
EQUAL INT16=4 STRING=3 INT8=2
NOT_EQUAL STRING=3 INT8=2
LEAKY_RELU INT16=2
LESS GREATER_EQUAL INT16=3 INT8=2
PACK INT8=2 INT16=3 UINT32=4
RANGE INT64=2
RELU INT16=3 INT8=2 UINT8=2
REVERSE_V2 INT8=3 BOOL=2
SELECT_V2 UINT32=2
SIGN INT32=2
SOFTMAX MEAN MIRROR_PAD REDUCE_MAX REDUCE_MIN RELU6 RSQRT INT16=3 INT8=2
SPACE_TO_DEPTH SPLIT_V SUM LOG_SOFTMAX GREATER LESS_EQUAL SQUARED_DIFFERENCE DEPTH_TO_SPACE INT8=2
SQUEEZE STRING=2
TILE INT8=3 STRING=2
UNPACK INT8=2 UINT8=2 BOOL=3 INT16=4
"""

_Rule = Callable[[Operation], int]


def operator_version(op: Operation) -> int:
    """The lowest version of a builtin operator that is sufficient for an operation. FormatError if it lacks inputs."""
    rule = _RULES.get(str(op.type))
    if rule is None:
        return _by_type().get((str(op.type), _type(op, 0)), 1)
    try:
        return rule(op)
    except IndexError as error:
        numbers = f"{len(op.inputs)} inputs and {len(op.outputs)} outputs"
        raise FormatError(f"{op.type} cannot have only {numbers}") from error


def runtime_version(operators: Iterable[tuple[str, int]]) -> str:
    """The first release that has all these versions of operators, as far as it is known: `2.3.0`."""
    releases = _releases()
    found = [releases[key] for key in operators if key in releases]
    return ".".join(map(str, max(found, default=(1, 5, 0))))


@cache
def _by_type() -> Mapping[tuple[str, str], int]:
    found = {}
    for line in _BY_TYPE.split("\n"):
        words = line.split()
        for word in words:
            if "=" in word:
                type, _, version = word.partition("=")
                found.update({(name, type): int(version) for name in words if "=" not in name})
    return found


@cache
def _releases() -> Mapping[tuple[str, int], tuple[int, ...]]:
    found = {}
    for line in files(__package__).joinpath("runtimes.txt").read_text("ascii").splitlines():
        name, *releases = line.split()
        for version, release in enumerate(releases, 1):
            if release != "-":
                found[name, version] = (*map(int, release.split(".")), 0)[:3]
    return found


def _type(op: Operation, position: int) -> str:
    """The type of an input; empty if there is none."""
    return _name(op.inputs[position]) if position < len(op.inputs) and op.inputs[position].name != "" else ""


def _name(tensor: Tensor) -> str:
    return TYPE_NAMES.get(tensor.dtype, "")


def _rank(op: Operation, position: int = 0) -> int:
    return len(op.inputs[position].shape or ()) if position < len(op.inputs) else 0


def _is_hybrid(op: Operation) -> bool:
    """Real numbers with weights of 8 bits?"""
    return (_type(op, 0), _type(op, 1), _name(op.outputs[0])) == ("FLOAT32", "INT8", "FLOAT32")


def _is_per_channel(tensor: Tensor) -> bool:
    return np.ndim(_scale(tensor)) > 0


def _scale(tensor: Tensor) -> Any:
    """The number, or the array per channel; 0 if the tensor is not quantized."""
    scale = (tensor.quant or {}).get("scale")
    return 0 if scale is None else scale


def _is_quantized(tensor: Tensor) -> bool:
    return bool(tensor.quant)


def _extent(tensor: Tensor) -> int | None:
    """The last extent."""
    return tensor.shape[-1] if tensor.shape else None


def _broadcasts_above_4(op: Operation) -> bool:
    shapes = [tuple(tensor.shape or ()) for tensor in op.inputs[:2]]
    return len(set(shapes)) > 1 and max(map(len, shapes)) > 4


def _first(*cases: tuple[object, int]) -> int:
    """The version of the first case that holds; 1 if none does."""
    return next((version for holds, version in cases if holds), 1)


def _of(op: Operation, option: str) -> Any:
    return op.attribs.get(option)


def _conv(op: Operation) -> int:
    x, w = _type(op, 0), _type(op, 1)
    return _first(
        (x == "INT16" and w == "INT8" and _of(op, "quantized_bias_type"), 8),
        (_extent(op.inputs[0]) != _extent(op.inputs[1]), 6),
        (x == "INT16", 4),
        (x == w == "INT8", 3),
        (x == "INT8" and w == "INT4", 7),
        (_is_hybrid(op), 5 if _is_per_channel(op.inputs[1]) else 2),
    )


def _depthwise(op: Operation) -> int:
    x, w = _type(op, 0), _type(op, 1)
    return _first(
        (x == "INT16", 5),
        (_is_hybrid(op), 6 if _is_per_channel(op.inputs[1]) else 4),
        (x == w == "INT8", 3),
        (x == "INT8" and w == "INT4", 7),
        ((_of(op, "dilation_w_factor") or 1, _of(op, "dilation_h_factor") or 1) != (1, 1), 2),
    )


def _transpose_conv(op: Operation) -> int:
    x, w = _type(op, 2), _type(op, 1)
    return _first(
        (x == "INT16" and w == "INT8" and _of(op, "quantized_bias_type"), 5),
        (_of(op, "fused_activation_function") not in (None, "NONE"), 4),
        (_type(op, 3), 3),
        (w == "INT8", 2),
    )


def _fully_connected(op: Operation) -> int:
    x, w = _type(op, 0), _type(op, 1)
    return _first(
        (_is_hybrid(op) and _is_per_channel(op.inputs[1]), 12),
        (x == "INT16" and w == "INT8" and _of(op, "quantized_bias_type"), 11),
        (x == "INT8" and w == "INT4", 10),
        (_is_hybrid(op) and _of(op, "asymmetric_quantize_inputs"), 9),
        (x == "INT16", 7),
        (not _type(op, 2), 6),
        (_of(op, "keep_num_dims"), 5),
        (x == w == "INT8", 4),
        (_is_hybrid(op), 3),
        (_of(op, "weights_format") not in (None, "DEFAULT"), 2),
    )


def _gather(op: Operation) -> int:
    x, indices = _type(op, 0), _type(op, 1)
    return _first(
        (x == "INT4", 7),
        (indices == "INT16", 6),
        (_of(op, "batch_dims"), 5),
        (x == "INT16", 4),
        (x == "BOOL", 3),
        (x == "INT8", 2),
    )


def _gather_nd(op: Operation) -> int:
    x, indices = _type(op, 0), _type(op, 1)
    return _first((x == "BOOL", 5), (indices == "INT16", 4), (x == "INT16", 3), (x == "STRING", 2))


def _add(op: Operation) -> int:
    x = _type(op, 0)
    return _first(
        (x == "INT16" and not _is_quantized(op.inputs[0]), 5),
        (x == "INT64", 4),
        (x == "INT16" and not op.attribs.get("pot_scale_int16", True), 3),
        (x == "INT8", 2),
    )


def _sub(op: Operation) -> int:
    x = _type(op, 0)
    return _first(
        (x == "INT16" and not op.attribs.get("pot_scale_int16", True), 5),
        (x == "INT64", 4),
        (_broadcasts_above_4(op), 3),
        (x == "INT8", 2),
    )


def _mul(op: Operation) -> int:
    x = _type(op, 0)
    a, b, y = (_scale(tensor) for tensor in (*op.inputs[:2], op.outputs[0]))
    wide = all(np.ndim(item) == 0 and item for item in (a, b, y)) and a * b / y >= 1
    return _first(
        (x == "UINT32" or (x == "INT16" and not _is_quantized(op.inputs[0])), 7),
        (x == "COMPLEX64", 6),
        (x == "INT64", 5),
        (x == "INT16", 4),
        (wide, 3),
        (x == "INT8", 2),
    )


def _min_max(op: Operation) -> int:
    x = _type(op, 0)
    return _first((x == "INT16", 4), (_broadcasts_above_4(op), 3), (x == "INT8", 2))


def _transpose(op: Operation) -> int:
    x, rank = _type(op, 0), _rank(op)
    return _first((rank > 5, 6), (x == "INT16", 5), (rank > 4, 4), (x == "BOOL", 3), (x == "INT8", 2))


def _slice(op: Operation) -> int:
    x = _type(op, 0)
    return _first((x == "UINT32", 6), (_rank(op) > 4, 5), (x == "INT16", 4), (x == "STRING", 3), (x == "INT8", 2))


def _strided_slice(op: Operation) -> int:
    x = _type(op, 0)
    return _first(
        (_of(op, "offset"), 8),
        (x == "UINT32", 7),
        (_of(op, "ellipsis_mask") or _of(op, "new_axis_mask"), 6),
        (x == "STRING", 5),
        (_rank(op) > 4, 4),
        (x == "BOOL", 3),
        (x == "INT8", 2),
    )


def _resize(op: Operation) -> int:
    x = _type(op, 0)
    is_nearest = op.type == "RESIZE_NEAREST_NEIGHBOR"
    shifted = _of(op, "half_pixel_centers") or (is_nearest and _of(op, "align_corners"))
    return _first((x == "INT16", 4), (shifted, 3), (x == "INT8", 2))


def _pad(op: Operation) -> int:
    x = _type(op, 0)
    return _first((_rank(op) > 4, 4), (x == "INT16", 3), (x == "INT8", 2))


def _blocks(op: Operation) -> int:
    x = _type(op, 0)
    return _first((x == "INT16", 4), (_rank(op) != 4, 3), (x == "INT8", 2))


def _select(op: Operation) -> int:
    high = any(_rank(op, k) == 5 for k in range(3))
    return _first((_type(op, 0) == "UINT32", 4), (high, 3), (_type(op, 1) == "INT8", 2))


def _quantize(op: Operation) -> int:
    types = (_type(op, 0), _name(op.outputs[0]))
    return _first(("INT4" in types, 4), (_is_per_channel(op.outputs[0]), 3), (types[1] == "INT16", 2))


def _dequantize(op: Operation) -> int:
    x = _type(op, 0)
    per_channel = _is_per_channel(op.inputs[0])
    return _first((x == "INT4", 6), (x in ("INT16", "FLOAT16"), 3), (x == "INT8", 5 if per_channel else 2))


def _cast(op: Operation) -> int:
    types = {_type(op, 0), _name(op.outputs[0])}
    return _first(
        ("BFLOAT16" in types, 7),
        ("INT4" in types, 6),
        (types & {"FLOAT64", "FLOAT16"}, 5),
        ("UINT16" in types, 4),
        ("INT8" in types, 3),
        ("UINT32" in types, 2),
    )


def _fill(op: Operation) -> int:
    value = _type(op, 1)
    return _first((value == "FLOAT16", 4), (value in ("INT8", "INT16"), 3), (value in ("BOOL", "STRING"), 2))


def _batch_matmul(op: Operation) -> int:
    x = _type(op, 0)
    wide = _is_hybrid(op) and _of(op, "asymmetric_quantize_inputs")
    return _first((x == "INT16", 3), (x == "INT8", 2), (wide, 4))


def _svdf(op: Operation) -> int:
    hybrid = 4 if _of(op, "asymmetric_quantize_inputs") else 2
    return _first((_type(op, 0) == "INT8", 3), (_is_hybrid(op), hybrid))


def _lstm(op: Operation) -> int:
    x, w = _type(op, 0), _type(op, 2)
    wide = _of(op, "asymmetric_quantize_inputs")
    if op.type == "LSTM":
        basic = _of(op, "kernel_type") == "BASIC"
        return _first((basic, 2), (x == "INT16" and w == "INT8", 5), (x == "FLOAT32" and w == "INT8", 4 if wide else 3))
    diagonal = _of(op, "diagonal_recurrent_tensors")
    hybrid = x == "FLOAT32" and w == "INT8"
    return _first((x == "INT16" and w == "INT8", 5), (diagonal, 4), (hybrid, 3 if wide else 2))


def _hybrid_sequence(op: Operation) -> int:
    hybrid = _type(op, 1) == "INT8" and _name(op.outputs[0]) == "FLOAT32"
    return _first((hybrid, 3 if _of(op, "asymmetric_quantize_inputs") else 2))


def _top_k(op: Operation) -> int:
    types = (_type(op, 0), _type(op, 1), _name(op.outputs[1]))
    return _first(("INT16" in types, 3), (types[0] == "INT8", 2))


def _sparse_to_dense(op: Operation) -> int:
    value = _type(op, 2)
    return _first((value in ("INT8", "UINT8"), 3), (value == "INT64", 2))


_RULES: Mapping[str, _Rule] = {
    "ADD": _add,
    "BATCH_MATMUL": _batch_matmul,
    "BATCH_TO_SPACE_ND": _blocks,
    "BIDIRECTIONAL_SEQUENCE_LSTM": _hybrid_sequence,
    "BIDIRECTIONAL_SEQUENCE_RNN": _hybrid_sequence,
    "BROADCAST_TO": lambda op: 3 if _type(op, 0) in ("INT8", "INT16") else 2,
    "CAST": _cast,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEQUANTIZE": _dequantize,
    "DIV": lambda op: 2 if _broadcasts_above_4(op) else 1,
    "FAKE_QUANT": lambda op: 2 if _of(op, "narrow_range") else 1,
    "FILL": _fill,
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
    "L2_NORMALIZATION": lambda op: 2 if _name(op.outputs[0]) == "INT8" else 1,
    "LSTM": _lstm,
    "MAXIMUM": _min_max,
    "MINIMUM": _min_max,
    "MUL": _mul,
    "PAD": _pad,
    "PADV2": _pad,
    "QUANTIZE": _quantize,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "RNN": _hybrid_sequence,
    "SELECT": _select,
    "SLICE": _slice,
    "SPACE_TO_BATCH_ND": _blocks,
    "SPARSE_TO_DENSE": _sparse_to_dense,
    "SPLIT": lambda op: {"INT16": 4, "INT32": 3, "INT8": 2}.get(_type(op, 1), 1),
    "STRIDED_SLICE": _strided_slice,
    "SUB": _sub,
    "SVDF": _svdf,
    "TOPK_V2": _top_k,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _hybrid_sequence,
    "WHERE": lambda op: 1 if _type(op, 0) == "BOOL" else 2,
}
