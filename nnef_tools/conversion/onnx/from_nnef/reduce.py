"""NNEF to ONNX: reductions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ....model import Tensor
from ...building.target import PlainBuilder
from ...engine.rules import from_nnef
from ...maths import names
from ..building import cast, elementwise, known, reduce, reshape, scalar, transpose
from ..common import shape


def _plain(onnx: str) -> Callable[..., Tensor]:
    def convert(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
        return reduce(b, onnx, input, axes)

    return convert


for _row in names.REDUCE:
    if _row.nnef not in ("sum_reduce", "mean_reduce"):
        from_nnef("onnx", _row.nnef)(_plain(_row.onnx))


@from_nnef("onnx", "mean_reduce")
def mean_reduce(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """mean_reduce -> GlobalAveragePool over all of two or three spatial axes, else ReduceMean.

    The pooling has kernels for the layouts that runtimes choose, but for float32 alone. Over a single last axis
    ReduceMean is what they look for when they fuse layer normalization.
    """
    own = shape(input)
    if b.real is np.float32 and len(own) in (4, 5) and sorted(axes) == list(range(2, len(own))):
        return known(b.GlobalAveragePool(input), [*own[:2], *[1] * (len(own) - 2)])
    return reduce(b, "ReduceMean", input, axes)


@from_nnef("onnx", "sum_reduce")
def sum_reduce(b: PlainBuilder, input: Tensor, *, axes: list[int], normalize: bool) -> Tensor:
    """sum_reduce -> ReduceSum, or ReduceMean if it is to be normalised."""
    return reduce(b, "ReduceMean" if normalize else "ReduceSum", input, axes)


def _logical(onnx: str) -> Callable[..., Tensor]:
    """Maximum or minimum of truth values; as integers, since runtimes lack it for logical values."""

    def convert(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
        return cast(b, reduce(b, onnx, cast(b, input, np.int32), axes), np.bool_) if axes else input

    return convert


from_nnef("onnx", "any_reduce")(_logical("ReduceMax"))
from_nnef("onnx", "all_reduce")(_logical("ReduceMin"))


def _arg(onnx: str) -> Callable[..., Tensor]:
    def convert(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
        """Several axes are made one; positions then are row-major in ascending order of the axes."""
        own, chosen = shape(input), sorted(axes)
        result = [1 if k in chosen else n for k, n in enumerate(own)]
        if not chosen:
            return b.constant(np.zeros(own, np.int64))
        if len(chosen) == 1:
            return known(b.op(onnx, input, axis=chosen[0], keepdims=1), result, np.int64)
        rest = [k for k in range(len(own)) if k not in chosen]
        flat = reshape(
            b, transpose(b, input, [*rest, *chosen]), [*(own[k] for k in rest), math.prod(own[k] for k in chosen)]
        )
        index = known(b.op(onnx, flat, axis=len(rest), keepdims=0), [own[k] for k in rest], np.int64)
        return reshape(b, index, result)

    return convert


from_nnef("onnx", "argmax_reduce")(_arg("ArgMax"))
from_nnef("onnx", "argmin_reduce")(_arg("ArgMin"))


@from_nnef("onnx", "moments")
def moments(b: PlainBuilder, input: Tensor, *, axes: list[int]) -> tuple[Tensor, Tensor]:
    """moments -> ReduceMean of the input and of the squared difference from that."""
    mean = reduce(b, "ReduceMean", input, axes)
    difference = elementwise(b, "Sub", input, mean)
    return mean, reduce(b, "ReduceMean", elementwise(b, "Pow", difference, scalar(b, 2.0)), axes)
