"""Partitions and ragged tensors with constant lengths, against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import random
from ...support.tf_programs import raw, tf
from .checks import check, refusal


@pytest.mark.parametrize("labels", [[1, 0, 1, 2, 0], [[0, 2], [1, 1], [2, 0]]])
def test_partitions(labels: Any) -> None:
    labels = np.int32(labels)
    x = random(*labels.shape, 3)
    check(lambda x: raw.DynamicPartition(data=x, partitions=labels, num_partitions=3), x)

    def stitched(x: Any) -> Any:
        places = tf.dynamic_partition(tf.reshape(tf.range(labels.size), labels.shape), labels, 3)
        return tf.dynamic_stitch(places, [k * part for k, part in enumerate(tf.dynamic_partition(x, labels, 3), 1)])

    check(stitched, x)


def test_computed_partitions_are_refused() -> None:
    def program(x: Any, labels: Any) -> Any:
        return raw.DynamicPartition(data=x, partitions=labels, num_partitions=2)

    assert "must be a constant" in refusal(program, random(3, 2), np.int32([0, 1, 0]))


@pytest.mark.parametrize("shape", [None, [None, 2], [5, 6], [2, 3]])
@pytest.mark.parametrize("inner", [(), (3,)])
@pytest.mark.parametrize("kind", ["from_row_splits", "from_row_lengths", "from_value_rowids"])
def test_ragged_to_full(shape: Any, inner: tuple[int, ...], kind: str) -> None:
    rows = {"from_row_splits": [0, 2, 2, 6, 7], "from_row_lengths": [2, 0, 4, 1]}.get(kind, [0, 0, 2, 2, 2, 2, 3])

    def program(x: Any) -> Any:
        ragged = getattr(tf.RaggedTensor, kind)(x, rows)
        return ragged.to_tensor(default_value=-1.5, shape=None if shape is None else [*shape, *inner])

    check(program, random(7, *inner), rtol=0, atol=0)


def test_ragged_in_two_dimensions() -> None:
    def program(x: Any) -> Any:
        return tf.RaggedTensor.from_nested_row_splits(x, [[0, 2, 2, 3], [0, 1, 4, 6]]).to_tensor()

    check(program, random(6), rtol=0, atol=0)
