"""Operators that TensorFlow's optimizer makes of several, against TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ...support.arrays import Array, random
from ...support.tf_programs import Traced, tf
from .checks import check

X = random(2, 7, 6, 3)
ACTIVATIONS = [(), ("Relu",), ("Relu6",), ("Elu",), ("LeakyRelu",), ("Tanh",), ("Sigmoid",)]


def fused(type: str, x: Array, *operands: Array, **attributes: Any) -> Traced:
    """A graph of one operator on the input; the other operands are constants."""
    graph = tf.compat.v1.GraphDef()
    source = graph.node.add(op="Placeholder", name="x0")
    _set(source.attr["dtype"], tf.float32)
    source.attr["shape"].shape.CopyFrom(tf.TensorShape(x.shape).as_proto())
    for k, operand in enumerate(operands):
        constant = graph.node.add(op="Const", name=f"c{k}")
        _set(constant.attr["dtype"], tf.float32)
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(operand))
    node = graph.node.add(op=type, name="out")
    node.input.extend(["x0", *(f"c{k}" for k in range(len(operands)))])
    for name, value in attributes.items():
        _set(node.attr[name], value)
    return Traced(graph, ["out"])


def _set(attribute: Any, value: Any) -> None:
    if isinstance(value, tf.DType):
        attribute.type = value.as_datatype_enum
    elif isinstance(value, bool):
        attribute.b = value
    elif isinstance(value, int):
        attribute.i = value
    elif isinstance(value, float):
        attribute.f = value
    elif isinstance(value, str):
        attribute.s = value.encode()
    elif value and isinstance(value[0], str):
        attribute.list.s.extend(item.encode() for item in value)
    elif value and isinstance(value[0], tf.DType):
        attribute.list.type.extend(item.as_datatype_enum for item in value)
    else:
        attribute.list.i.extend(value)


def convolution(ops: Sequence[str], *args: Array, type: str = "_FusedConv2D", w: Array | None = None) -> Traced:
    own: dict[str, Any] = {"TArgs": [tf.float32] * len(args), "num_host_args": 0} if type == "_FusedConv2D" else {}
    return fused(
        type, X, random(3, 3, 3, 4) if w is None else w, *args, T=tf.float32, num_args=len(args), fused_ops=list(ops),
        strides=[1, 2, 2, 1], padding="SAME", epsilon=0.01, leakyrelu_alpha=0.3, **own,
    )  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS[:5], ids="".join)
def test_convolutions(activation: tuple[str, ...]) -> None:
    bias = random(4)
    statistics = [random(4, seed=k) for k in range(3)] + [np.abs(random(4, seed=3)) + 0.5]
    check(convolution(["BiasAdd", *activation], bias), X)
    check(convolution(["FusedBatchNorm", *activation], *statistics), X)


def test_convolutions_with_another_tensor() -> None:
    bias, other = random(4), random(2, 4, 3, 4)
    check(convolution(["BiasAdd", "Add"], bias, other), X)
    check(convolution(["BiasAdd", "Add", "Relu"], bias, other), X)


@pytest.mark.parametrize("activation", ACTIVATIONS[:4], ids="".join)
def test_depthwise_convolutions(activation: tuple[str, ...]) -> None:
    w, bias = random(3, 3, 3, 2), random(6)
    traced = convolution(["BiasAdd", *activation], bias, type="_FusedDepthwiseConv2dNative", w=w)

    def program(x: Any) -> Any:  # there is no kernel for the CPU
        y = tf.nn.bias_add(tf.nn.depthwise_conv2d(x, w, [1, 2, 2, 1], "SAME"), bias)
        return {"Relu": tf.nn.relu, "Relu6": tf.nn.relu6, "Elu": tf.nn.elu}.get("".join(activation), tf.identity)(y)

    check(traced, X, expected=program)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, ("GeluExact",), ("GeluApproximate",)], ids="".join)
def test_products(activation: tuple[str, ...]) -> None:
    x, w, bias = random(3, 4), random(5, 4), random(5)
    traced = fused(
        "_FusedMatMul", x, w, bias, T=tf.float32, transpose_b=True, num_args=1, fused_ops=["BiasAdd", *activation],
        epsilon=1e-4, leakyrelu_alpha=0.3,
    )  # fmt: skip
    expected = None
    if "".join(activation).startswith("Gelu"):

        def expected(x: Any) -> Any:  # type: ignore[misc]
            return tf.nn.gelu(x @ w.T + bias, approximate=activation == ("GeluApproximate",))

    check(traced, x, expected=expected)


@pytest.mark.parametrize("side", [False, True])
@pytest.mark.parametrize("activation", ["Identity", "Relu"])
def test_batch_normalization(side: bool, activation: str) -> None:
    statistics = [random(3, seed=k) for k in range(3)] + [np.abs(random(3, seed=3)) + 0.5]
    other = random(*X.shape, seed=5)
    traced = fused(
        "_FusedBatchNormEx", X, *statistics, *([other] if side else []), T=tf.float32, U=tf.float32, epsilon=0.01,
        num_side_inputs=int(side), activation_mode=activation, is_training=False, data_format="NHWC",
    )  # fmt: skip

    def program(x: Any) -> Any:  # there is no kernel for the CPU
        y = tf.compat.v1.nn.fused_batch_norm(x, *statistics, epsilon=0.01, is_training=False)[0]
        y = y + other if side else y
        return tf.nn.relu(y) if activation == "Relu" else y

    check(traced, X, expected=program)


def test_other_operators_are_refused() -> None:
    with pytest.raises(Exception, match="fused_ops"):
        check(convolution(["BiasAdd", "Swish"], random(4)), X, expected=[X])
