"""Cross entropies against TensorFlow."""

from __future__ import annotations

import numpy as np

from ...support.arrays import integers, random
from ...support.tf_programs import raw
from .checks import check


def test_cross_entropy() -> None:
    logits = random(4, 7) * 30
    labels = np.random.default_rng(0).dirichlet(np.ones(7), 4).astype(np.float32)
    check(lambda x, y: raw.SoftmaxCrossEntropyWithLogits(features=x, labels=y), logits, labels)
    check(lambda x, y: raw.SoftmaxCrossEntropyWithLogits(features=x, labels=y), logits, labels[:1])


def test_cross_entropy_of_classes() -> None:
    labels = integers(4, low=0, high=7)
    check(lambda x, y: raw.SparseSoftmaxCrossEntropyWithLogits(features=x, labels=y), random(4, 7) * 30, labels)
