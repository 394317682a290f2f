"""Operators on the bits of numbers: shifts, bitwise logic, reinterpretation.

NNEF's integers have no width, so that results which would leave the width of the ONNX type are brought back to it.
"""

from __future__ import annotations

from collections.abc import Callable

from ....model import Tensor
from ...building.nnef import Builder
from ...compose.arithmetic import bit_shift, bitwise_not
from ...compose.number_types import reinterpret
from ...engine.rules import to_nnef
from ..common import aligned, dtype_of


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
    """BitCast of constants, and between integers."""
    return reinterpret(b, x, dtype_of(to))
