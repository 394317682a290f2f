"""Builtin operators that are operators of TensorFlow under another name, and are converted by the rules of these.

A line is `BUILTIN Operator option=attribute ..`; an option with nothing behind the `=` has no effect on values. Inputs
are the same in the same order, or as in `INPUTS`. The operators on lists are not in files, but made by loops.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from .schema import tflite_schema

_BRIDGES = """
ABS Abs
ADD AddV2 pot_scale_int16=
ADD_N AddN
ARG_MAX ArgMax output_type=
ARG_MIN ArgMin output_type=
ATAN2 Atan2
BATCH_MATMUL BatchMatMulV3 adj_x=adj_x adj_y=adj_y asymmetric_quantize_inputs=
BATCH_TO_SPACE_ND BatchToSpaceND
BITWISE_XOR BitwiseXor
BROADCAST_ARGS BroadcastArgs
BROADCAST_TO BroadcastTo
BUCKETIZE Bucketize boundaries=boundaries
CEIL Ceil
COMPLEX_ABS ComplexAbs
COS Cos
CUMSUM Cumsum exclusive=exclusive reverse=reverse
DEPTH_TO_SPACE DepthToSpace block_size=block_size
DIV RealDiv
ELU Elu
EMBEDDING_LOOKUP Gather
EQUAL Equal
EXP Exp
EXPAND_DIMS ExpandDims
FAKE_QUANT FakeQuantWithMinMaxArgs min=min max=max num_bits=num_bits narrow_range=narrow_range
FILL Fill
FLOOR Floor
FLOOR_DIV FloorDiv
FLOOR_MOD FloorMod
GATHER_ND GatherNd
GREATER Greater
GREATER_EQUAL GreaterEqual
IMAG Imag
LEAKY_RELU LeakyRelu alpha=alpha
LESS Less
LESS_EQUAL LessEqual
LOCAL_RESPONSE_NORMALIZATION LRN radius=depth_radius bias=bias alpha=alpha beta=beta
LOG Log
LOGICAL_AND LogicalAnd
LOGICAL_NOT LogicalNot
LOGICAL_OR LogicalOr
LOGISTIC Sigmoid
LOG_SOFTMAX LogSoftmax
MATRIX_DIAG MatrixDiag
MATRIX_SET_DIAG MatrixSetDiag
MAXIMUM Maximum
MEAN Mean keep_dims=keep_dims
MINIMUM Minimum
MUL Mul
NEG Neg
NOT_EQUAL NotEqual
ONE_HOT OneHot axis=axis
PAD Pad
PADV2 PadV2
POW Pow
RANGE Range
RANK Rank
REAL Real
REDUCE_ALL All keep_dims=keep_dims
REDUCE_ANY Any keep_dims=keep_dims
REDUCE_MAX Max keep_dims=keep_dims
REDUCE_MIN Min keep_dims=keep_dims
REDUCE_PROD Prod keep_dims=keep_dims
RELU Relu
RELU6 Relu6
REVERSE_SEQUENCE ReverseSequence seq_dim=seq_dim batch_dim=batch_dim
REVERSE_V2 ReverseV2
RFFT2D RFFT2D
RIGHT_SHIFT RightShift
ROUND Round
RSQRT Rsqrt
SCATTER_ND ScatterNd
SEGMENT_SUM SegmentSum
SELECT Select
SELECT_V2 SelectV2
SHAPE Shape out_type=
SIGN Sign
SIN Sin
SLICE Slice
SPACE_TO_BATCH_ND SpaceToBatchND
SPACE_TO_DEPTH SpaceToDepth block_size=block_size
SPLIT Split num_splits=num_split
SPLIT_V SplitV num_splits=num_split
SQRT Sqrt
SQUARE Square
SQUARED_DIFFERENCE SquaredDifference
SQUEEZE Squeeze squeeze_dims=squeeze_dims
STABLEHLO_ABS Abs
STABLEHLO_ADD AddV2
STABLEHLO_COSINE Cos
STABLEHLO_DIVIDE Div
STABLEHLO_EXPONENTIAL Exp
STABLEHLO_FLOOR Floor
STABLEHLO_LOG Log
STABLEHLO_LOGISTIC Sigmoid
STABLEHLO_MAXIMUM Maximum
STABLEHLO_MINIMUM Minimum
STABLEHLO_MULTIPLY Mul
STABLEHLO_NEGATE Neg
STABLEHLO_POWER Pow
STABLEHLO_REMAINDER TruncateMod
STABLEHLO_RSQRT Rsqrt
STABLEHLO_SELECT SelectV2
STABLEHLO_SUBTRACT Sub
STABLEHLO_TANH Tanh
SUB Sub pot_scale_int16=
SUM Sum keep_dims=keep_dims
TANH Tanh
TensorListGetItem TensorListGetItem
TensorListSetItem TensorListSetItem
TILE Tile
TOPK_V2 TopKV2
TRANSPOSE Transpose
UNIQUE Unique idx_out_type=
UNPACK Unpack num=num axis=axis
UNSORTED_SEGMENT_MAX UnsortedSegmentMax
UNSORTED_SEGMENT_MIN UnsortedSegmentMin
UNSORTED_SEGMENT_PROD UnsortedSegmentProd
UNSORTED_SEGMENT_SUM UnsortedSegmentSum
WHERE Where
ZEROS_LIKE ZerosLike
"""

INPUTS: Mapping[str, Sequence[int]] = {"EMBEDDING_LOOKUP": (1, 0)}
"""Operators whose inputs are in another order there."""


CUSTOM = ("AudioSpectrogram", "Mfcc", "TFLite_Detection_PostProcess")
"""Custom operators that LiteRT has kernels for, and that have the names and attributes of TensorFlow's operators."""


class Bridge(NamedTuple):
    """An operator of TensorFlow, and option -> attribute of it, None for an option without effect on values.

    defaults: attribute -> value of its option in files that do not have it, which may differ from TensorFlow's.
    """

    type: str
    attributes: Mapping[str, str | None]
    defaults: Mapping[str, Any]


@cache
def bridges() -> Mapping[str, Bridge]:
    """Builtin operator -> bridge."""
    schema = tflite_schema()
    found = {}
    for line in _BRIDGES.strip().splitlines():
        builtin, type, *options = line.split()
        pairs = (option.split("=") for option in options)
        attributes = {option: attribute or None for option, attribute in pairs}
        fields = schema.tables[schema.options[builtin]] if attributes else ()
        defaults = {attributes.get(field.name): field.default for field in fields if not field.is_vector}
        found[builtin] = Bridge(type, attributes, {name: value for name, value in defaults.items() if name})
    return found


@cache
def builtins() -> Mapping[str, tuple[str, Mapping[str, str]]]:
    """The inverse: operator of TensorFlow -> builtin, and attribute -> option.

    Operators of StableHLO are left out: runtimes have kernels for few of them, and there is another builtin for each.
    """
    found = {
        bridge.type: (builtin, {name: option for option, name in bridge.attributes.items() if name is not None})
        for builtin, bridge in bridges().items()
        if not builtin.startswith("STABLEHLO_")
    }
    return {**found, "BatchMatMulV2": found["BatchMatMulV3"]}
