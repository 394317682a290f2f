"""Quantization operations (section 4.3): codes, their real values, and the pseudo-quantization that composes both.

Parameters that are tensors are broadcast from the left, so `[1, C]` (or `[C]` for a filter's first dimension) is
per channel. Codes are computed in float64, which is exact for all bits that float32 values can distinguish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..language.attributes import MAX_BITS
from ..model.facts import Ties
from .broadcast import Array, align, broadcast_shape
from .checks import check
from .definition import op
from .elementwise import round_half_away, round_half_up


def check_bits(bits: int) -> None:
    """Raises ShapeError for a number of bits that codes cannot have."""
    check(1 <= bits <= MAX_BITS, f"'bits' must lie in [1, {MAX_BITS}], got {bits}")


def quantize_shape(x: Sequence[int], *parameters: Sequence[int], bits: int, **_attribs: Any) -> list[int]:
    """Shape rule: that of x; the parameters must broadcast to it."""
    check_bits(bits)
    for shape in parameters:
        check(
            broadcast_shape(x, shape) == list(x),
            f"quantization parameters of shape {list(shape)} do not broadcast to the shape {list(x)} of 'x'",
        )
    return list(x)


def _align_real(*arrays: Any) -> tuple[Array, ...]:
    return align(*(np.asarray(array, np.float64) for array in arrays))


def _min_max_codes(x: Any, min: Any, max: Any, bits: int, signed: bool, symmetric: bool) -> Array:
    x, min, max = _align_real(x, min, max)
    steps, offset = _min_max_range(bits, signed, symmetric)
    inside = np.maximum(np.minimum(x, max), min)
    return round_half_up((inside - min) / (max - min) * steps) - offset


def _min_max_values(codes: Any, min: Any, max: Any, bits: int, signed: bool, symmetric: bool) -> Array:
    codes, min, max = _align_real(codes, min, max)
    steps, offset = _min_max_range(bits, signed, symmetric)
    return np.asarray((codes + offset) / steps * (max - min) + min)


def _min_max_range(bits: int, signed: bool, symmetric: bool) -> tuple[int, int]:
    """The number of steps between the extreme codes, and minus the lowest code."""
    return 2**bits - 1 - (signed and symmetric), (2 ** (bits - 1) - symmetric if signed else 0)


_ROUNDING: Mapping[Ties, Callable[[Any], Any]] = {
    Ties.UP: round_half_up,
    Ties.EVEN: np.rint,
    Ties.AWAY: round_half_away,
}


def _zero_point_codes(
    x: Any, zero_point: Any, scale: Any, bits: int, signed: bool, symmetric: bool, ties: Ties = Ties.UP
) -> Array:
    x, zero_point, scale = _align_real(x, zero_point, scale)
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    low = 0 if not signed else -high if symmetric else -high - 1
    # fmax: NaN has no code, and gets the lowest one, as in onnxruntime
    return np.asarray(np.fmin(np.fmax(_ROUNDING[ties](x / scale) + zero_point, low), high))


def _zero_point_values(codes: Any, zero_point: Any, scale: Any) -> Array:
    codes, zero_point, scale = _align_real(codes, zero_point, scale)
    return np.asarray((codes - zero_point) * scale)


def _exponents(x: Any, max: Any, bits: int) -> tuple[Array, Array]:
    """The rounded exponents of logarithmic quantization, and the exponent of code 0."""
    x, max = _align_real(x, max)
    highest = np.ceil(np.log2(max))
    lowest = highest - (2**bits - 1)
    return round_half_up(np.maximum(np.minimum(np.log2(np.abs(x)), highest), lowest)), lowest


def quantize(name: str, x: Any, *, bits: int, **parameters: Any) -> Array:
    """The integer codes, as int64, of real values by the operation `name`.

    parameters: those of the operation. Codes of `logarithmic_quantize` do not carry the sign.
    """
    with np.errstate(all="ignore"):
        if name == "logarithmic_quantize":
            exponents, lowest = _exponents(x, parameters["max"], bits)
            codes = exponents - lowest
        elif name == "zero_point_linear_quantize":
            codes = _zero_point_codes(x, bits=bits, **parameters)
        else:
            codes = _min_max_codes(x, bits=bits, **_min_max_parameters(name, parameters))
        return codes.astype(np.int64)


def dequantize(name: str, codes: Any, *, bits: int, **parameters: Any) -> Array:
    """The real values, as float32, of codes of the operation `name`. parameters: as for quantize."""
    with np.errstate(all="ignore"):
        if name == "logarithmic_quantize":
            _, lowest = _exponents(1.0, parameters["max"], bits)
            codes, lowest = _align_real(codes, lowest)
            values = np.exp2(codes + lowest)
        elif name == "zero_point_linear_quantize":
            values = _zero_point_values(codes, parameters["zero_point"], parameters["scale"])
        else:
            values = _min_max_values(codes, bits=bits, **_min_max_parameters(name, parameters))
        return np.asarray(values.astype(np.float32))


def _min_max_parameters(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    if name == "linear_quantize":
        return {**parameters, "signed": False, "symmetric": False}
    if name == "min_max_linear_quantize":
        return parameters
    raise ValueError(f"'{name}' is not a quantization operation")


@op("min_max_linear_quantize", shape=quantize_shape)
def min_max_linear_quantize(x: Array, min: Any, max: Any, *, bits: int, signed: bool, symmetric: bool) -> Array:
    """Rounds to evenly spaced values from min to max."""
    codes = _min_max_codes(x, min, max, bits, signed, symmetric)
    return _min_max_values(codes, min, max, bits, signed, symmetric).astype(x.dtype)


@op("linear_quantize", shape=quantize_shape)
def linear_quantize(x: Array, min: Any, max: Any, *, bits: int) -> Array:
    """The deprecated form of min_max_linear_quantize: unsigned."""
    return min_max_linear_quantize(x, min, max, bits=bits, signed=False, symmetric=False)


@op("zero_point_linear_quantize", shape=quantize_shape)
def zero_point_linear_quantize(
    x: Array, zero_point: Any, scale: Any, *, bits: int, signed: bool, symmetric: bool, ties: Ties = Ties.UP
) -> Array:
    """Rounds to multiples of scale, limited to the range of codes around zero_point.

    ties: the rule for the middle of two codes, NNEF's by default.
    """
    codes = _zero_point_codes(x, zero_point, scale, bits, signed, symmetric, ties)
    return _zero_point_values(codes, zero_point, scale).astype(x.dtype)


@op("logarithmic_quantize", shape=quantize_shape)
def logarithmic_quantize(x: Array, max: Any, *, bits: int) -> Array:
    """Rounds magnitudes to powers of two; 0 stays 0."""
    exponents, _ = _exponents(x, max, bits)
    return (np.sign(np.asarray(x, np.float64)) * np.exp2(exponents)).astype(x.dtype)


def _dynamic_quantize_shape(x: Sequence[int]) -> list[int]:
    """Shape rule: that of x."""
    check(len(x) > 0, "'x' must have at least one dimension")
    return list(x)


@op("dynamic_quantize", shape=_dynamic_quantize_shape)
def dynamic_quantize(x: Array) -> Array:
    """Rounds to 256 evenly spaced values that span the range of x and 0; as ONNX DynamicQuantizeLinear."""
    zero = x.dtype.type(0)
    with np.errstate(all="ignore"):
        low = np.minimum(np.min(x), zero)
        span = np.maximum(np.max(x), zero) - low
        scale = span / x.dtype.type(255) if span else x.dtype.type(1)
        middle = np.rint(-low / scale)
        return np.asarray((np.clip(np.rint(x / scale) + middle, 0, 255) - middle) * scale)
