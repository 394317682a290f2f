"""Operations that introduce tensors."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from nnef_tools.errors import ExecutionError, ShapeError
from nnef_tools.ops.registry import find

from .kernels import infer, run_op


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1.5, -2.0, 0.1, 4.0], np.float32),
        ([1, 2, 3, -4], np.int64),
        ([1, 2, 3, 4], np.uint8),
        ([True, False, True, True], np.bool_),
        ([1.5, 2.0, 3.0, 4.0], ml_dtypes.bfloat16),
    ],
)
def test_constant(value: list[Any], dtype: type[Any]) -> None:
    result = run_op("constant", dtype=dtype, shape=[2, 2], value=value)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.array([value[:2], value[2:]]).astype(dtype))


def test_constant_fills() -> None:
    assert run_op("constant", dtype=np.float32, shape=[2, 1, 3], value=[2.5]).tolist() == [[[2.5] * 3]] * 2
    assert run_op("constant", dtype=np.int32, shape=[], value=[7]).tolist() == 7
    assert run_op("constant", dtype=np.float32, shape=[1], value=[1e999]).tolist() == [np.inf]


def test_update() -> None:
    new = np.array([3.0], np.float32)
    assert run_op("update", np.array([1.0], np.float32), new).tolist() == [3.0]


@pytest.mark.parametrize("name", ["external", "variable", "constant"])
@pytest.mark.parametrize("shape", [[0], [2, -1], [2, 0, 3], [2**32, 2**32], [2**62]])
def test_bad_extents(name: str, shape: list[int]) -> None:
    more = {"variable": {"label": "v"}, "constant": {"value": [0.0]}}.get(name, {})
    with pytest.raises(ShapeError, match="'shape'"):
        infer(name, shape=shape, **more)


def test_value_count() -> None:
    assert infer("constant", shape=[2, 2], value=[1.0] * 4) == [2, 2]
    for count in (0, 2, 3, 5):
        with pytest.raises(ShapeError, match=f"'value' must have 1 item or .*\\(4\\), got {count}"):
            infer("constant", shape=[2, 2], value=[1.0] * count)


def test_value_out_of_range() -> None:
    with pytest.raises(ShapeError, match="do not fit int32"):
        find("constant").run(shape=[1], value=[2**40], dtype=np.int32)


def test_update_shapes() -> None:
    with pytest.raises(ShapeError, match="equal shapes, got \\[2, 1\\] and \\[2\\]"):
        infer("update", [2, 1], [2])


def test_missing_data_is_an_execution_error() -> None:
    with pytest.raises(ExecutionError, match="given no value"):
        find("external").run(shape=[2])
    with pytest.raises(ExecutionError, match="'conv/w'"):
        find("variable").run(shape=[2], label="conv/w")
