"""Convolutions and transposed convolutions in 1 to 3 dimensions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ....errors import Unsupported
from ....model import Tensor
from ....ops.window import Window
from ...building.nnef import Builder
from ...engine.rules import to_nnef
from ...maths import padding
from ..common import channels, shape


def spatial_window(
    extents: list[int],
    size: list[int],
    *,
    strides: list[int] | None,
    dilations: list[int] | None = None,
    auto_pad: str = "NOTSET",
    pads: list[int] | None,
) -> Window:
    """The window of a convolution or pooling operator over the spatial dimensions, with everything explicit."""
    count = len(extents)
    stride, dilation = _per_dimension("strides", strides, count), _per_dimension("dilations", dilations, count)
    window = Window(size, padding=[(0, 0)] * count, stride=stride, dilation=dilation)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        return replace(window, padding=padding.same_padding(window, extents, lower=auto_pad == "SAME_LOWER"))
    if auto_pad == "VALID":
        return window
    if auto_pad not in ("NOTSET", ""):
        raise Unsupported(f"auto_pad = '{auto_pad}' is not known")
    if pads and len(pads) // 2 != count:
        raise Unsupported(f"pads {pads} do not fit {count} spatial dimensions")
    return replace(window, padding=padding.pairs_from_onnx(pads)) if pads else window


def _per_dimension(name: str, values: list[int] | None, count: int) -> list[int]:
    """Strides or dilations, one for each spatial dimension, 1 by default. Unsupported if the number is wrong."""
    if not values:
        return [1] * count
    if len(values) != count:
        raise Unsupported(f"{name} {values} does not fit {count} spatial dimensions")
    return values


def _check_filter(x: Tensor, w: Tensor, kernel_shape: list[int] | None) -> list[int]:
    size = shape(w)[2:]
    if len(shape(x)) < 3 or len(shape(w)) != len(shape(x)):
        raise Unsupported(f"input of shape {shape(x)} and filter of shape {shape(w)} do not fit")
    if kernel_shape and kernel_shape != size:
        raise Unsupported(f"kernel_shape {kernel_shape} differs from the filter's {size}")
    return size


@to_nnef("onnx", "Conv")
def conv(
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
    """Conv -> conv; the filter layout [out, in / group, ...] is the same."""
    size = _check_filter(x, w, kernel_shape)
    window = spatial_window(shape(x)[2:], size, strides=strides, dilations=dilations, auto_pad=auto_pad, pads=pads)
    return b.conv(x, w, 0.0 if bias is None else channels(b, bias), **window.sized(()).attributes(), groups=group)


@to_nnef("onnx", "ConvTranspose")
def conv_transpose(
    b: Builder,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """ConvTranspose -> deconv; the filter layout [in, out / group, ...] is the same.

    output_padding, or an output_shape that asks for more, appends rows that only existing contributions reach: NNEF's
    output_shape says the same. Of an odd padding the larger part comes first, but for SAME_UPPER.
    """
    size = _check_filter(x, w, kernel_shape)
    extents, automatic = shape(x)[2:], auto_pad in ("SAME_UPPER", "SAME_LOWER")
    mode = "VALID" if auto_pad == "VALID" or automatic or output_shape else "NOTSET"
    window = spatial_window(extents, size, strides=strides, dilations=dilations, auto_pad=mode, pads=pads)
    extra = output_padding or [0] * len(size)
    full = replace(window, padding=[(0, 0)] * len(size)).reverse(extents).upscaled
    wanted = output_shape[-len(size) :] if output_shape else None
    if wanted is None and automatic:
        wanted = [n * s for n, s in zip(extents, window.stride, strict=True)]
    if wanted is not None:
        totals = [max(f + e - extent, 0) for f, e, extent in zip(full, extra, wanted, strict=True)]
        halves = [(total // 2, total - total // 2) for total in totals]
        window = replace(
            window, padding=halves if auto_pad == "SAME_UPPER" else [(more, less) for less, more in halves]
        )
    plain = [f - p - q for f, (p, q) in zip(full, window.padding, strict=True)]
    result = wanted or [n + e for n, e in zip(plain, extra, strict=True)]
    attribs: dict[str, Any] = {} if result == plain else {"output_shape": [shape(x)[0], shape(w)[1] * group, *result]}
    return b.deconv(
        x,
        w,
        0.0 if bias is None else channels(b, bias),
        **window.sized(()).attributes(),
        groups=group,
        **attribs,
    )
