import ml_dtypes
import numpy as np
import pytest

from nnef_tools.errors import UsageError
from nnef_tools.model.dtypes import canonical_dtype, nnef_dtype, numpy_dtype


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([np.float16, np.float32, np.float64, float, np.dtype("<f4")], "scalar"),
        ([getattr(ml_dtypes, n) for n in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float4_e2m1fn")], "scalar"),
        ([np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64, int], "integer"),
        ([ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2], "integer"),
        ([np.bool_, bool], "logical"),
        ([np.str_, str], "string"),
    ],
)
def test_nnef_dtype(classes, expected):
    assert {nnef_dtype(dtype) for dtype in classes} == {expected}


@pytest.mark.parametrize("dtype", [np.complex64, np.object_, "no such type", object()])
def test_types_that_nnef_lacks(dtype):
    with pytest.raises(UsageError):
        nnef_dtype(dtype)


def test_numpy_dtype():
    assert [numpy_dtype(name) for name in ("scalar", "integer", "logical")] == [np.float32, np.int64, np.bool_]
    with pytest.raises(UsageError):
        numpy_dtype("complex")


def test_canonical_dtype():
    assert canonical_dtype(ml_dtypes.bfloat16) is np.float32
    assert canonical_dtype(np.uint8) is np.int64
