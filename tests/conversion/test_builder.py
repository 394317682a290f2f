"""The builder: shapes and types while building, casts around integers, evaluation of what is constant."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion.building.nnef import ALWAYS_FOLD_ITEMS, Builder
from nnef_tools.errors import ShapeError, Unsupported
from nnef_tools.model import Graph, Tensor


@pytest.fixture
def b() -> Builder:
    return Builder(Graph("test"))


def given(b: Builder, *shape: int, dtype: Any = np.float32) -> Tensor:
    """A tensor that is not constant."""
    return Tensor(b.graph, shape=shape, dtype=dtype)


def types(b: Builder) -> list[str]:
    return [str(op.type) for op in b.graph.operations]


# shapes and types


def test_shapes_and_types_are_known_at_once(b: Builder) -> None:
    x, w = given(b, 1, 3, 8, 8), given(b, 4, 3, 3, 3)
    y = b.conv(x, w, 0.0, stride=[2, 2], padding=[(1, 1), (1, 1)])
    assert (y.shape, y.dtype) == ((1, 4, 4, 4), np.float32)
    positions = b.argmax_reduce(y, axes=[1])
    assert (positions.shape, positions.dtype) == ((1, 1, 4, 4), np.int64)
    test = b.gt(y, 0.0)
    assert (test.shape, test.dtype) == ((1, 4, 4, 4), np.bool_)
    mean, variance = b.moments(y, axes=[2, 3])
    assert mean.shape == variance.shape == (1, 4, 1, 1)
    parts = b.split(y, axis=1, ratios=[1, 3])
    assert isinstance(parts, list)
    assert [t.shape for t in parts] == [(1, 1, 4, 4), (1, 3, 4, 4)]
    assert b.concat(parts, axis=1).shape == (1, 4, 4, 4)
    assert b.graph.is_sorted()


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint8, np.bool_])
def test_generic_operations_keep_the_type(b: Builder, dtype: Any) -> None:
    x = given(b, 2, 3, dtype=dtype)
    for y in (
        b.reshape(x, shape=[6]),
        b.transpose(x, axes=[1, 0]),
        b.concat([x, x], axis=0),
        b.tile(x, repeats=[2, 1]),
    ):
        assert y.dtype is dtype


def test_array_arguments_are_one_list(b: Builder) -> None:
    b.concat([given(b, 2), given(b, 3)], axis=0)
    [op] = b.graph.operations
    assert not isinstance(op.inputs, tuple)
    assert op.output.shape == (5,)


def test_errors_name_the_reason(b: Builder) -> None:
    with pytest.raises(ShapeError, match="matmul"):
        b.matmul(given(b, 2, 3), given(b, 2, 3))
    assert types(b) == []


# literals


@pytest.mark.parametrize(
    ("operand", "dtype", "expected"),
    [
        (2, np.float32, np.float32),
        (2.5, np.float32, np.float32),
        (True, np.bool_, np.bool_),
        (2, np.int32, np.int32),
        (2, np.int8, np.int8),
    ],
)
def test_type_of_a_literal(b: Builder, operand: Any, dtype: Any, expected: Any) -> None:
    x = given(b, 2, dtype=dtype)
    y = b.select(given(b, 2, dtype=np.bool_), x, operand)
    literal = b.graph.operations[-1].inputs[2]
    assert literal.data is not None
    assert (literal.shape, literal.dtype, y.dtype) == ((), expected, dtype)


def test_literal_beside_integers(b: Builder) -> None:
    y = b.add(given(b, 2, dtype=np.int32), 3)
    assert y.dtype is np.int32
    assert b.add(given(b, 2, dtype=np.int32), 0.5).dtype is np.float32  # a real operand makes it real arithmetic


def test_arrays_are_constants(b: Builder) -> None:
    y = b.mul(given(b, 2), np.array([1, 2], np.float32))
    assert b.graph.operations[-1].inputs[1].data.tolist() == [1, 2]
    assert y.shape == (2,)


def test_operations_that_are_python_keywords(b: Builder) -> None:
    x = given(b, 2, dtype=np.bool_)
    b.not_(b.or_(b.and_(x, x), x))
    assert types(b) == ["and", "or", "not"]


# integers


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_casts_around_integer_arithmetic(b: Builder, dtype: Any) -> None:
    y = b.add(given(b, 2, dtype=dtype), given(b, 2, dtype=dtype))
    assert types(b) == ["cast", "cast", "add", "cast"]
    assert y.dtype is dtype
    assert b.graph.operations[2].output.dtype is np.float32


def test_wide_integers_are_reported(b: Builder) -> None:
    b.add(given(b, 2, dtype=np.int16), 3)
    assert b.rounded == set()
    b.mul(given(b, 2, dtype=np.int32), 3)
    b.gt(given(b, 2, dtype=np.int64), 3)
    assert b.rounded == {"mul", "gt"}


def test_known_integers_are_reported_only_if_they_are_rounded(b: Builder) -> None:
    many = np.full(ALWAYS_FOLD_ITEMS + 1, 2**24, np.int64)
    b.neg(b.constant(many))
    assert b.rounded == set()
    b.neg(b.constant(many + 1))
    assert b.rounded == {"neg"}


def test_narrow_integers_do_not_wrap(b: Builder) -> None:
    x = given(b, 2, dtype=np.uint8)
    b.max(x, x)
    assert list(b.warnings) == []
    b.add(x, x)
    b.add(x, x)
    assert list(b.warnings) == ["NNEF's integers have no width: add on uint8 does not wrap"]


def test_folded_integer_arithmetic_is_exact(b: Builder) -> None:
    large = b.constant(np.array([2**53 + 1, -(2**62)], np.int64))
    assert b.add(large, 1).data.tolist() == [2**53 + 2, -(2**62) + 1]
    assert b.sub(large, large).data.tolist() == [0, 0]
    quotient = b.div(b.constant(np.array([7, -7, 7, -7])), b.constant(np.array([2, 2, -2, -2])))
    assert quotient.data.tolist() == [3, -3, -3, 3]  # truncated, as ONNX and C do
    assert types(b) == []


def test_cast(b: Builder) -> None:
    x = given(b, 2)
    assert b.cast(x, np.float32) is x
    assert b.cast(b.constant(np.array([1.7, -1.7], np.float32)), np.int64).data.tolist() == [1, -1]
    y = b.cast(x, np.int32)
    assert (types(b), y.dtype) == (["cast"], np.int32)


# evaluation


def test_small_constants_are_folded(b: Builder) -> None:
    y = b.mul(b.constant(np.array([1, 2], np.float32)), 3.0)
    assert y.data.tolist() == [3, 6]
    assert types(b) == []
    values, indices = b.top_k(y, k=1, axis=0)
    assert (values.data.tolist(), indices.data.tolist()) == ([6], [1])
    assert [t.data.tolist() for t in b.split(y, axis=0, ratios=[1, 1])] == [[3], [6]]


def test_limit_of_folding() -> None:
    for size, folded in ((ALWAYS_FOLD_ITEMS, True), (ALWAYS_FOLD_ITEMS + 1, False)):
        for fold_all in (False, True):
            b = Builder(Graph("test"), fold_all=fold_all)
            y = b.mul(b.constant(np.ones(size, np.float32)), 2.0)
            assert (y.data is not None) == (folded or fold_all)
            assert types(b) == ([] if folded or fold_all else ["mul"])
            value = b.value(y)
            assert value is not None
            assert value.tolist() == [2.0] * size


def test_value_of_what_is_computed(b: Builder) -> None:
    x = given(b, 2)
    assert b.value(x) is None
    assert b.value(b.add(x, 1.0)) is None


def test_value_through_a_long_chain(b: Builder) -> None:
    """No recursion, and no operation is evaluated twice."""
    y = b.constant(np.zeros(ALWAYS_FOLD_ITEMS + 1, np.float32))
    for _ in range(5000):
        y = b.add(y, 1.0)
    assert len(b.graph.operations) == 5000
    start = time.process_time()
    value = b.value(y)
    assert value is not None
    assert value[0] == 5000
    assert time.process_time() - start < 5


def test_value_through_diamonds(b: Builder) -> None:
    y = b.constant(np.ones(ALWAYS_FOLD_ITEMS + 1, np.float32))
    for _ in range(40):  # 2**40 paths
        y = b.mul(b.add(y, y), 0.5)
    value = b.value(y)
    assert value is not None
    assert value[0] == 1


def test_value_of_one_of_several_results(b: Builder) -> None:
    big = b.constant(np.arange(2 * ALWAYS_FOLD_ITEMS, dtype=np.float32))
    first, second = b.split(big, axis=0, ratios=[1, 1])
    total = b.value(b.sub(second, first))
    assert total is not None
    assert set(total.tolist()) == {float(ALWAYS_FOLD_ITEMS)}


def test_value_of_a_reduction_of_a_large_constant(b: Builder) -> None:
    """The input is large, the result small: that is folded, too."""
    assert b.sum_reduce(b.constant(np.ones(5000, np.float32)), axes=[0]).data.tolist() == [5000]


def test_constant_shares_its_array(b: Builder) -> None:
    array = np.ones(3, np.float32)
    assert b.constant(array).data is array


# empty tensors, custom fragments


def test_empty_results_are_constants(b: Builder) -> None:
    empty = b.constant(np.zeros((0, 3), np.float32))
    y = b.mul(empty, given(b, 1, 3))
    assert (y.shape, y.dtype, y.data.size) == ((0, 3), np.float32, 0)
    assert types(b) == []


def test_standard_only() -> None:
    b = Builder(Graph("test"), standard_only=True)
    with pytest.raises(Unsupported, match="needs the custom fragment 'erf', which standard_only=True excludes"):
        b.erf(given(b, 2))
    assert b.erf(b.constant(np.zeros(2, np.float32))).data.tolist() == [0, 0]  # nothing is left of it
    assert b.relu(given(b, 2)).shape == (2,)
