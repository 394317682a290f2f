"""Builtin operators that are operators of TensorFlow under another name, and are converted by the rules of these.

A line is `BUILTIN Operator option=attribute ..`; an option with nothing behind the `=` has no effect on values. Inputs
are the same in the same order, or as in `INPUTS`. The operators on lists are not in files, but made by loops.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

_BRIDGES = """
ABS Abs
ADD AddV2 pot_scale_int16=
ADD_N AddN
ARG_MAX ArgMax output_type=
ARG_MIN ArgMin output_type=
ATAN2 Atan2
BATCH_MATMUL BatchMatMulV3 adj_x=adj_x adj_y=adj_y asymmetric_quantize_inputs=
BATCH_TO_SPACE_ND BatchToSpaceND
BROADCAST_ARGS BroadcastArgs
BROADCAST_TO BroadcastTo
CEIL Ceil
COS Cos
CUMSUM Cumsum exclusive=exclusive reverse=reverse
DEPTH_TO_SPACE DepthToSpace block_size=block_size
DIV RealDiv
ELU Elu
EQUAL Equal
EXP Exp
EXPAND_DIMS ExpandDims
FILL Fill
FLOOR Floor
FLOOR_DIV FloorDiv
FLOOR_MOD FloorMod
GATHER_ND GatherNd
GREATER Greater
GREATER_EQUAL GreaterEqual
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
MAXIMUM Maximum
MEAN Mean keep_dims=keep_dims
MINIMUM Minimum
MUL Mul
NEG Neg
NOT_EQUAL NotEqual
PAD Pad
PADV2 PadV2
POW Pow
RANGE Range
RANK Rank
REDUCE_ALL All keep_dims=keep_dims
REDUCE_ANY Any keep_dims=keep_dims
REDUCE_MAX Max keep_dims=keep_dims
REDUCE_MIN Min keep_dims=keep_dims
REDUCE_PROD Prod keep_dims=keep_dims
RELU Relu
RELU6 Relu6
REVERSE_SEQUENCE ReverseSequence seq_dim=seq_dim batch_dim=batch_dim
REVERSE_V2 ReverseV2
ROUND Round
RSQRT Rsqrt
SCATTER_ND ScatterNd
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
SUB Sub pot_scale_int16=
SUM Sum keep_dims=keep_dims
TANH Tanh
TensorListGetItem TensorListGetItem
TensorListSetItem TensorListSetItem
TILE Tile
TRANSPOSE Transpose
UNPACK Unpack num=num axis=axis
ZEROS_LIKE ZerosLike
"""

INPUTS: Mapping[str, Sequence[int]] = {}
"""Operators whose inputs are in another order there."""


class Bridge(NamedTuple):
    """An operator of TensorFlow, and option -> attribute of it, None for an option without effect on values."""

    type: str
    attributes: Mapping[str, str | None]


@cache
def bridges() -> Mapping[str, Bridge]:
    """Builtin operator -> bridge."""
    found = {}
    for line in _BRIDGES.strip().splitlines():
        builtin, type, *options = line.split()
        pairs = (option.split("=") for option in options)
        found[builtin] = Bridge(type, {option: attribute or None for option, attribute in pairs})
    return found
