"""Convolutions and transposed convolutions."""

from __future__ import annotations

from typing import Any

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import channels, shape
from ...engine.rules import to_nnef
from ..common import Windows, from_channels_first, to_channels_first


def _size(x: Tensor, w: Tensor, windows: Windows) -> list[int]:
    """The spatial extents of a filter, which the arguments must repeat."""
    if len(shape(x)) < 3 or len(shape(w)) != len(shape(x)):
        raise Unsupported(f"input of shape {shape(x)} and filter of shape {shape(w)} do not fit")
    size = shape(w)[2:]
    declared = windows.sizes(shape(x)[2:])
    if declared != size:
        raise Unsupported(f"the kernel {declared} differs from the filter's {size}")
    return size


def _bias(b: Builder, bias: Tensor | None) -> Tensor | float:
    return 0.0 if bias is None else channels(b, bias)


@to_nnef("caffe2", "Conv", "Conv1D", "Conv2D", "Conv3D", "Int8Conv")
def conv(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    windows: Windows,
    group: int = 1,
    order: str = "NCHW",
) -> Tensor:
    """Conv -> conv; the filter is `[out, in / group, ...]`, with the order NHWC `[out, ..., in / group]`."""
    x, w = to_channels_first(b, x, order), to_channels_first(b, w, order)
    window = windows.window(shape(x)[2:], _size(x, w, windows))
    if group < 1 or shape(x)[1] != shape(w)[1] * group or shape(w)[0] % group:
        raise Unsupported(f"input of shape {shape(x)} and filter of shape {shape(w)} do not fit {group} group(s)")
    y = b.conv(x, w, _bias(b, bias), **window.sized(()).attributes(), groups=group)
    return from_channels_first(b, y, order)


@to_nnef("caffe2", "ConvRelu", "Int8ConvRelu")
def conv_relu(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    windows: Windows,
    group: int = 1,
    order: str = "NCHW",
) -> Tensor:
    """ConvRelu -> conv, relu."""
    return b.relu(conv(b, x, w, bias, windows=windows, group=group, order=order))


@to_nnef("caffe2", "ConvTranspose", "Int8ConvTranspose")
def conv_transpose(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    windows: Windows,
    group: int = 1,
    order: str = "NCHW",
) -> Tensor:
    """ConvTranspose -> deconv; the filter is `[in, out / group, ...]`, with the order NHWC `[in, ..., out / group]`.

    What `adj` adds to the extents is reached by existing contributions only: NNEF's output_shape says the same.
    """
    x, w = to_channels_first(b, x, order), to_channels_first(b, w, order)
    extents, size = shape(x)[2:], _size(x, w, windows)
    if group < 1 or shape(x)[1] != shape(w)[0] or shape(x)[1] % group:
        raise Unsupported(f"input of shape {shape(x)} and filter of shape {shape(w)} do not fit {group} group(s)")
    plain = Windows({k: v for k, v in windows.arguments.items() if k != "legacy_pad"})  # neither kind pads
    window = plain.window(extents, size)
    if any(step != 1 for step in window.dilation):
        raise Unsupported("dilation of a transposed convolution")
    added = windows.adjustments(len(size))
    attribs: dict[str, Any] = {}
    if any(added):
        result = [n + extra for n, extra in zip(window.reverse(extents).upscaled, added, strict=True)]
        attribs["output_shape"] = [shape(x)[0], shape(w)[1] * group, *result]
    y = b.deconv(x, w, _bias(b, bias), **window.sized(()).attributes(), groups=group, **attribs)
    return from_channels_first(b, y, order)
