"""Loops that are recurrent layers become one operation; those that differ in the least are unrolled and stay right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ...support.arrays import random
from ...support.conversions import Converted
from ...support.tf_programs import freeze, tf
from .checks import check

L = tf.keras.layers
LAYERS = ("lstm_layer", "gru_layer", "rnn_layer")
STEPS, BATCH, INPUTS, HIDDEN = 5, 2, 3, 4


def layers_of(result: Converted) -> list[str]:
    return [name for name in result.ops if name in LAYERS]


def frozen(layer: Any, lower: bool = True, batch: int = BATCH) -> Any:
    tf.keras.utils.set_random_seed(1)
    layer.build((batch, STEPS, INPUTS))
    for variable in layer.weights:  # biases, too, are to matter
        if variable.dtype == "float32":
            variable.assign(random(*variable.shape, seed=7) * 0.5)
    return freeze(lambda x: layer(x), (batch, STEPS, INPUTS), lower=lower)


CELLS = [
    (L.LSTM, {}, "lstm_layer"),
    (L.LSTM, {"use_bias": False}, "lstm_layer"),
    (L.LSTM, {"unit_forget_bias": False}, "lstm_layer"),
    (L.GRU, {}, "gru_layer"),
    (L.GRU, {"reset_after": False}, "gru_layer"),
    (L.GRU, {"use_bias": False}, "gru_layer"),
    (L.SimpleRNN, {}, "rnn_layer"),
    (L.SimpleRNN, {"activation": "relu"}, "rnn_layer"),
    (L.SimpleRNN, {"use_bias": False}, "rnn_layer"),
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"return_sequences": True},
    {"go_backwards": True},
    {"go_backwards": True, "return_sequences": True},
    {"return_state": True, "return_sequences": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("kind", "cell", "name"), CELLS)
def test_keras_layers(kind: Any, cell: dict[str, Any], name: str, options: dict[str, Any]) -> None:
    result = check(frozen(kind(HIDDEN, **cell, **options)), random(BATCH, STEPS, INPUTS))
    assert layers_of(result) == [name]
    assert not {"matmul", "sigmoid", "tanh", "split", "stack"} & set(result.ops)


@pytest.mark.parametrize("kind", [L.LSTM, L.GRU, L.SimpleRNN])
def test_loops_as_functions(kind: Any) -> None:
    result = check(frozen(kind(HIDDEN, return_sequences=True), lower=False), random(BATCH, STEPS, INPUTS))
    assert len(layers_of(result)) == 1


@pytest.mark.parametrize("kind", [L.LSTM, L.GRU, L.SimpleRNN])
def test_bidirectional(kind: Any) -> None:
    layer = L.Bidirectional(kind(HIDDEN, return_sequences=True))
    assert len(layers_of(check(frozen(layer), random(BATCH, STEPS, INPUTS)))) == 2


def test_layers_in_a_row_leave_no_parts_between_them() -> None:
    first, second = L.LSTM(HIDDEN, return_sequences=True), L.GRU(HIDDEN)
    result = check(freeze(lambda x: second(first(x)), (BATCH, STEPS, INPUTS)), random(BATCH, STEPS, INPUTS))
    assert layers_of(result) == ["lstm_layer", "gru_layer"]
    assert not {"stack", "unstack"} & set(result.ops)


def test_states_that_are_given() -> None:
    layer = L.LSTM(HIDDEN)
    layer.build((BATCH, STEPS, INPUTS))
    states = random(2, BATCH, HIDDEN)
    traced = freeze(lambda x: layer(x, initial_state=list(tf.unstack(states))), (BATCH, STEPS, INPUTS))
    assert layers_of(check(traced, random(BATCH, STEPS, INPUTS))) == ["lstm_layer"]
    traced = freeze(lambda x: layer(x, initial_state=[x[:, 0, :1] + states[0], states[1]]), (BATCH, STEPS, INPUTS))
    assert layers_of(check(traced, random(BATCH, STEPS, INPUTS))) == ["lstm_layer"]


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.LSTM(HIDDEN, activation="relu"),
        lambda: L.LSTM(HIDDEN, recurrent_activation="hard_sigmoid"),
        lambda: L.GRU(HIDDEN, activation="sigmoid"),
        lambda: L.SimpleRNN(HIDDEN, activation="softplus"),
    ],
)
def test_other_functions_are_unrolled(layer: Callable[[], Any]) -> None:
    assert not layers_of(check(frozen(layer()), random(BATCH, STEPS, INPUTS)))


def test_masks_are_unrolled() -> None:
    masking, layer = L.Masking(), L.GRU(HIDDEN, return_sequences=True)
    x = random(BATCH, STEPS, INPUTS)
    x[0, 3:] = 0
    assert not layers_of(check(freeze(lambda x: layer(masking(x)), x.shape), x))


# loops written by hand

W = random(INPUTS + HIDDEN, 4 * HIDDEN)
BIAS = random(4 * HIDDEN, seed=3)


def by_hand(step: Callable[..., tuple[Any, Any, Any]]) -> Any:
    """A loop over x `[STEPS, BATCH, INPUTS]`: step(k, x_k, h, c) -> h, c, and what is collected."""

    def function(x: Any) -> Any:
        filled = tf.TensorArray(tf.float32, STEPS, element_shape=(BATCH, HIDDEN))
        read = tf.TensorArray(tf.float32, STEPS).unstack(x)

        def body(k: Any, h: Any, c: Any, out: Any) -> tuple[Any, ...]:
            h, c, y = step(k, read.read(k), h, c)
            return k + 1, h, c, out.write(k, y)

        zero = tf.zeros((BATCH, HIDDEN))
        _, h, c, out = tf.while_loop(lambda k, *_: k < STEPS, body, (0, zero, zero, filled))
        return out.stack(), h, c

    return freeze(function, (STEPS, BATCH, INPUTS))


def lstm(gates: Any, c: Any) -> tuple[Any, Any]:
    i, g, f, o = tf.split(gates, 4, axis=1)
    c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


def products(x: Any, h: Any) -> Any:
    """As in TensorFlow 1: one product with item and state side by side."""
    return tf.matmul(tf.concat([x, h], axis=1), W) + BIAS


def plain(k: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    h, c = lstm(products(x, h), c)
    return h, c, h


def other_weights_in_one_step(k: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    factor = tf.constant([1.0, 1.0, 1.0, 1.0001, 1.0])[k]
    h, c = lstm(tf.matmul(tf.concat([x, h], axis=1), W * factor) + BIAS, c)
    return h, c, h


def old_cell_state(k: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    i, g, f, o = tf.split(products(x, h), 4, axis=1)
    new = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    h = tf.sigmoid(o) * tf.tanh(c)
    return h, new, h


def cell_states_collected(k: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    h, c = lstm(products(x, h), c)
    return h, c, c


def gate_from_cell_state(k: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    h, c = lstm(products(x, h) + tf.concat([c, c, c, c], axis=1), c)
    return h, c, h


def item_twice(k: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    h, c = lstm(products(x, h) + tf.matmul(x, W[:INPUTS]), c)
    return h, c, h


def one_more_sign(k: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    i, g, f, o = tf.split(products(x, h), 4, axis=1)
    c = tf.sigmoid(f) * c - tf.sigmoid(i) * tf.tanh(g)
    h = tf.sigmoid(o) * tf.tanh(c)
    return h, c, h


def test_a_cell_of_tensorflow_1() -> None:
    assert layers_of(check(by_hand(plain), random(STEPS, BATCH, INPUTS))) == ["lstm_layer"]


@pytest.mark.parametrize(
    "step",
    [
        other_weights_in_one_step,
        old_cell_state,
        cell_states_collected,
        gate_from_cell_state,
        item_twice,
        one_more_sign,
    ],
)
def test_cells_that_differ_a_little(step: Callable[..., Any]) -> None:
    assert not layers_of(check(by_hand(step), random(STEPS, BATCH, INPUTS)))


def test_gru_with_another_complement() -> None:
    def step(k: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        z, r, n, _ = tf.split(products(x, h), 4, axis=1)
        z = tf.sigmoid(z)
        new = z * h + (0.5 - z) * tf.tanh(n + tf.sigmoid(r) * tf.matmul(h, W[:HIDDEN, :HIDDEN]))
        return new, c, new

    assert not layers_of(check(by_hand(step), random(STEPS, BATCH, INPUTS)))


def test_only_standard_operations() -> None:
    result = check(frozen(L.LSTM(HIDDEN)), random(BATCH, STEPS, INPUTS), standard_only=True)
    assert not layers_of(result)
