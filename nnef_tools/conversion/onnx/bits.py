"""Operators on the bits of numbers: shifts, bitwise logic, reinterpretation.

NNEF's integers have no width, so that results which would leave the width of the ONNX type are brought back to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...errors import Unsupported
from ...model import Tensor
from ...model.dtypes import is_integer
from ..arithmetic import bit_shift, bitwise_not
from ..builder import Builder
from ..narrow import wrap
from ..rules import to_nnef
from .common import aligned, dtype_of


def _bitwise(nnef: str) -> Callable[..., Tensor]:
    def convert(b: Builder, x: Tensor, y: Tensor) -> Tensor:
        return b.single(nnef, *aligned(b, x, y))

    return convert


for _onnx in ("And", "Or", "Xor"):
    to_nnef("onnx", f"Bitwise{_onnx}", since=18)(_bitwise(f"bitwise_{_onnx.lower()}"))


to_nnef("onnx", "BitwiseNot", since=18)(bitwise_not)
to_nnef("onnx", "BitShift", since=11)(bit_shift)


@to_nnef("onnx", "BitCast", since=26)
def bit_cast(b: Builder, x: Tensor, *, to: int) -> Tensor:
    """BitCast of constants, and between integer types; the bits of reals have no counterpart in NNEF."""
    dtype = dtype_of(to)
    if np.dtype(dtype).itemsize != np.dtype(x.dtype).itemsize:
        raise Unsupported(f"{np.dtype(x.dtype).name} and {np.dtype(dtype).name} differ in width")
    if x.data is not None:
        return b.constant(np.ascontiguousarray(x.data).view(dtype))
    if dtype is x.dtype:
        return x
    if is_integer(dtype) and is_integer(x.dtype):
        return wrap(b, x, dtype)
    if x.dtype is np.bool_ and is_integer(dtype):
        return b.cast(x, dtype)
    raise Unsupported(
        f"{np.dtype(x.dtype).name} as {np.dtype(dtype).name}: NNEF does not say how numbers are represented in bits"
    )
