"""Networks of Keras, frozen as users do it, and damaged graphs."""

from __future__ import annotations

import random as randomness
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.conversion.tf_to_nnef import Converter
from nnef_tools.errors import NnefToolsError

from ...support.arrays import integers, random
from ...support.tf_programs import Traced, freeze, tf
from .checks import check

L = tf.keras.layers


def attention() -> Any:
    x = i = L.Input((6, 16))
    x = L.LayerNormalization()(L.MultiHeadAttention(4, 8)(x, x) + i)
    return tf.keras.Model(i, L.Dense(32, activation="gelu")(x))


def unet() -> Any:
    i = L.Input((16, 20, 3))
    a = L.Conv2D(8, 3, padding="same", activation="relu")(i)
    b = L.BatchNormalization()(L.SeparableConv2D(12, 3, padding="same")(L.MaxPool2D()(a)))
    c = L.GroupNormalization(4)(L.Conv2D(12, 3, padding="same", activation="silu")(L.MaxPool2D()(b)))
    d = L.PReLU(shared_axes=[1, 2])(L.Concatenate()([L.Conv2DTranspose(8, 3, strides=2, padding="same")(c), b]))
    e = L.Concatenate()([L.UpSampling2D(interpolation="bilinear")(d), a])
    return tf.keras.Model(i, L.Conv2D(2, 1, activation="sigmoid")(e))


def volumes() -> Any:
    i = L.Input((5, 8, 9, 2))
    x = L.MaxPool3D()(L.Conv3D(4, 3, padding="same", activation="relu")(i))
    return tf.keras.Model(i, L.GlobalAveragePooling3D()(L.Conv3DTranspose(3, 3, strides=2)(x)))


def sequence() -> Any:
    i = L.Input((20, 4))
    x = L.Conv1D(8, 3, dilation_rate=2, padding="causal", activation="relu")(i)
    return tf.keras.Model(i, L.GlobalMaxPool1D()(L.SeparableConv1D(6, 3)(x)))


def recurrent() -> Any:
    i = L.Input((7, 4))
    x = L.Bidirectional(L.GRU(8, return_sequences=True))(L.Masking()(i))
    return tf.keras.Model(i, L.ConvLSTM1D(3, 2)(L.Reshape((7, 4, 4))(x)))


def mobile() -> Any:
    return tf.keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=10)


def _frozen(build: Callable[[], Any]) -> tuple[Traced, np.ndarray[Any, Any]]:
    tf.keras.utils.set_random_seed(0)
    model = build()
    shape = (1, *model.input_shape[1:])
    return freeze(lambda x: model(x, training=False), shape), random(*shape)


@pytest.mark.parametrize("build", [attention, unet, volumes, sequence, recurrent, mobile])
def test_network(build: Callable[[], Any]) -> None:
    check(*_frozen(build), rtol=1e-4)


def test_embedding() -> None:
    tf.keras.utils.set_random_seed(0)
    embedding, recurrence = L.Embedding(10, 8), L.LSTM(4)
    check(freeze(lambda x: recurrence(embedding(x)), (1, 7), dtype=tf.int32), integers(1, 7, low=0))


def test_constants_in_loops_are_shared() -> None:
    traced, x = _frozen(recurrent)
    graph = check(traced, x).graph
    items = [np.asarray(op.output.data).tobytes() for op in graph.operations if op.type == "variable"]
    large = [item for item in items if len(item) > 200]
    assert len(set(large)) == len(large)


def _damage(graph_def: Any, generator: randomness.Random) -> None:
    """One change that keeps the file readable as such: an attribute or input lost, another operator, a wrong number."""
    nodes = [node for node in graph_def.node if node.op != "Placeholder"]
    node = generator.choice(nodes)
    kind = generator.randrange(5)
    if kind == 0 and node.attr:
        del node.attr[generator.choice(sorted(node.attr))]
    elif kind == 1 and node.input:
        del node.input[generator.randrange(len(node.input))]
    elif kind == 2 and node.input:
        node.input[generator.randrange(len(node.input))] = generator.choice(nodes).name
    elif kind == 3:
        node.op = generator.choice(nodes).op
    else:
        for value in node.attr.values():
            if value.WhichOneof("value") == "i":
                value.i = generator.choice([-1, 0, 7])
            elif value.WhichOneof("value") == "s":
                value.s = generator.choice([b"NCHW", b"VALID", b"X"])
            elif value.list.i:
                value.list.i[generator.randrange(len(value.list.i))] = generator.choice([-1, 0, 50])


@pytest.mark.parametrize("build", [attention, unet, sequence])
def test_damaged_graphs_give_clear_errors(build: Callable[[], Any]) -> None:
    traced, _ = _frozen(build)
    generator = randomness.Random(0)
    refused = 0
    for _ in range(60):
        copy = type(traced.graph_def).FromString(traced.graph_def.SerializeToString())
        _damage(copy, generator)
        try:
            Converter()(Traced(copy, traced.names).read())
        except NnefToolsError as error:
            refused += 1
            assert error.message
    assert refused > 10
