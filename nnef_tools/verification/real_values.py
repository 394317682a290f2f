"""The real values of tensors that one model holds as codes and the other as reals."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from ..errors import NnefToolsError
from ..model import Graph, Tensor
from ..model.dtypes import integer_range, is_integer
from ..ops.quantization import Quantization

if TYPE_CHECKING:  # a conversion that is not verified needs no runtimes
    from ..execution.executor import Array


class Codes(Protocol):
    """How the codes of a tensor correspond to real values."""

    def real_values(self, data: Array) -> Array:
        """The real values of codes; reals are rounded to values of codes."""

    def codes(self, values: Array) -> Array:
        """The codes of real values, as int64."""


class LinearCodes(NamedTuple):
    """The codes of a tensor in a file of another format than NNEF: value = (code - zero point) * scale."""

    scale: float
    zero_point: int
    dtype: type

    def real_values(self, data: Array) -> Array:
        """See Codes."""
        codes = data if is_integer(data.dtype) else self.codes(data)
        return np.asarray((codes.astype(np.float64) - self.zero_point) * self.scale, np.float32)

    def codes(self, values: Array) -> Array:
        """See Codes."""
        with np.errstate(invalid="ignore"):
            found = np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point
        low, high = integer_range(np.dtype(self.dtype))
        return np.asarray(np.clip(np.nan_to_num(found), low, high), np.int64)


def tensor_codes(graph: Graph) -> dict[str, Codes]:
    """Tensor name -> its codes, of the tensors of a graph that are quantized and computed."""
    found: dict[str, Codes] = {}
    for tensor in graph.tensors:
        codes = None if tensor.is_constant or not tensor.quant or not tensor.name else codes_of(tensor)
        if codes is not None:
            found[str(tensor.name)] = codes
    return found


def codes_of(tensor: Tensor) -> Codes | None:
    """The codes of a tensor; None if it is not quantized, or by no rule that is known."""
    quant = tensor.quant or {}
    if "op-name" in quant:
        try:
            return Quantization.of(quant)
        except NnefToolsError:
            return None
    scale, zero_point = (np.asarray(quant.get(key, 0)).reshape(-1) for key in ("scale", "zero_point"))
    if scale.size != 1 or zero_point.size != 1 or not scale[0] > 0 or tensor.dtype is None:
        return None
    if not is_integer(tensor.dtype):
        return None
    return LinearCodes(float(scale[0]), int(zero_point[0]), tensor.dtype)


def range_of(codes: Codes, tensor: Tensor) -> tuple[float, float] | None:
    """The smallest and the largest real value that a quantized tensor can hold; None if it is by channel."""
    if isinstance(codes, LinearCodes):
        ends = np.array(integer_range(np.dtype(codes.dtype)))
    else:
        quant = tensor.quant or {}
        bits, signed = int(quant.get("bits", 8)), bool(quant.get("signed"))
        ends = np.array([-(1 << bits - 1), (1 << bits - 1) - 1] if signed else [0, (1 << bits) - 1])
        if any(np.ndim(quant.get(key, 0)) for key in ("scale", "zero_point", "min", "max")):
            return None
    low, high = (float(end) for end in codes.real_values(ends.astype(np.int64)).reshape(-1))
    return min(low, high), max(low, high)


def step_of(codes: Codes) -> float | None:
    """The distance of two neighboring real values; None if it differs between channels."""
    try:
        values = np.asarray(codes.real_values(np.array([0, 1], np.int64)), np.float64)
    except (NnefToolsError, ValueError):  # parameters by channel do not fit two codes
        return None
    return float(abs(values[1] - values[0])) if values.shape == (2,) else None


def comparable(a: Array, b: Array, codes: tuple[Codes | None, Codes | None]) -> tuple[Array, Array] | None:
    """Two values in the same terms: real ones if one is real or the codes are known; None if they are not.

    codes: of either; those of the other tensor stand in for those that are not known.
    """
    if is_integer(a.dtype) and is_integer(b.dtype) and a.dtype != b.dtype and (codes[0] is None) != (codes[1] is None):
        return None
    return _real(a, codes[0] or codes[1]), _real(b, codes[1] or codes[0])


def _real(value: Array, codes: Codes | None) -> Array:
    return value if codes is None or not is_integer(value.dtype) else codes.real_values(value)
