"""What the classifiers and regressors of ai.onnx.ml share: rows of numbers, scores and their transforms, labels."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ..common import reshape, shape

Array = np.ndarray[Any, Any]

ML = "ai.onnx.ml"

_NEARLY_ZERO = 1e-7
"""Scores up to this are zero for SOFTMAX_ZERO, in onnxruntime."""

_ERFINV = 0.147
"""The constant of Winitzki's approximation of the inverse error function, which onnxruntime computes PROBIT by."""


def rows(b: Builder, x: Tensor, dtype: Any = np.float32) -> Tensor:
    """The input as a matrix of numbers, [samples, features]; a vector is one sample."""
    extents = shape(x)
    if not 1 <= len(extents) <= 2:
        raise Unsupported(f"the input must be a vector or matrix, it has shape {extents}")
    x = x if x.dtype is dtype else b.cast(x, dtype)
    return reshape(b, x, [1, *extents]) if len(extents) == 1 else x


def transformed(b: Builder, scores: Tensor, kind: str) -> Tensor:
    """The scores, [samples, classes], after a `post_transform`. Unsupported for an unknown one."""
    if kind == "NONE":
        return scores
    if kind == "LOGISTIC":
        return b.sigmoid(scores)
    if kind == "SOFTMAX":
        return b.softmax(scores, axes=[1])
    if kind == "SOFTMAX_ZERO":
        return _softmax_zero(b, scores)
    if kind == "PROBIT":
        return _probit(b, scores)
    raise Unsupported(f"post_transform '{kind}' is not known")


def _softmax_zero(b: Builder, scores: Tensor) -> Tensor:
    """A softmax that leaves zeros as they are."""
    top = b.max_reduce(scores, axes=[1])
    powers = b.select(b.gt(b.abs(scores), _NEARLY_ZERO), b.exp(b.sub(scores, top)), b.mul(scores, b.exp(b.neg(top))))
    counted = b.select(b.gt(b.abs(scores), _NEARLY_ZERO), powers, 0.0)
    return b.div(powers, b.sum_reduce(counted, axes=[1]))


def _probit(b: Builder, scores: Tensor) -> Tensor:
    """sqrt(2) * erfinv(2 * score - 1), by Winitzki's formula, as onnxruntime has it."""
    x = b.sub(b.mul(scores, 2.0), 1.0)
    log = b.log(b.mul(b.sub(1.0, x), b.add(1.0, x)))
    half = b.add(b.mul(log, 0.5), 2.0 / (pi * _ERFINV))
    root = b.sqrt(b.sub(b.sqrt(b.sub(b.sqr(half), b.mul(log, 1.0 / _ERFINV))), half))
    return b.mul(b.mul(b.sign(x), root), float(np.sqrt(2.0)))


def labels(b: Builder, index: Tensor, numbers: Sequence[int], texts: Sequence[Any] | None) -> Tensor | None:
    """The label of each sample by the position of its class; None if nothing uses it. Unsupported for strings."""
    if not b.wanted[0]:
        return None
    refuse_texts(texts)
    return b.gather(b.constant(np.array(numbers, np.int64)), index, axis=0)


def refuse_texts(texts: Sequence[Any] | None) -> None:
    """Raises Unsupported for labels that are strings."""
    if texts:
        raise Unsupported(
            "its labels are strings, and NNEF has no tensors of strings",
            hint="--output-names with the scores converts these",
        )
