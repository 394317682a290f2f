"""Convolutions and transposed convolutions against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ...support.arrays import Array, random
from ...support.tf_programs import raw, tf, trace
from .checks import check, convert

PADDINGS = ["SAME", "VALID", "EXPLICIT"]
EXPLICIT = [0, 0, 2, 1, 0, 3, 0, 0]
TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def _padding(kind: str) -> dict[str, Any]:
    return {"padding": kind, **({"explicit_paddings": EXPLICIT} if kind == "EXPLICIT" else {})}


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize(("strides", "dilations"), [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 1), (2, 3))])
def test_conv2d(padding: str, strides: tuple[int, int], dilations: tuple[int, int]) -> None:
    w = random(3, 2, 4, 5)
    attribs = {"strides": [1, *strides, 1], "dilations": [1, *dilations, 1], **_padding(padding)}
    result = check(lambda x: raw.Conv2D(input=x, filter=w, **attribs), random(2, 9, 11, 4))
    assert result.ops == ["transpose", "conv", "transpose"]


def test_same_padding_is_automatic_padding() -> None:
    result = convert(lambda x: tf.nn.conv2d(x, random(3, 3, 2, 4), 2, "SAME"), random(1, 7, 8, 2))
    (op,) = [op for op in result.graph.operations if op.type == "conv"]
    assert op.attribs["padding"] == []
    assert op.inputs[1].shape == (4, 2, 3, 3)


@pytest.mark.parametrize("padding", PADDINGS)
def test_conv2d_channels_first(padding: str) -> None:
    w = random(3, 2, 4, 5)
    last = {"strides": [1, 2, 1, 1], "dilations": [1, 1, 2, 1], **_padding(padding)}
    first = {"strides": [1, 1, 2, 1], "dilations": [1, 1, 1, 2], "data_format": "NCHW", "padding": padding}
    if padding == "EXPLICIT":
        first["explicit_paddings"] = [0, 0, 0, 0, 2, 1, 0, 3]
        last["dilations"] = first["dilations"] = [1, 1, 1, 1]

    def expected(x: Any) -> Any:
        y = raw.Conv2D(input=tf.transpose(x, TO_NHWC), filter=w, **last)
        return tf.transpose(y, TO_NCHW)

    result = check(lambda x: raw.Conv2D(input=x, filter=w, **first), random(2, 4, 9, 11), expected=expected)
    assert result.ops == ["conv"]


def test_grouped_conv2d() -> None:
    check(lambda x: tf.nn.conv2d(x, random(3, 3, 2, 6), 1, "SAME"), random(1, 5, 6, 4))


def test_computed_filter() -> None:
    check(lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"), random(1, 5, 6, 2), random(3, 3, 2, 4, seed=1))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize(("stride", "dilations"), [(1, (1, 1)), (2, (1, 1)), (1, (2, 3))])
def test_depthwise_conv2d(padding: str, multiplier: int, stride: int, dilations: tuple[int, int]) -> None:
    w = random(3, 2, 4, multiplier)
    attribs = {"strides": [1, stride, stride, 1], "dilations": [1, *dilations, 1], **_padding(padding)}
    # TensorFlow has no kernel for two dilations but that of oneDNN; they put zeros into the filter.
    spread = np.zeros((2 * dilations[0] + 1, dilations[1] + 1, 4, multiplier), np.float32)
    spread[:: dilations[0], :: dilations[1]] = w
    plain = {**attribs, "dilations": [1, 1, 1, 1]}
    check(
        lambda x: raw.DepthwiseConv2dNative(input=x, filter=w, **attribs),
        random(2, 9, 11, 4),
        expected=lambda x: raw.DepthwiseConv2dNative(input=x, filter=spread, **plain),
    )


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 1, 3)])
def test_conv3d(padding: str, strides: tuple[int, ...]) -> None:
    w = random(3, 2, 1, 2, 3)
    check(lambda x: raw.Conv3D(input=x, filter=w, strides=[1, *strides, 1], padding=padding), random(1, 5, 6, 7, 2))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_conv1d(padding: str, stride: int, dilation: int) -> None:
    w = random(3, 4, 5)
    check(lambda x: tf.nn.conv1d(x, w, stride, padding, dilations=dilation), random(2, 11, 4))


def _upscaled(extent: int, size: int, stride: int, padding: str) -> list[int]:
    """Extents that scale down to `extent`."""
    if padding == "SAME":
        return list(range((extent - 1) * stride + 1, extent * stride + 1))
    least = (extent - 1) * stride + size
    return list(range(least, least + stride))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [2, 3])
def test_conv2d_backprop_input(padding: str, stride: int, size: int) -> None:
    w, y = random(size, 3, 4, 2), random(2, 5, 4, 2)
    for height in _upscaled(5, size, stride, padding):
        width = _upscaled(4, 3, stride, padding)[0]
        attribs = {"input_sizes": [2, height, width, 4], "strides": [1, stride, stride, 1], "padding": padding}
        result = check(lambda y, a=attribs: raw.Conv2DBackpropInput(filter=w, out_backprop=y, **a), y, atol=1e-4)
        assert result.ops == ["transpose", "deconv", "transpose"]


def test_conv2d_backprop_input_explicit_and_grouped() -> None:
    y = random(1, 5, 4, 6)
    paddings = [0, 0, 1, 0, 2, 1, 0, 0]
    check(
        lambda y: raw.Conv2DBackpropInput(
            input_sizes=[1, 10, 7, 2],
            filter=random(3, 3, 2, 6),
            out_backprop=y,
            strides=[1, 2, 2, 1],
            padding="EXPLICIT",
            explicit_paddings=paddings,
        ),
        y,
        atol=1e-4,
    )


def test_conv2d_backprop_input_of_computed_size() -> None:
    def program(y: Any) -> Any:
        shape = tf.shape(y)
        size = tf.stack([shape[0], shape[1] * 2, shape[2] * 2, 3])
        return tf.nn.conv2d_transpose(y, random(4, 4, 3, 2), size, 2)

    result = check(program, random(1, 3, 5, 2), atol=1e-4)
    assert result.ops == ["transpose", "deconv", "transpose"]


def test_conv2d_backprop_input_channels_first() -> None:
    w = random(3, 3, 4, 2)
    first = {"strides": [1, 1, 2, 2], "padding": "SAME", "data_format": "NCHW"}
    check(
        lambda y: raw.Conv2DBackpropInput(input_sizes=[1, 4, 9, 7], filter=w, out_backprop=y, **first),
        random(1, 2, 5, 4),
        expected=lambda y: tf.transpose(tf.nn.conv2d_transpose(tf.transpose(y, TO_NHWC), w, [1, 9, 7, 4], 2), TO_NCHW),
        ops=["deconv"],
        atol=1e-4,
    )


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_conv2d_backprop_input(padding: str, multiplier: int) -> None:
    w, y = random(3, 3, 3, multiplier), random(1, 5, 4, 3 * multiplier)
    extents = [10, 8] if padding == "SAME" else [11, 9]
    check(
        lambda y: raw.DepthwiseConv2dNativeBackpropInput(
            input_sizes=[1, *extents, 3], filter=w, out_backprop=y, strides=[1, 2, 2, 1], padding=padding
        ),
        y,
        atol=1e-4,
    )


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_conv3d_backprop_input(padding: str) -> None:
    w, y = random(3, 2, 3, 2, 4), random(1, 2, 3, 4, 4)
    extents = [4, 6, 8] if padding == "SAME" else [5, 6, 9]
    attribs = {"filter": w, "strides": [1, 2, 2, 2, 1], "padding": padding}
    check(lambda y: raw.Conv3DBackpropInputV2(input_sizes=[1, *extents, 2], out_backprop=y, **attribs), y, atol=1e-4)


def test_conv3d_backprop_input_of_old_files() -> None:
    """Instead of a shape it takes a tensor of that shape; TensorFlow reads such files no more."""
    w, y = random(3, 2, 3, 2, 4), random(1, 2, 3, 4, 4)
    attribs = {"filter": w, "strides": [1, 2, 2, 2, 1], "padding": "VALID"}
    traced = trace(lambda y: raw.Conv3DBackpropInputV2(input_sizes=[1, 5, 6, 9, 2], out_backprop=y, **attribs), [y])
    expected = traced.run([y])
    for node in traced.graph_def.node:
        if node.op == "Conv3DBackpropInputV2":
            node.op = "Conv3DBackpropInput"
            del node.attr["Tshape"]
            del node.attr["data_format"]
            (like,) = (other for other in traced.graph_def.node if other.name == node.input[0])
    like.attr["dtype"].type = tf.float32.as_datatype_enum
    like.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.zeros([1, 5, 6, 9, 2], np.float32)))
    check(traced, y, expected=expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 3, 5, 4), (1, 2, 3, 5, 4)])
def test_bias_add(shape: tuple[int, ...]) -> None:
    check(lambda x: tf.nn.bias_add(x, random(4)), random(*shape), ops=["add"])


def test_bias_add_channels_first() -> None:
    check(lambda x: tf.nn.bias_add(x, random(3), "NCHW"), random(2, 3, 5, 4), ops=["add"])


# dilated convolutions in parts


def _in_parts(x: Any, w: Array, block: Any, paddings: Any, crops: Any, between: Any = None, after: Any = None) -> Any:
    y = raw.SpaceToBatchND(input=x, block_shape=block, paddings=paddings)
    y = tf.nn.conv2d(y, w, 1, "VALID") if between is None else between(y)
    y = y if after is None else after(y)
    return raw.BatchToSpaceND(input=y, block_shape=block, crops=crops)


def test_dilated_convolution_in_parts_is_folded() -> None:
    w = random(3, 3, 2, 4)

    def program(x: Any) -> Any:
        return _in_parts(
            x, w, [2, 3], [[2, 3], [3, 5]], [[0, 1], [0, 2]], after=lambda y: tf.nn.relu(tf.nn.bias_add(y, random(4)))
        )

    result = check(program, random(1, 7, 10, 2))
    assert [op for op in result.ops if op != "transpose"] == ["conv", "add", "relu"]
    assert not result.converter.warnings


def test_dilated_depthwise_convolution_in_parts_is_folded() -> None:
    w = random(3, 3, 2, 2)

    def between(y: Any) -> Any:
        return raw.DepthwiseConv2dNative(input=y, filter=w, strides=[1, 1, 1, 1], padding="VALID")

    result = check(lambda x: _in_parts(x, w, [2, 2], [[2, 2], [2, 3]], [[0, 0], [0, 1]], between), random(1, 6, 9, 2))
    assert [op for op in result.ops if op != "transpose"] == ["conv"]


def test_dilated_convolution_of_sequences_in_parts_is_folded() -> None:
    w = random(3, 2, 4)

    def program(x: Any) -> Any:
        y = raw.SpaceToBatchND(input=x, block_shape=[2], paddings=[[2, 3]])
        y = tf.squeeze(tf.nn.conv2d(tf.expand_dims(y, -3), w[None], 1, "VALID"), [-3])
        return raw.BatchToSpaceND(input=tf.nn.bias_add(y, random(4)), block_shape=[2], crops=[[0, 1]])

    result = check(program, random(2, 9, 2))
    assert "conv" in result.ops and "pad" not in result.ops and "slice" not in result.ops


def test_more_crops_than_padding_moves_data() -> None:
    w = random(3, 3, 2, 4)
    result = check(lambda x: _in_parts(x, w, [2, 2], [[0, 1], [0, 0]], [[1, 0], [0, 0]]), random(1, 7, 8, 2))
    assert "slice" in result.ops


def test_parts_that_are_read_elsewhere_move_data() -> None:
    w = random(3, 3, 2, 4)

    def program(x: Any) -> Any:
        y = raw.SpaceToBatchND(input=x, block_shape=[2, 2], paddings=[[2, 2], [2, 2]])
        z = raw.BatchToSpaceND(input=tf.nn.conv2d(y, w, 1, "VALID"), block_shape=[2, 2], crops=[[0, 0], [0, 0]])
        return z, y

    assert "conv" in check(program, random(1, 6, 8, 2)).ops


def test_io_transpose() -> None:
    traced = trace(lambda x: tf.nn.conv2d(x, random(3, 3, 2, 4), 1, "SAME"), [random(1, 5, 6, 2)])
    result = convert(traced, random(1, 5, 6, 2).transpose(TO_NCHW), io_transpose=True)
    (wanted,) = traced.run([random(1, 5, 6, 2)])
    np.testing.assert_allclose(result.outputs[0], wanted.transpose(TO_NCHW), rtol=1e-5, atol=1e-5)
