"""Loops and conditionals that inputs decide, within a bound that follows from constants, against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion.tf_to_nnef import Converter
from nnef_tools.errors import ConversionError

from ...support.arrays import random
from ...support.tf_programs import Traced, freeze, tf
from .checks import check

X = np.float32([0.3, -0.2, 0.7, 1.5, 0.1])


def breaking(x: Any) -> Any:
    total = tf.zeros([])
    for i in tf.range(5):
        total = total + x[i]
        if total > 0.5:
            break
    return total


def stepping(x: Any) -> Any:
    i = tf.constant(0)
    while i < 6 and tf.reduce_sum(x) < 20.0:
        x = x * 1.5 + 0.1
        i += 1
    return x, i


def limited(x: Any) -> Any:
    return tf.while_loop(
        lambda x: tf.reduce_sum(x) < 20.0, lambda x: (tf.exp(x * x) * x,), [x], maximum_iterations=4
    )  # what is computed after the end would overflow


def counting(x: Any) -> Any:
    count = tf.cast(tf.reduce_max(x) * 2.0, tf.int32)
    return tf.while_loop(lambda i, x: i < tf.minimum(4, count), lambda i, x: (i + 1, x * 2.0), [0, x])


def counting_down(x: Any) -> Any:
    low = tf.maximum(tf.cast(tf.reduce_max(x), tf.int32), -1)
    return tf.while_loop(lambda i, x: i > low, lambda i, x: (i - 2, x + 1.0), [5, x])


def decoding(x: Any) -> Any:
    tokens = tf.TensorArray(tf.int32, 4, element_shape=[])
    token, done, i = tf.constant(1), tf.constant(False), 0
    while i < 4 and not done:
        x = tf.tanh(tf.roll(x, 1, 0) * 1.3 + tf.cast(token, tf.float32) * 0.1)
        token = tf.argmax(x, output_type=tf.int32)
        tokens = tokens.write(i, token)
        done = tf.equal(token, 2)
        i += 1
    return tokens.stack(), i


def alternating(x: Any) -> Any:
    for i in tf.range(4):
        if i % 2 == 0:
            x = x + 1.0
        else:
            x = x * 2.0
    return x


def branching(x: Any) -> Any:
    """A branch gives a constant, another list is written in each branch."""
    which, seen = tf.constant(0), tf.TensorArray(tf.float32, 3, element_shape=[5])
    for i in tf.range(3):
        if tf.reduce_sum(x) > 1.0:
            x, which = x - 1.0, 1
            seen = seen.write(i, x)
        else:
            x, which = x * 2.0, 2
    return x, which, seen.stack()


def returning(x: Any) -> Any:
    if tf.reduce_sum(x) > 1.0:
        return x * 2.0
    if x[0] > 0.0:
        return x - 1.0
    return tf.zeros([5])


def nested(x: Any) -> Any:
    for i in tf.range(3):
        j = 0
        while j < 3 and x[i] < 1.0:
            x = x + 0.25
            j += 1
        if x[4] > 0.9:
            break
    return x


def reading(x: Any) -> Any:
    """The list that is read gives the bound, since nothing can be read behind it."""
    values = tf.TensorArray(tf.float32, 5).unstack(x)
    total, i = tf.zeros([]), tf.constant(0)
    while total * total < 1.0 and i < tf.cast(tf.reduce_sum(x * x) * 2.0, tf.int32):
        total += values.read(i)
        i += 1
    return total, i


def reading_on_condition(x: Any) -> Any:
    """As `raw_rnn` reads: the next item, unless that was the last one."""
    values = tf.TensorArray(tf.float32, 5).unstack(x)
    last = tf.minimum(tf.cast(tf.reduce_max(tf.abs(x)) * 4.0, tf.int32), 5)
    seen = tf.TensorArray(tf.float32, 0, dynamic_size=True)  # not used: its length depends on the data
    i, item, total = tf.constant(0), values.read(0), tf.zeros([])
    done = last <= 0
    while not done:
        total, i = total * 2.0 + item, i + 1
        seen = seen.write(i, total)
        done = i >= last
        item = tf.cond(done, lambda: 0.0, lambda i=i: values.read(i))
    return total, i


PROGRAMS = (
    reading,
    reading_on_condition,
    breaking,
    stepping,
    limited,
    counting,
    counting_down,
    decoding,
    alternating,
    branching,
    returning,
    nested,
)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("program", PROGRAMS)
def test_computed_ends(program: Callable[[Any], Any], lower: bool) -> None:
    traced = freeze(program, (5,), lower=lower)
    for x in (X, -X, X * 3, X - 0.5, X * 0):
        check(traced, x)


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_only_the_branch_that_runs_is_converted(lower: bool, turns: int) -> None:
    """The others have results of other shapes."""
    traced = freeze(lambda x: tf.image.rot90(x, turns), (2, 3, 4, 1), lower=lower)
    assert "select" not in check(traced, random(2, 3, 4, 1)).ops


@pytest.mark.parametrize("lower", [False, True])
def test_several_results_of_a_conditional(lower: bool) -> None:
    def program(x: Any) -> Any:
        def grown() -> Any:
            y = tf.exp(x)
            return y, y + 1.0

        first, second = tf.cond(x[0] > 0.0, grown, lambda: (x, x * 2.0))
        return first * second

    result = check(freeze(program, (5,), lower=lower), X)
    assert result.ops.count("exp") == 1


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize(
    "condition", [lambda i, x: tf.reduce_sum(x) < 9.0, lambda i, x: tf.cast(i, tf.float32) < tf.reduce_sum(x)]
)
def test_without_a_bound(condition: Any, lower: bool) -> None:
    traced = freeze(lambda x: tf.while_loop(condition, lambda i, x: (i + 1, x * 1.5), [0, x])[1], (5,), lower=lower)
    with pytest.raises(ConversionError) as caught:
        Converter()(traced.read())
    assert "the number of iterations depends on the data" in str(caught.value)


def test_lists_of_computed_length() -> None:
    def program(x: Any) -> Any:
        values = tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[])
        for i in tf.range(3):
            values = values.write(i, x[i])
            if x[i] > 0.5:
                break
        return values.stack()

    with pytest.raises(ConversionError) as caught:
        Converter()(freeze(program, (5,)).read())
    assert "the length of a list depends on the data" in str(caught.value)


class Cell:
    """A cell for TensorFlow 1: an LSTM, whose state is a pair, or a simple one."""

    def __init__(self, gates: int) -> None:
        self.output_size = 3
        self.state_size = (3, 3) if gates == 4 else 3
        self._weights = random(7, 3 * gates, seed=gates)

    def zero_state(self, batch: int, dtype: Any) -> Any:
        return tf.nest.map_structure(lambda n: tf.zeros([batch, n], dtype), self.state_size)

    def __call__(self, item: Any, state: Any, scope: Any = None) -> Any:
        hidden = state[1] if isinstance(state, tuple) else state
        total = tf.matmul(tf.concat([item, hidden], 1), tf.constant(self._weights))
        if not isinstance(state, tuple):
            return tf.tanh(total), tf.tanh(total)
        enter, candidate, forget, leave = tf.split(total, 4, 1)
        memory = tf.sigmoid(forget) * state[0] + tf.sigmoid(enter) * tf.tanh(candidate)
        hidden = tf.sigmoid(leave) * tf.tanh(memory)
        return hidden, (memory, hidden)


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("gates", [1, 4])
@pytest.mark.parametrize("both_ways", [False, True])
def test_sequences_that_end_early(gates: int, both_ways: bool, functional: bool) -> None:
    """`dynamic_rnn` of TensorFlow 1: zeros after the end of a sequence, and the state at its end."""
    tf1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        (tf1.enable_control_flow_v2 if functional else tf1.disable_control_flow_v2)()
        try:
            x, lengths = tf1.placeholder(tf.float32, [2, 4, 4], "x0"), tf1.placeholder(tf.int32, [2], "x1")
            cells = (Cell(gates), Cell(gates))
            if both_ways:
                results = tf1.nn.bidirectional_dynamic_rnn(*cells, x, sequence_length=lengths, dtype=tf.float32)
            else:
                results = tf1.nn.dynamic_rnn(cells[0], x, sequence_length=lengths, dtype=tf.float32)
        finally:
            tf1.enable_control_flow_v2()
        names = [tf.identity(t, f"y{k}").op.name for k, t in enumerate(tf.nest.flatten(results))]
        needed = [*names, "x0", "x1"]
        traced = Traced(tf1.graph_util.extract_sub_graph(graph.as_graph_def(), needed), names)
    for ends in ((2, 3), (4, 1), (0, 4)):
        check(traced, random(2, 4, 4), np.asarray(ends, np.int32))
