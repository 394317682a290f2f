"""Conversions between Python and numpy values."""

from __future__ import annotations

import numpy as np
import pytest

from nnef_tools.utils.types import PyTypeFromNumpyDtype, PyTypeToNumpyDtype, as_str, cast, from_numpy, to_numpy


def test_as_str():
    assert as_str(b"\xc3\xa9") == as_str("é") == "é"


@pytest.mark.parametrize(
    "array, expected",
    [
        (np.array([[1, 2]], np.int8), [[1, 2]]),
        (np.array(1.5, np.float32), 1.5),
        (np.float16(2), 2.0),
        (np.array([True]), [True]),
        (np.array(["a"]), ["a"]),
        (np.array([b"a"]), ["a"]),
        (np.zeros((0, 2)), []),
    ],
)
def test_from_numpy(array, expected):
    found = from_numpy(array)
    assert found == expected and type(found) is type(expected)


def test_from_numpy_with_type():
    assert from_numpy(np.array([1.7, 2.2]), int) == [1, 2]
    assert from_numpy(np.array([1, 0]), bool) == [True, False]


@pytest.mark.parametrize(
    "value, dtype", [(1, np.int32), ([1.5], np.float32), ([[True]], np.bool_), (["a"], np.str_), ([], np.float32)]
)
def test_to_numpy(value, dtype):
    assert to_numpy(value).dtype.type is dtype
    assert to_numpy(value).tolist() == value


def test_to_numpy_keeps_arrays():
    assert to_numpy(np.array([1], np.uint8)).dtype == np.uint8
    assert to_numpy([1, 2], np.int64).dtype == np.int64


def test_cast_and_tables():
    assert cast([1, (2, [3])], float) == [1.0, (2.0, [3.0])]
    assert PyTypeFromNumpyDtype[np.int16] is int and PyTypeToNumpyDtype[float] is np.float32
