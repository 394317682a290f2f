"""Operators of com.microsoft whose channels are the last axis; filters stay as in Conv."""

from __future__ import annotations

from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef
from ..common import shape, transpose
from .conv import conv
from .microsoft import activated
from .pool import max_pool

MICROSOFT = "com.microsoft"


def channels_first(b: Builder, x: Tensor) -> Tensor:
    """[batch, .., channels] -> [batch, channels, ..]."""
    rank = len(shape(x))
    return transpose(b, x, [0, rank - 1, *range(1, rank - 1)])


def channels_last(b: Builder, x: Tensor) -> Tensor:
    """[batch, channels, ..] -> [batch, .., channels]."""
    return transpose(b, x, [0, *range(2, len(shape(x))), 1])


@to_nnef("onnx", "NhwcConv", domain=MICROSOFT)
def nhwc_conv(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """NhwcConv: Conv with channels last in input and result."""
    y = conv(b, channels_first(b, x), w, bias, auto_pad=auto_pad, dilations=dilations, group=group,
             kernel_shape=kernel_shape, pads=pads, strides=strides)  # fmt: skip
    return channels_last(b, y)


@to_nnef("onnx", "NhwcFusedConv", domain=MICROSOFT)
def nhwc_fused_conv(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    addend: Tensor | None = None,
    *,
    activation: str = "",
    activation_params: list[float] | None = None,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """NhwcFusedConv: NhwcConv, a tensor added to its result, and an activation."""
    y = nhwc_conv(b, x, w, bias, auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape,
                  pads=pads, strides=strides)  # fmt: skip
    return activated(b, y if addend is None else b.add(y, addend), activation, activation_params or [])


@to_nnef("onnx", "NhwcMaxPool", domain=MICROSOFT)
def nhwc_max_pool(
    b: Builder,
    x: Tensor,
    *,
    kernel_shape: list[int],
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """NhwcMaxPool: MaxPool with channels last."""
    y = max_pool(b, channels_first(b, x), kernel_shape=kernel_shape, auto_pad=auto_pad, ceil_mode=ceil_mode,
                 dilations=dilations, pads=pads, strides=strides)  # fmt: skip
    assert not isinstance(y, tuple)
    return channels_last(b, y)
