"""Operators on complex numbers, which are pairs of tensors while converting (building/complex_pairs.py).

An operator that exists for real numbers, too, has a second rule here, or is in `PARTWISE`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.complex_pairs import (
    ComplexPair,
    conjugate,
    divided,
    exponential,
    is_complex,
    magnitude,
    minus,
    multiplied,
    pair_of,
    part_type,
    parts,
    plus,
    real_pair,
    reciprocal,
    zeros_like,
)
from ...building.nnef import Builder
from ...building.shapes import aligned, shape
from ...compose.number_types import convert_dtype
from ...compose.slicing import expand_to
from ...engine.rules import Ints, to_nnef
from .elementwise import atan2
from .linear import batch_matmul, einsum_of, matmul
from .move import transpose_axes

F = TypeVar("F", bound=Callable[..., Any])

COMPLEX = "complex"
"""In place of a dialect: rules for operators of TensorFlow on complex numbers."""

MAX_POWER = 8
"""The largest exponent that powers of complex numbers may have."""

PARTWISE = frozenset((
    "AccumulateNV2", "AddN", "BatchToSpaceND", "BroadcastTo", "Concat", "ConcatV2", "Cumsum", "DepthToSpace",
    "DynamicStitch", "EnsureShape", "ExpandDims", "Fill", "Gather", "GatherNd", "GatherV2", "MatrixBandPart",
    "MatrixDiag", "MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3", "MatrixDiagV2", "MatrixDiagV3",
    "MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3", "Mean", "MirrorPad", "Neg", "Pack", "Pad", "PadV2",
    "ParallelDynamicStitch", "PlaceholderWithDefault", "PreventGradient", "Rank", "Reshape", "ReverseSequence",
    "ReverseV2", "Roll", "ScatterNd", "SegmentSum", "Select", "SelectV2", "Shape", "ShapeN", "Size", "Slice",
    "Snapshot", "SpaceToBatchND", "SpaceToDepth", "Split", "SplitV", "Squeeze", "StopGradient", "StridedSlice", "Sum",
    "TensorScatterAdd", "TensorScatterUpdate", "Tile", "Transpose", "Unpack", "UnsortedSegmentSum", "ZerosLike",
    "CONCATENATION", "PACK", "RESHAPE", "STRIDED_SLICE",
))  # fmt: skip
"""Operators that do to real and imaginary parts what they do to real numbers, also TensorFlow Lite's with own rules."""


def complex_only(*types: str) -> Callable[[F], F]:
    """Registers a rule for operators that exist for complex numbers only."""

    def register(function: F) -> F:
        return to_nnef("tf", *types)(to_nnef(COMPLEX, *types)(function))

    return register


# parts


@complex_only("Complex")
def complex_of(b: Builder, re: Tensor, im: Tensor, *, Tout: Any = np.complex64) -> ComplexPair:
    """Complex: the pair of two tensors, which broadcast."""
    target = list(np.broadcast_shapes(tuple(shape(re)), tuple(shape(im))))
    return ComplexPair(expand_to(b, re, target), expand_to(b, im, target))


@complex_only("Real")
def real(b: Builder, z: ComplexPair, *, Tout: Any = np.float32) -> Tensor:
    """Real: the real part."""
    return z.re


@complex_only("Imag")
def imag(b: Builder, z: ComplexPair, *, Tout: Any = np.float32) -> Tensor:
    """Imag: the imaginary part."""
    return z.im


@complex_only("ComplexAbs")
def complex_abs(b: Builder, z: ComplexPair, *, Tout: Any = np.float32) -> Tensor:
    """ComplexAbs: the square root of re^2 + im^2."""
    return magnitude(b, z)


@complex_only("Angle")
def angle(b: Builder, z: ComplexPair, *, Tout: Any = np.float32) -> Tensor:
    """Angle: atan2(im, re)."""
    return atan2(b, z.im, z.re)


@complex_only("Conj")
def conj(b: Builder, z: ComplexPair) -> ComplexPair:
    """Conj: re - i im."""
    return conjugate(b, z)


@to_nnef(COMPLEX, "CAST")
def cast_lite(
    b: Builder, x: Tensor | ComplexPair, *, result_type: Any, in_data_type: Any = None, out_data_type: Any = None
) -> Tensor | ComplexPair:
    """CAST of TensorFlow Lite, see `cast`."""
    return cast(b, x, DstT=result_type)


@to_nnef(COMPLEX, "Cast")
def cast(b: Builder, x: Tensor | ComplexPair, *, DstT: Any, Truncate: bool = False) -> Tensor | ComplexPair:
    """Cast: the imaginary part is zero, or dropped."""
    if not is_complex(DstT):
        return convert_dtype(b, x.re, DstT, saturate=False) if isinstance(x, ComplexPair) else x
    dtype = part_type(DstT)
    if isinstance(x, ComplexPair):
        return ComplexPair(b.cast(x.re, dtype), b.cast(x.im, dtype))
    return real_pair(b, convert_dtype(b, x, dtype, saturate=False))


# arithmetic


def _sum(combine: Callable[..., Tensor | None]) -> Callable[..., ComplexPair]:
    def convert(b: Builder, x: ComplexPair, y: ComplexPair) -> ComplexPair:
        target = list(np.broadcast_shapes(tuple(shape(x.re)), tuple(shape(y.re))))
        pairs = zip(parts(b, x), parts(b, y), strict=True)
        re, im = (_combined(b, combine, one, other, target) for one, other in pairs)
        return pair_of(b, re, im, expand_to(b, zeros_like(b, x.re), target))

    return convert


def _combined(
    b: Builder, combine: Callable[..., Tensor | None], x: Tensor | None, y: Tensor | None, target: list[int]
) -> Tensor | None:
    """The sum or difference of parts that broadcast, either of which may be zero."""
    if x is not None and y is not None:
        return combine(b, *aligned(b, x, y))
    result = combine(b, x, y)
    return None if result is None else expand_to(b, result, target)


to_nnef(COMPLEX, "Add", "AddV2")(_sum(plus))
to_nnef(COMPLEX, "Sub")(_sum(minus))
to_nnef(COMPLEX, "Mul")(multiplied)
to_nnef(COMPLEX, "Div", "RealDiv")(divided)
to_nnef(COMPLEX, "Inv", "Reciprocal")(reciprocal)
to_nnef(COMPLEX, "Exp")(exponential)


@to_nnef(COMPLEX, "Square")
def square(b: Builder, z: ComplexPair) -> ComplexPair:
    """Square: z * z."""
    return multiplied(b, z, z)


@to_nnef(COMPLEX, "Pow")
def power(b: Builder, z: ComplexPair, exponent: ComplexPair) -> ComplexPair:
    """Pow with a small whole number as exponent: products."""
    re, im = b.value(exponent.re), b.value(exponent.im)
    if re is None or im is None or re.size != 1 or im.any() or re.reshape(-1)[0] not in range(1, MAX_POWER + 1):
        raise Unsupported(f"a power of complex numbers whose exponent is not one of 1 to {MAX_POWER}")
    result = z
    for _ in range(int(re.reshape(-1)[0]) - 1):
        result = multiplied(b, result, z)
    return result


@to_nnef(COMPLEX, "SquaredDifference")
def squared_difference(b: Builder, x: ComplexPair, y: ComplexPair) -> ComplexPair:
    """SquaredDifference: the difference times its conjugate."""
    difference = _sum(minus)(b, x, y)
    return multiplied(b, difference, conjugate(b, difference))


@to_nnef(COMPLEX, "Log")
def logarithm(b: Builder, z: ComplexPair) -> ComplexPair:
    """Log: log(abs(z)) + i angle(z)."""
    return ComplexPair(b.log(magnitude(b, z)), atan2(b, z.im, z.re))


@to_nnef(COMPLEX, "DivNoNan")
def divide_no_nan(b: Builder, x: ComplexPair, y: ComplexPair) -> ComplexPair:
    """DivNoNan: x / y, but zero where y is."""
    is_zero = b.and_(b.eq(y.re, 0.0), b.eq(y.im, 0.0))
    quotient = divided(b, x, ComplexPair(b.select(is_zero, 1.0, y.re), y.im))
    zero = b.constant(0, y.re.dtype)
    re, im = (b.select(*aligned(b, is_zero, zero, part)) for part in (quotient.re, quotient.im))
    return ComplexPair(re, im)


@to_nnef(COMPLEX, "OnesLike")
def ones_like(b: Builder, z: ComplexPair) -> ComplexPair:
    """OnesLike: 1 + 0i."""
    return real_pair(b, b.constant(np.broadcast_to(np.ones((), z.re.dtype), shape(z.re))))


@to_nnef(COMPLEX, "Equal")
def equal(b: Builder, x: ComplexPair, y: ComplexPair, *, incompatible_shape_error: bool = True) -> Tensor:
    """Equal: both parts are."""
    return b.and_(b.eq(*aligned(b, x.re, y.re)), b.eq(*aligned(b, x.im, y.im)))


@to_nnef(COMPLEX, "NotEqual")
def not_equal(b: Builder, x: ComplexPair, y: ComplexPair, *, incompatible_shape_error: bool = True) -> Tensor:
    """NotEqual: one of the parts is."""
    return b.or_(b.ne(*aligned(b, x.re, y.re)), b.ne(*aligned(b, x.im, y.im)))


# products


def _bilinear(b: Builder, x: ComplexPair, y: ComplexPair, product: Callable[[Tensor, Tensor], Tensor]) -> ComplexPair:
    (a, c), (d, e) = parts(b, x), parts(b, y)

    def of(one: Tensor | None, other: Tensor | None) -> Tensor | None:
        return None if one is None or other is None else product(one, other)

    re, im = minus(b, of(a, d), of(c, e)), plus(b, of(a, e), of(c, d))
    return pair_of(b, re, im, x.re if re is not None or im is not None else product(x.re, y.re))


@to_nnef(COMPLEX, "MatMul")
def complex_matmul(
    b: Builder,
    x: ComplexPair,
    y: ComplexPair,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    grad_a: bool = False,
    grad_b: bool = False,
) -> ComplexPair:
    """MatMul: products of the parts."""
    return _bilinear(b, x, y, lambda p, q: matmul(b, p, q, transpose_a=transpose_a, transpose_b=transpose_b))


@to_nnef(COMPLEX, "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
def complex_batch_matmul(
    b: Builder,
    x: ComplexPair,
    y: ComplexPair,
    *,
    adj_x: bool = False,
    adj_y: bool = False,
    grad_x: bool = False,
    grad_y: bool = False,
    Tout: Any = None,
) -> ComplexPair:
    """BatchMatMul: products of the parts; the adjoint is conjugate, too."""
    x, y = conjugate(b, x) if adj_x else x, conjugate(b, y) if adj_y else y
    return _bilinear(b, x, y, lambda p, q: batch_matmul(b, p, q, adj_x=adj_x, adj_y=adj_y))


@to_nnef(COMPLEX, "Einsum")
def complex_einsum(b: Builder, *zs: ComplexPair, equation: str) -> ComplexPair:
    """Einsum of one or two operands."""
    if len(zs) == 1:
        return ComplexPair(einsum_of(b, zs[0].re, equation=equation), einsum_of(b, zs[0].im, equation=equation))
    if len(zs) != 2:
        raise Unsupported(f"an Einsum of {len(zs)} complex operands")
    return _bilinear(b, zs[0], zs[1], lambda p, q: einsum_of(b, p, q, equation=equation))


@to_nnef(COMPLEX, "ConjugateTranspose")
def conjugate_transpose(b: Builder, z: ComplexPair, perm: Ints) -> ComplexPair:
    """ConjugateTranspose: the transpose of re - i im."""
    turned = conjugate(b, z)
    return ComplexPair(transpose_axes(b, turned.re, perm), transpose_axes(b, turned.im, perm))
