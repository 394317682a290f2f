"""Cross entropy of a softmax, with its gradient beside it."""

from __future__ import annotations

import numpy as np

from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import aligned, shape, squeeze, unsqueeze
from ...engine.rules import to_nnef
from ...maths import generated


def _log_sum_and_softmax(b: Builder, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The features less the maximum of their row, the logarithm of the sum of exponentials, and the softmax."""
    shifted = b.sub(features, b.max_reduce(features, axes=[1]))
    exponentials = b.exp(shifted)
    total = b.sum_reduce(exponentials, axes=[1])
    return shifted, b.log(total), b.div(exponentials, total)


@to_nnef("tf", "SoftmaxCrossEntropyWithLogits")
def softmax_cross_entropy(b: Builder, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """SoftmaxCrossEntropyWithLogits: sum of labels * (log(sum(exp(x))) - x) for each row."""
    features, labels = aligned(b, features, labels)
    shifted, log_sum, softmax = _log_sum_and_softmax(b, features)
    loss = squeeze(b, b.sum_reduce(b.mul(labels, b.sub(log_sum, shifted)), axes=[1]), [1])
    return loss, b.sub(softmax, labels)


@to_nnef("tf", "SparseSoftmaxCrossEntropyWithLogits")
def sparse_softmax_cross_entropy(b: Builder, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """SparseSoftmaxCrossEntropyWithLogits: log(sum(exp(x))) - x[label] for each row."""
    classes = b.constant(generated.positions(shape(features)[1], np.float32)[None])
    chosen = b.eq(unsqueeze(b, b.cast(labels, np.float32), [1]), classes)
    shifted, log_sum, softmax = _log_sum_and_softmax(b, features)
    loss = b.sub(log_sum, b.sum_reduce(b.select(chosen, shifted, 0.0), axes=[1]))
    return squeeze(b, loss, [1]), b.sub(softmax, b.select(chosen, 1.0, 0.0))
