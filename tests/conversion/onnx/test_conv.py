"""Convolutions: attributes, padding modes, and where an odd pixel of padding goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnef_tools.errors import ConversionError

from ...support.arrays import Array
from ...support.onnx_models import Const, node_model
from .checks import check_node, convert

Random = Callable[..., Array]
AUTO = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


@pytest.mark.parametrize("auto_pad", AUTO)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv_automatic_padding(random: Random, rank: int, stride: int, auto_pad: str) -> None:
    x, w = random(2, 4, *[6, 7, 5][:rank]), random(6, 2, *[3, 2, 4][:rank])
    inputs = [x, Const(w), Const(random(6))]
    attribs: dict[str, Any] = {"group": 2, "strides": [stride] * rank, "auto_pad": auto_pad}
    check_node("Conv", inputs, ops=["conv"], rtol=1e-4, atol=1e-5, **attribs)


@pytest.mark.parametrize("group", [1, 2, 4])
def test_conv_explicit_padding_and_dilation(random: Random, group: int) -> None:
    x, w = random(1, 4, 7, 6), random(4, 4 // group, 3, 2)
    result = check_node("Conv", [x, w], group=group, dilations=[2, 1], pads=[1, 2, 0, 1], strides=[1, 2], atol=1e-5)
    attribs = result.graph.operations[-1].attribs
    assert attribs["padding"] == [(1, 0), (2, 1)]
    assert (attribs["dilation"], attribs["stride"], attribs["groups"]) == ([2, 1], [1, 2], group)


def test_conv_bias_is_computed(random: Random) -> None:
    check_node("Conv", [random(1, 2, 5, 5), random(3, 2, 3, 3), random(3)], ops=["unsqueeze", "conv"], atol=1e-5)


@pytest.mark.parametrize(
    ("attribs", "reason"),
    [
        ({"kernel_shape": [2, 3]}, "kernel_shape [2, 3] differs from the filter's [3, 3]"),
        ({"strides": [1]}, "strides [1] does not fit 2 spatial dimensions"),
        ({"pads": [1, 1]}, "pads [1, 1] do not fit 2 spatial dimensions"),
        ({"auto_pad": "SAME"}, "auto_pad = 'SAME' is not known"),
    ],
)
def test_conv_refusals(random: Random, attribs: dict[str, Any], reason: str) -> None:
    x, w = random(1, 2, 5, 5), random(3, 2, 3, 3)
    model = node_model("Conv", [x, w])
    for key, value in attribs.items():
        model.graph.node[0].attribute.append(_attribute(key, value))
    with pytest.raises(ConversionError) as caught:
        convert(model, [x, w])
    assert reason in str(caught.value)


def _attribute(key: str, value: Any) -> Any:
    from onnx import helper

    return helper.make_attribute(key, value)


@pytest.mark.parametrize("auto_pad", AUTO)
@pytest.mark.parametrize("output_padding", [None, [1, 0]])
@pytest.mark.parametrize(("stride", "dilation"), [([2, 2], [1, 1]), ([2, 2], [2, 1]), ([3, 2], [1, 2])])
def test_conv_transpose_automatic_padding(
    random: Random, stride: list[int], dilation: list[int], output_padding: list[int] | None, auto_pad: str
) -> None:
    attribs = {} if output_padding is None else {"output_padding": output_padding}
    check_node("ConvTranspose", [random(1, 2, 5, 6), Const(random(2, 3, 3, 2)), Const(random(3))], ops=["deconv"],
               strides=stride, dilations=dilation, auto_pad=auto_pad, rtol=1e-4, atol=1e-5, **attribs)  # fmt: skip


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("less", [4, 3, 2, 1, 0, -1, -2])
def test_conv_transpose_output_shape(random: Random, less: int, auto_pad: str) -> None:
    """An odd padding is larger at the end for SAME_UPPER and at the start else; negative padding appends at the end."""
    x, w = random(1, 2, 5, 6), random(2, 3, 3, 2)
    full = (5 - 1) * 3 + 3
    attribs: dict[str, Any] = {"strides": [3, 2], "output_shape": [full - less, 12], "auto_pad": auto_pad}
    result = check_node("ConvTranspose", [x, Const(w), Const(random(3))], rtol=1e-4, atol=1e-5, **attribs)
    before, after = result.graph.operations[-1].attribs["padding"][0]
    assert before + after == max(less, 0)
    assert (after - before if auto_pad == "SAME_UPPER" else before - after) == max(less, 0) % 2


def test_conv_transpose_odd_pixel(random: Random) -> None:
    x, w = random(1, 1, 4, 4), random(1, 1, 3, 3)

    def padding(auto_pad: str) -> Any:
        result = check_node("ConvTranspose", [x, w], strides=[2, 2], output_shape=[8, 8], auto_pad=auto_pad, atol=1e-5)
        return result.graph.operations[-1].attribs["padding"]

    assert padding("SAME_UPPER") == [(0, 1), (0, 1)]
    assert padding("SAME_LOWER") == [(1, 0), (1, 0)]
    assert padding("NOTSET") == [(1, 0), (1, 0)]


def test_conv_transpose_output_shape_and_padding(random: Random) -> None:
    x, w = random(1, 2, 5, 6), random(2, 3, 3, 2)
    for extent in (12, 14, 15, 16):
        check_node("ConvTranspose", [x, w], strides=[3, 2], output_shape=[extent, 12], output_padding=[1, 0], atol=1e-5)


def test_conv_transpose_pads_groups_and_ranks(random: Random) -> None:
    check_node("ConvTranspose", [random(1, 4, 5), random(4, 2, 3)], group=2, strides=[2], pads=[1, 1], atol=1e-5)
    check_node("ConvTranspose", [random(1, 2, 5, 6), random(2, 2, 3, 2)], pads=[2, 1, 1, 0], strides=[2, 1], atol=1e-5)
    x, w = random(1, 2, 3, 4, 3), random(2, 2, 3, 2, 3)
    check_node("ConvTranspose", [x, w], strides=[2, 1, 2], output_padding=[1, 0, 1], rtol=1e-4, atol=1e-5)


def test_impossible_output_shape_is_refused(random: Random) -> None:
    """More than the stride allows: onnxruntime refuses it, too."""
    x, w = random(1, 1, 4, 4), random(1, 1, 3, 3)
    with pytest.raises(ConversionError, match="ConvTranspose"):
        convert(node_model("ConvTranspose", [x, w], strides=[2, 2], output_shape=[13, 9]), [x, w])


def test_same_padding_with_dilation() -> None:
    """onnxruntime has no SAME padding with dilation; the formula is that of the specification."""
    x, w = np.arange(7, dtype=np.float32).reshape(1, 1, 7), np.ones((1, 1, 3), np.float32)
    padded = np.pad(x[0, 0], 2)
    expected = np.array([padded[k] + padded[k + 2] + padded[k + 4] for k in range(7)], np.float32).reshape(1, 1, 7)
    for auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        check_node("Conv", [x, w], auto_pad=auto_pad, dilations=[2], expected=[expected])
