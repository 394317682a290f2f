"""Operators of TensorFlow Lite that move data, against LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import Array, integers, logicals, random
from ...support.lite_models import Fixed
from .checks import check, refusal


def ints(*values: int) -> Fixed:
    return Fixed(np.asarray(values, np.int32))


def test_reshape() -> None:
    check("RESHAPE", random(2, 3, 4), ints(4, -1), ops=["reshape"])
    check("RESHAPE", random(2, 3, 4), new_shape=[6, 4], ops=["reshape"])
    check("RESHAPE", random(2, 3, 4), ints(6, 4), new_shape=[1, 24])
    assert "the new shape is missing" in refusal("RESHAPE", random(2, 3), shapes=[(6,)])


def test_squeeze() -> None:
    check("SQUEEZE", random(1, 3, 1, 4), squeeze_dims=[2], ops=["squeeze"])
    check("SQUEEZE", random(1, 3, 1, 4), squeeze_dims=[-2, 0])
    check("SQUEEZE", random(1, 3, 1, 4))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_expand_dims(axis: int) -> None:
    check("EXPAND_DIMS", random(2, 3), Fixed(np.int32(axis)), ops=["unsqueeze"])


def test_transpose() -> None:
    check("TRANSPOSE", random(2, 3, 4), ints(2, 0, 1), ops=["transpose"])
    check("TRANSPOSE", integers(2, 3, 4, 5), ints(3, 1, 0, 2))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concatenation(axis: int) -> None:
    parts = [random(2, 3, 4, seed=k) for k in range(3)]
    check("CONCATENATION", *parts, axis=axis, ops=["concat"])
    check("CONCATENATION", parts[0], Fixed(parts[1]), axis=axis)


def test_concatenation_of_others() -> None:
    check("CONCATENATION", integers(2, 3), integers(1, 3), axis=0)
    check("CONCATENATION", logicals(2, 3), logicals(2, 1), axis=1)


@pytest.mark.parametrize("axis", [0, 2, -1])
@pytest.mark.parametrize("count", [1, 3])
def test_pack_and_unpack(axis: int, count: int) -> None:
    check("PACK", *[random(2, 3, seed=k) for k in range(count)], axis=axis, values_count=count)
    x = random(*np.insert([2, 3], axis if axis >= 0 else 2, count))
    check("UNPACK", x, axis=axis, num=count, dtypes=[np.float32] * count)


@pytest.mark.parametrize("axis", [1, -1])
def test_split(axis: int) -> None:
    check("SPLIT", Fixed(np.int32(axis)), random(2, 6), num_splits=3, dtypes=[np.float32] * 3, ops=["split"])
    check("SPLIT", Fixed(np.int32(axis)), random(2, 6), num_splits=1, dtypes=[np.float32])
    sizes, place = ints(1, -1, 3), Fixed(np.int32(axis))
    check("SPLIT_V", random(2, 6), sizes, place, num_splits=3, dtypes=[np.float32] * 3, ops=["split"])


def test_tile() -> None:
    check("TILE", random(2, 3), ints(2, 1), ops=["tile"])
    check("TILE", integers(2, 3), ints(1, 3))


def test_broadcast() -> None:
    check("BROADCAST_TO", random(3, 1), ints(2, 3, 4))
    check("BROADCAST_TO", integers(4), ints(2, 3, 4))


PADS = np.asarray([[0, 0], [2, 1], [0, 3]], np.int32)


def test_pad() -> None:
    check("PAD", random(2, 3, 4), Fixed(PADS), ops=["pad"])
    check("PADV2", random(2, 3, 4), Fixed(PADS), Fixed(np.float32(-1.5)), ops=["pad"])
    check("PADV2", integers(2, 3, 4), Fixed(PADS), Fixed(np.int32(7)))


@pytest.mark.parametrize("mode", [0, 1])
def test_mirror_pad(mode: int) -> None:
    check("MIRROR_PAD", random(2, 4, 4), Fixed(PADS), mode=mode, ops=["pad"])


def test_slice() -> None:
    check("SLICE", random(4, 5, 6), ints(1, 0, 2), ints(2, -1, 3))
    check("SLICE", integers(4, 5), ints(0, 1), ints(4, 4))


RANGES: list[tuple[Any, Any, Any, dict[str, int]]] = [
    ((0, 1, 0), (4, 5, 6), (1, 2, 3), {}),
    ((3, -1, 5), (0, -4, 0), (-1, -1, -2), {}),
    ((1, 1, 1), (2, 2, 2), (1, 1, 1), {"begin_mask": 1, "end_mask": 6}),
    ((1, 1, 1), (2, 2, 2), (1, 1, 1), {"shrink_axis_mask": 5}),
    ((-1, 1, -2), (0, 2, 0), (1, 1, 1), {"shrink_axis_mask": 5}),
    ((1, 0, 2), (3, 0, 4), (1, 1, 1), {"ellipsis_mask": 2}),
    ((0, 1), (0, 3), (1, 1), {"ellipsis_mask": 1}),
    ((0, 0, 1), (0, 2, 3), (1, 1, 1), {"new_axis_mask": 1}),
    ((1, 0, 0), (2, 0, 3), (1, 1, 1), {"new_axis_mask": 2, "shrink_axis_mask": 1}),
    ((-3,), (100,), (1,), {}),
    ((1, 1, 1), (3, 2, 4), (1, 1, 1), {"offset": 1}),
    ((1, 2, 1), (2, 2, 5), (1, 1, 2), {"offset": 1}),
]


@pytest.mark.parametrize(("begin", "end", "strides", "masks"), RANGES)
def test_strided_slice(begin: Any, end: Any, strides: Any, masks: dict[str, int]) -> None:
    masks = {key: bool(value) if key == "offset" else value for key, value in masks.items()}  # type: ignore[misc]
    check("STRIDED_SLICE", random(4, 5, 6), ints(*begin), ints(*end), ints(*strides), **masks)


def test_reverse() -> None:
    check("REVERSE_V2", random(2, 3, 4), ints(1))
    check("REVERSE_SEQUENCE", random(3, 5, 2), Fixed(np.asarray([2, 5, 1], np.int32)), seq_dim=1, batch_dim=0)
    lengths = Fixed(np.asarray([2, 5, 1], np.int32))
    check("REVERSE_SEQUENCE", random(5, 2, 3), lengths, seq_dim=0, batch_dim=2)


@pytest.mark.parametrize("block", [2, 3])
def test_depth_and_space(block: int) -> None:
    check("DEPTH_TO_SPACE", random(2, 3, 4, 2 * block**2), block_size=block)
    check("SPACE_TO_DEPTH", random(2, 2 * block, 3 * block, 2), block_size=block)


def test_batch_and_space() -> None:
    block = ints(2, 3)
    check("SPACE_TO_BATCH_ND", random(2, 3, 5, 2), block, Fixed(np.asarray([[1, 0], [0, 1]], np.int32)))
    check("BATCH_TO_SPACE_ND", random(12, 2, 2, 2), block, Fixed(np.asarray([[1, 0], [0, 2]], np.int32)))


@pytest.mark.parametrize("dilations", [(2, 1), (1, 3), (3, 2), (1, 1)])
def test_dilate(dilations: Any) -> None:
    check("DILATE", random(3, 4), Fixed(np.asarray(dilations, np.int32)), Fixed(np.float32(-1.5)))


STARTS = [(0, 0, 0), (1, 2, 3), (3, 4, 5), (-2, 1, 9)]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("size", [(2, 3, 4), (4, 1, 6), (4, 5, 6), (1, 5, 6)])
def test_dynamic_update_slice(start: Any, size: Any) -> None:
    place = np.asarray(start, np.int32)
    check("DYNAMIC_UPDATE_SLICE", random(4, 5, 6), random(*size, seed=1), Fixed(place))
    result = check("DYNAMIC_UPDATE_SLICE", random(4, 5, 6), random(*size, seed=1), place)
    assert {"scatter_nd", "select", "gather", "copy"} & set(result.ops)


# indices


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather(axis: int) -> None:
    check("GATHER", random(4, 5, 3), Fixed(np.asarray([2, 0, 1], np.int32)), axis=axis, ops=["gather"])
    check("GATHER", integers(4, 5, 3), integers(2, 2, low=0, high=3), axis=axis)


@pytest.mark.parametrize(("axis", "batch_dims"), [(1, 1), (2, 1), (2, 2), (-1, 1)])
def test_gather_of_batches(axis: int, batch_dims: int) -> None:
    check("GATHER", random(2, 3, 4), integers(2, 3, low=0, high=3), axis=axis, batch_dims=batch_dims)


def test_gather_nd() -> None:
    indices = np.stack([integers(3, low=0, high=4), integers(3, low=0, high=5, seed=1)], axis=1)
    check("GATHER_ND", random(4, 5, 2), Fixed(indices))
    check("GATHER_ND", random(4, 5, 2), indices)


def test_embedding_lookup() -> None:
    check("EMBEDDING_LOOKUP", Fixed(np.asarray([3, 0, 1], np.int32)), random(4, 5), ops=["gather"])
    check("EMBEDDING_LOOKUP", integers(3, low=0, high=4), Fixed(random(4, 5)), dtypes=[np.float32])


def test_scatter_nd() -> None:
    indices = Fixed(np.asarray([[4], [3], [1], [4]], np.int32))
    check("SCATTER_ND", indices, random(4, 3), ints(6, 3))


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(axis: int) -> None:
    depth, on, off = Fixed(np.int32(4)), Fixed(np.float32(2.0)), Fixed(np.float32(-1.0))
    check("ONE_HOT", integers(2, 3, low=-1, high=5), depth, on, off, axis=axis, dtypes=[np.float32])
    on, off = Fixed(np.int32(3)), Fixed(np.int32(1))
    check("ONE_HOT", integers(2, 3, low=-1, high=5), depth, on, off, axis=axis)


SPARSE: list[tuple[Array, Any, Any]] = [
    (np.asarray([[0, 1], [2, 3]], np.int32), (3, 4), [1.5, 2.5]),
    (np.asarray([[0, 1], [2, 3]], np.int32), (3, 4), 2.5),
    (np.asarray([1, 3], np.int32), (5,), [1.5, 2.5]),
    (np.asarray(3, np.int32), (5,), 2.5),
]


@pytest.mark.parametrize(("indices", "sizes", "values"), SPARSE)
def test_sparse_to_dense(indices: Array, sizes: Any, values: Any) -> None:
    filling = Fixed(np.float32(-1))
    check("SPARSE_TO_DENSE", Fixed(indices), ints(*sizes), np.asarray(values, np.float32), filling)


@pytest.mark.parametrize("k", [1, 3])
def test_top_k(k: int) -> None:
    check("TOPK_V2", random(2, 3, 5), Fixed(np.int32(k)), dtypes=[np.float32, np.int32])


@pytest.mark.parametrize(("exclusive", "reverse"), [(False, False), (True, False), (False, True), (True, True)])
def test_cumsum(exclusive: bool, reverse: bool) -> None:
    check("CUMSUM", random(2, 3, 4), Fixed(np.int32(1)), exclusive=exclusive, reverse=reverse)
    check("CUMSUM", integers(2, 3, 4), Fixed(np.int32(-1)), exclusive=exclusive, reverse=reverse)


@pytest.mark.parametrize("type", ["UNSORTED_SEGMENT_SUM", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX",
                                  "UNSORTED_SEGMENT_MIN"])  # fmt: skip
def test_unsorted_segments(type: str) -> None:
    ids = np.asarray([2, 0, 2, 1], np.int32)
    check(type, random(4, 3), Fixed(ids), Fixed(np.int32(4)))
    check(type, integers(4, 3), ids, Fixed(np.int32(4)))
    check(type, random(4, 3), Fixed(np.asarray([2, -1, 2, 1], np.int32)), Fixed(np.int32(4)))


def test_segment_sum() -> None:
    check("SEGMENT_SUM", random(5, 3), Fixed(np.asarray([0, 0, 1, 2, 2], np.int32)))


def test_diagonals() -> None:
    check("MATRIX_DIAG", random(2, 3))
    check("MATRIX_SET_DIAG", random(2, 3, 4), random(2, 3, seed=1))
    check("MATRIX_SET_DIAG", random(2, 4, 3), random(2, 3, seed=1))


def test_constants() -> None:
    x = random(2, 3)
    check("SHAPE", x, dtypes=[np.int32], out_type=2)
    check("RANK", x, dtypes=[np.int32])


# reductions


@pytest.mark.parametrize("type", ["SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"])
@pytest.mark.parametrize("axes", [(0,), (1, 2), (-1,), (0, 1, 2)])
@pytest.mark.parametrize("keep_dims", [False, True])
def test_reduce(type: str, axes: Any, keep_dims: bool) -> None:
    check(type, random(2, 3, 4), ints(*axes), keep_dims=keep_dims)
    check(type, integers(2, 3, 4, low=-2, high=3), ints(*axes), keep_dims=keep_dims)


@pytest.mark.parametrize("type", ["REDUCE_ANY", "REDUCE_ALL"])
def test_reduce_logicals(type: str) -> None:
    check(type, logicals(2, 3, 4), ints(1), keep_dims=True)


@pytest.mark.parametrize("type", ["ARG_MAX", "ARG_MIN"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_positions(type: str, axis: int) -> None:
    check(type, random(2, 3, 4), Fixed(np.int32(axis)), output_type=2, dtypes=[np.int32])
    check(type, integers(2, 3, 4), Fixed(np.int32(axis)), output_type=4, dtypes=[np.int64])


# matrices


@pytest.mark.parametrize("bias", [None, Fixed(random(4, seed=1))])
@pytest.mark.parametrize("shape", [(2, 6), (6,), (2, 3, 6), (2, 2, 2, 3), (4, 3)])
def test_fully_connected(shape: Any, bias: Any) -> None:
    w = Fixed(random(4, 6))
    check("FULLY_CONNECTED", random(*shape), w, bias)
    if shape[-1] == 6:
        check("FULLY_CONNECTED", random(*shape), w, bias, keep_num_dims=True)


@pytest.mark.parametrize("function", ["RELU", "RELU6", "RELU_N1_TO_1"])
def test_activation_of_fully_connected(function: str) -> None:
    check("FULLY_CONNECTED", random(3, 6), Fixed(random(4, 6)), fused_activation_function=function)


def test_computed_weights() -> None:
    check("FULLY_CONNECTED", random(3, 6), random(4, 6, seed=1), None)


@pytest.mark.parametrize(("adj_x", "adj_y"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("batches", [((2,), (2,)), ((2, 3), (2, 3)), ((2, 1), (1, 3)), ((2, 3), (3,)), ((), ())])
def test_batch_matmul(adj_x: bool, adj_y: bool, batches: Any) -> None:
    x = random(*batches[0], *((5, 4) if adj_x else (4, 5)))
    y = random(*batches[1], *((6, 5) if adj_y else (5, 6)), seed=1)
    check("BATCH_MATMUL", x, y, adj_x=adj_x, adj_y=adj_y)
