"""Convolutions and transposed convolutions in 1 to 3 dimensions."""

from __future__ import annotations

from typing import Any

from ....errors import Unsupported
from ....model import Tensor
from ....ops.window import span
from ...building.nnef import Builder
from ...engine.rules import to_nnef
from ...maths import padding
from ...maths.padding import Pairs
from ..common import channels, shape


def explicit_padding(
    auto_pad: str, pads: list[int] | None, extents: list[int], size: list[int], stride: list[int], dilation: list[int]
) -> Pairs:
    """Pads of a convolution or pooling operator as pairs, one for each spatial dimension."""
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        return padding.same_padding(extents, size, stride, dilation, lower=auto_pad == "SAME_LOWER")
    if auto_pad == "VALID":
        return [(0, 0)] * len(extents)
    if auto_pad not in ("NOTSET", ""):
        raise Unsupported(f"auto_pad = '{auto_pad}' is not known")
    pairs = padding.pairs_from_onnx(pads) if pads else [(0, 0)] * len(extents)
    if len(pairs) != len(extents):
        raise Unsupported(f"pads {pads} do not fit {len(extents)} spatial dimensions")
    return pairs


def per_dimension(name: str, values: list[int] | None, count: int) -> list[int]:
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
    stride = per_dimension("strides", strides, len(size))
    dilation = per_dimension("dilations", dilations, len(size))
    pairs = explicit_padding(auto_pad, pads, shape(x)[2:], size, stride, dilation)
    return b.conv(
        x,
        w,
        0.0 if bias is None else channels(b, bias),
        stride=stride,
        dilation=dilation,
        padding=pairs,
        groups=group,
    )


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
    count = len(size)
    stride = per_dimension("strides", strides, count)
    dilation = per_dimension("dilations", dilations, count)
    extra = output_padding or [0] * count
    full = [(n - 1) * s + span(f, d) for n, s, f, d in zip(shape(x)[2:], stride, size, dilation, strict=True)]
    wanted = output_shape[-count:] if output_shape else None
    if wanted is None and auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [n * s for n, s in zip(shape(x)[2:], stride, strict=True)]
    if wanted is not None:
        totals = [max(f + e - extent, 0) for f, e, extent in zip(full, extra, wanted, strict=True)]
        halves = [(total // 2, total - total // 2) for total in totals]
        pairs = halves if auto_pad == "SAME_UPPER" else [(more, less) for less, more in halves]
        result = wanted
    else:
        pairs = explicit_padding(
            "VALID" if auto_pad == "VALID" else "NOTSET", pads, shape(x)[2:], size, stride, dilation
        )
        result = [f + e - p - q for f, e, (p, q) in zip(full, extra, pairs, strict=True)]
    plain = [f - p - q for f, (p, q) in zip(full, pairs, strict=True)]
    attribs: dict[str, Any] = {} if result == plain else {"output_shape": [shape(x)[0], shape(w)[1] * group, *result]}
    return b.deconv(
        x,
        w,
        0.0 if bias is None else channels(b, bias),
        stride=stride,
        dilation=dilation,
        padding=pairs,
        groups=group,
        **attribs,
    )
