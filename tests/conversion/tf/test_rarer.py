"""Rarer operators of several families against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import integers, random
from ...support.tf_programs import raw, tf
from .checks import check, refusal


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_running_log_sums(exclusive: bool, reverse: bool, axis: int) -> None:
    x = random(3, 5, 4) * 100  # exponentials of some are zero beside others
    check(lambda x: raw.CumulativeLogsumexp(x=x, axis=axis, exclusive=exclusive, reverse=reverse), x)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("shape", [(3, 3), (2, 1, 5, 5), (4, 1, 1)])
def test_inverses(adjoint: bool, shape: tuple[int, ...]) -> None:
    x = random(*shape) + 3 * np.eye(shape[-1], dtype=np.float32)
    check(
        lambda x: raw.MatrixInverse(input=x, adjoint=adjoint),
        x,
        ops=["transpose", "inverse"] if adjoint else ["inverse"],
    )


def test_products_with_logarithms() -> None:
    x, y = random(3, 4), np.abs(random(3, 4, seed=1)) * 0.1
    x[0, :2], y[0, 0] = 0, -1
    check(lambda x, y: raw.Xlog1py(x=x, y=y), x, y, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("largest", [False, True])
def test_approximate_largest_items(largest: bool) -> None:
    def program(x: Any) -> Any:
        return raw.ApproxTopK(input=x, k=3, reduction_dimension=1, is_max_k=largest)

    def exact(x: Any) -> Any:
        values, indices = tf.math.top_k(x if largest else -x, 3)
        return (values if largest else -values), indices

    check(program, random(2, 20), expected=exact)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_positions_in_dimensions(dtype: Any) -> None:
    dims = np.asarray([7, 11, 13], dtype)
    x = np.arange(1001, dtype=dtype)
    check(lambda x: raw.UnravelIndex(indices=x, dims=dims), x, rtol=0, atol=0)
    check(lambda x: raw.UnravelIndex(indices=x, dims=dims), np.asarray(500, dtype), rtol=0, atol=0)
    assert "too many" in refusal(lambda x: raw.UnravelIndex(indices=x, dims=np.int64([5000, 5000])), np.int64([1]))


@pytest.mark.parametrize(
    "begin, end, strides, masks",
    [
        ([1, 0], [3, 5], [1, 1], {}),
        ([0, 4], [4, -6], [2, -2], {"end_mask": 2}),
        ([1, 2], [2, 3], [1, 1], {"shrink_axis_mask": 3}),
        ([0, 1], [0, 2], [1, 1], {"ellipsis_mask": 1, "shrink_axis_mask": 2}),
        ([0, 0, 1], [0, 0, 3], [1, 1, 1], {"new_axis_mask": 1, "begin_mask": 2, "end_mask": 2}),
        ([0], [4], [1], {}),
    ],
)
def test_updates_of_slices(begin: Any, end: Any, strides: Any, masks: dict[str, int]) -> None:
    x = random(4, 5)
    keys = {"begin": begin, "end": end, "strides": strides, **masks}
    value = random(*tf.raw_ops.StridedSlice(input=x, **keys).shape, seed=1) + np.float32("nan") * 0
    check(lambda x, v: raw.TensorStridedSliceUpdate(input=x, value=v, **keys), x, value, rtol=0, atol=0)


def test_lists_of_parts() -> None:
    def program(x: Any) -> Any:
        items = raw.TensorListSplit(tensor=x, element_shape=[-1, 3], lengths=np.int64([2, 1, 4]))
        return [
            raw.TensorListGetItem(input_handle=items, index=k, element_shape=[-1, 3], element_dtype=tf.float32)
            for k in range(3)
        ]

    check(program, random(7, 3), rtol=0, atol=0)


TYPES = ["quint8", "qint8", "qint32", "qint16", "quint16"]
QUANTIZED = [(mode, dtype) for mode in ("MIN_COMBINED", "SCALED") for dtype in TYPES]
QUANTIZED += [("MIN_FIRST", dtype) for dtype in TYPES[:3]]  # TensorFlow has no kernels for the others


@pytest.mark.parametrize(("mode", "dtype"), QUANTIZED)
@pytest.mark.parametrize("narrow", [False, True])
def test_quantized_constants(mode: str, dtype: str, narrow: bool) -> None:
    kind = {"quint8": np.uint8, "qint8": np.int8, "qint32": np.int32, "qint16": np.int16, "quint16": np.uint16}[dtype]
    info = np.iinfo(kind)
    top = info.max - (info.max >> 20)  # TensorFlow turns the largest codes of 32 bits into negative numbers
    codes = np.linspace(info.min, top, 24).astype(kind).reshape(4, 6)

    def program(x: Any) -> Any:
        constant = tf.constant(codes, dtype=getattr(tf, dtype))
        return x + raw.Dequantize(input=constant, min_range=-1.3, max_range=2.1, mode=mode, narrow_range=narrow)

    check(program, random(4, 6), rtol=0, atol=1e-6)


def test_constants_quantized_by_channel() -> None:
    codes = integers(4, 3, low=-128, high=128, dtype=np.int8)

    def program(x: Any) -> Any:
        constant = tf.constant(codes, dtype=tf.qint8)
        return x + raw.Dequantize(
            input=constant, min_range=[-1.0, -2.0, -0.1], max_range=[1.0, 1.5, 3.0], mode="SCALED", axis=1
        )

    check(program, random(4, 3), rtol=0, atol=1e-6)
