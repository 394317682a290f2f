"""NNEF to ONNX: reductions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ....model import Tensor
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import OnnxBuilder
from ..common import shape


@from_nnef("onnx", "mean_reduce")
def mean_reduce(b: OnnxBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
    """mean_reduce -> GlobalAveragePool over all of two or three spatial axes, else ReduceMean.

    The pooling has kernels for the layouts that runtimes choose, but for float32 alone. Over a single last axis
    ReduceMean is what they look for when they fuse layer normalization.
    """
    own = shape(input)
    if b.real is np.float32 and len(own) in (4, 5) and sorted(axes) == list(range(2, len(own))):
        return known(b.GlobalAveragePool(input), [*own[:2], *[1] * (len(own) - 2)])
    return b.reduce("mean", input, axes)


def _arg(onnx: str) -> Callable[..., Tensor]:
    def convert(b: OnnxBuilder, input: Tensor, *, axes: list[int]) -> Tensor:
        """Several axes are made one; positions then are row-major in ascending order of the axes."""
        own, chosen = shape(input), sorted(axes)
        result = [1 if k in chosen else n for k, n in enumerate(own)]
        if not chosen:
            return b.constant(np.zeros(own, np.int64))
        if len(chosen) == 1:
            return known(b.op(onnx, input, axis=chosen[0], keepdims=1), result, np.int64)
        rest = [k for k in range(len(own)) if k not in chosen]
        flat = b.reshape(
            b.transpose(input, [*rest, *chosen]), [*(own[k] for k in rest), math.prod(own[k] for k in chosen)]
        )
        index = known(b.op(onnx, flat, axis=len(rest), keepdims=0), [own[k] for k in rest], np.int64)
        return b.reshape(index, result)

    return convert


from_nnef("onnx", "argmax_reduce")(_arg("ArgMax"))
from_nnef("onnx", "argmin_reduce")(_arg("ArgMin"))


@from_nnef("onnx", "moments")
def moments(b: OnnxBuilder, input: Tensor, *, axes: list[int]) -> tuple[Tensor, Tensor]:
    """moments -> ReduceMean of the input and of the squared difference from that."""
    mean = b.reduce("mean", input, axes)
    difference = b.elementwise(b.Sub, input, mean)
    return mean, b.reduce("mean", b.elementwise(b.Pow, difference, b.scalar(2.0)), axes)
