"""Quantized constants during conversion.

The `data` of such a constant is a `QuantizedArray`: rules that ask for its value get real numbers, which are computed
then; a change of shape or order of axes moves the codes. The finished model stores the codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...model import Graph, Tensor
from ...model.dtypes import integer_bits, integer_range

Array = np.ndarray[Any, Any]

LINEAR = "zero_point_linear_quantize"
"""NNEF's quantization by scale and zero point, to which that of other formats corresponds."""


@dataclass(frozen=True, eq=False)
class QuantizedArray:
    """Quantized numbers: value = (code - zero_point) * scale.

    codes: of an integer type of any width. scale (float32) and zero_point (int64) have rank 0, or the extent of the
    codes along `axis`.
    """

    codes: Array
    scale: Array
    zero_point: Array
    axis: int | None = None
    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.codes.shape)

    @property
    def ndim(self) -> int:
        return self.codes.ndim

    @property
    def size(self) -> int:
        return self.codes.size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The real values, float32."""
        scale, zero_point = (self.along_axis(p, self.ndim) for p in (self.scale, self.zero_point))
        # Differences of up to 24 bits, and so their products with a scale, are rounded once, as in float64.
        wide = np.float64 if integer_bits(self.codes.dtype) > 16 else np.float32
        values: Array = (self.codes.astype(wide) - zero_point.astype(wide)) * scale.astype(wide)
        return np.asarray(values, dtype or np.float32)

    def along_axis(self, parameter: Array, rank: int) -> Array:
        """A parameter per axis as an array of that rank; one of rank 0 stays."""
        return parameter.reshape([-1 if k == self.axis else 1 for k in range(rank)]) if parameter.ndim else parameter

    def quant(self) -> dict[str, Any]:
        """The entry of NNEF's quantization file, with parameters that NNEF broadcasts from the left."""
        rank = 0 if self.axis is None else self.axis + 1
        scale, zero_point = (self.along_axis(p, rank) for p in (self.scale, self.zero_point))
        return zero_point_quantization(scale, zero_point, self.codes.dtype.type)

    def reshaped(self, shape: Sequence[int]) -> QuantizedArray | None:
        """The codes in another shape; None if that splits or merges the axis of the parameters."""
        codes: Array = self.codes.reshape(shape)
        if self.axis is None:
            return QuantizedArray(codes, self.scale, self.zero_point)
        extent, before = self.shape[self.axis], math.prod(self.shape[: self.axis])
        for k, item in enumerate(codes.shape):
            if item == extent and math.prod(codes.shape[:k]) == before:
                return QuantizedArray(codes, self.scale, self.zero_point, k)
        return None

    def transposed(self, axes: Sequence[int]) -> QuantizedArray:
        """The codes with permuted axes."""
        axis = None if self.axis is None else list(axes).index(self.axis)
        return QuantizedArray(self.codes.transpose(axes), self.scale, self.zero_point, axis)


def zero_point_quantization(scale: Array, zero_point: Array, dtype: Any) -> dict[str, Any]:
    """The quantization to codes of an integer type, as the reader of NNEF gives it. Equal zero points become one.

    It is not `symmetric`: ONNX's codes may take the lowest value of their type.
    """
    if zero_point.size and np.all(zero_point == zero_point.flat[0]):
        zero_point = zero_point.reshape(-1)[0]
    return {
        "op-name": LINEAR,
        "zero_point": zero_point.astype(np.int64) if zero_point.ndim else int(zero_point),
        "scale": scale.astype(np.float32) if scale.ndim else float(scale),
        "bits": integer_bits(dtype),
        "signed": integer_range(dtype)[0] < 0,
        "symmetric": False,
    }


class _Builder(Protocol):
    graph: Graph
    derived_from: dict[Tensor, Tensor]


def quantized_constant(b: _Builder, data: QuantizedArray, base: Tensor) -> Tensor:
    """A quantized constant of the target graph. base: the constant that it is derived from."""
    tensor = Tensor(b.graph, shape=data.shape, dtype=np.float32, data=data)
    b.derived_from[tensor] = base
    return tensor
