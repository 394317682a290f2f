"""NNEF to TensorFlow: convolutions and transposed convolutions in one to three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....ops.borders import ZERO_BORDERS
from ....ops.window import PlacedWindow, Window, span
from ...building.shapes import shape
from ...building.target import is_number, known
from ...engine.rules import from_nnef
from ...maths import axis_orders
from ...maths.generated import filled
from ...maths.padding import same_padding
from ...shared.pool import continued
from ..building import TfBuilder

MAX_RANK = 3


def check_rank(spatial: int) -> None:
    """Raises Unsupported for more spatial dimensions than TensorFlow has operators for."""
    if spatial > MAX_RANK:
        raise Unsupported(f"{spatial} spatial dimensions; TensorFlow has operators for {MAX_RANK}")


# windows


def undilated(window: PlacedWindow) -> PlacedWindow:
    """The window without dilation, for a filter with zeros in its gaps."""
    return replace(window, size=tuple(window.spans), dilation=(1,) * len(window.size))


def widened(window: PlacedWindow) -> PlacedWindow:
    """A window over one dimension as one over two, the first of extent 1."""
    return replace(
        window,
        upscaled=(1, *window.upscaled),
        downscaled=(1, *window.downscaled),
        size=(1, *window.size),
        # depthwise kernels require the stride of the other dimension
        stride=(*window.stride, *window.stride),
        dilation=(1, *window.dilation),
        padding=((0, 0), *window.padding),
    )


def is_same(window: PlacedWindow) -> bool:
    """Is the padding TensorFlow's SAME?"""
    return list(window.padding) == same_padding(window, window.upscaled)


def padding_attributes(b: TfBuilder, window: PlacedWindow) -> dict[str, Any]:
    """The attributes for the padding."""
    if is_same(window) and (window.automatic or window.is_padded):
        return {"padding": "SAME"}
    if not window.is_padded:
        return {"padding": "VALID"}
    pairs = b.in_format(window.padding, (0, 0), (0, 0))
    return {"padding": "EXPLICIT", "explicit_paddings": [item for pair in pairs for item in pair]}


def _padded(b: TfBuilder, x: Tensor, window: PlacedWindow, explicit: bool) -> tuple[Tensor, PlacedWindow]:
    """x, whose channels are second, with the part of the padding that the operator does not support.

    explicit: does the operator support a padding for each side?
    """
    positive = all(min(pair) >= 0 for pair in window.padding)
    if window.border in ZERO_BORDERS and (
        not window.is_padded or is_same(window) or (explicit and b.has_explicit_padding and positive)
    ):
        return x, window
    return b.pad(x, [(0, 0), (0, 0), *window.padding], window.border), window.unpadded()


def zeros_inserted(b: TfBuilder, w: Tensor, dilation: Sequence[int]) -> Tensor:
    """A filter `[out, in, spatial...]` with zeros in the gaps of the dilation."""
    for axis, d in enumerate(dilation, 2):
        if d > 1:
            own = shape(w)
            lanes = b.unsqueeze(w, [axis + 1])
            filled = b.pad(lanes, [(0, d - 1 if k == axis + 1 else 0) for k in range(len(own) + 1)])
            wide = b.reshape(filled, [*own[:axis], own[axis] * d, *own[axis + 1 :]])
            w = b.slice(wide, {axis: range(span(own[axis], d))})
    return w


def _filter_with_gaps(b: TfBuilder, w: Tensor, dilation: Sequence[int]) -> Tensor:
    if w.data is None:
        return zeros_inserted(b, w, dilation)
    data = np.asarray(w.data)
    wide = filled(
        [*data.shape[:2], *(span(f, d) for f, d in zip(data.shape[2:], dilation, strict=True))], 0, data.dtype
    )
    index = (slice(None), slice(None), *(slice(None, None, d) for d in dilation))
    wide[index] = data
    return b.constant(wide, base=w)


def _to_xcn(b: TfBuilder, w: Tensor) -> Tensor:
    """`[out, in, spatial...]` -> `[spatial..., in, out]`."""
    return b.transpose(w, axis_orders.ncx_to_xcn_perm(len(shape(w))))


def _to_depthwise(b: TfBuilder, w: Tensor, channels: int) -> Tensor:
    """`[C * M, 1, H, W]` -> `[H, W, C, M]`."""
    count, _, height, width = shape(w)
    return b.transpose(b.reshape(w, [channels, count // channels, height, width]), [2, 3, 0, 1])


def with_bias(b: TfBuilder, y: Tensor, bias: Tensor) -> Tensor:
    """The result of a convolution, in the data format, plus a bias of one item or `[1, C]`."""
    if is_number(bias, 0.0):
        return y
    own = shape(y)
    channels = own[-1] if b.channels_last else own[1]
    values = b.per_channel(bias, channels)
    assert values is not None, "the shape rule allows no other bias"
    if (b.channels_last or len(own) == 4) and not _is_grouped(b, y):
        return known(b.BiasAdd(y, values, data_format="NHWC" if b.channels_last else "NCHW"), own)
    extents = b.in_format([1] * (len(own) - 2), 1, channels)
    return b.elementwise(b.AddV2, y, b.reshape(values, extents))


def _is_grouped(b: TfBuilder, y: Tensor) -> bool:
    """Is x a result of Conv2D with groups? TensorFlow fuses it with BiasAdd, but has no kernel for that."""
    op = y.producer
    if op is not None and op.type == "Squeeze":
        op = op.inputs[0].producer
    if op is None or op.type != "Conv2D":
        return False
    x, w = op.inputs
    return shape(w)[2] != _channels(b, x)


def _channels(b: TfBuilder, x: Tensor) -> int:
    """The channels of what is in the data format."""
    return shape(x)[-1 if b.channels_last else 1]


# convolution


@from_nnef("tf", "conv")
def conv(b: TfBuilder, input: Tensor, filter: Tensor, bias: Tensor, *, window: Window, groups: int) -> Tensor:
    """conv -> Conv2D, DepthwiseConv2dNative or Conv3D, with BiasAdd."""
    own, kernel = shape(input), shape(filter)
    check_rank(len(own) - 2)
    placed = window.sized(kernel[2:]).forward(own[2:])
    # the fused kernel of oneDNN for depthwise convolutions ends the process at explicit paddings
    x, placed = _padded(b, input, placed, explicit=len(own) <= 4 and groups == 1)
    y = _correlate(b, b.to_format(x), filter, placed, groups)
    return b.from_format(with_bias(b, y, bias))


def _correlate(b: TfBuilder, x: Tensor, w: Tensor, window: PlacedWindow, groups: int) -> Tensor:
    """A convolution of x, which is in the data format, with a filter `[out, in / groups, spatial...]`.

    groups: 0 for one of each channel, also where there is a single channel.
    """
    if len(window.size) == 1:
        axis = 1 if b.channels_last else 2
        y = _correlate2d(b, b.unsqueeze(x, [axis]), b.unsqueeze(w, [2]), widened(window), groups)
        return b.squeeze(y, [axis])
    if len(window.size) == 2:
        return _correlate2d(b, x, w, window, groups)
    if set(window.dilation) != {1}:
        w, window = _filter_with_gaps(b, w, window.dilation), undilated(window)
    return _by_group(b, x, w, groups or _channels(b, x), lambda t, f: _correlate3d(b, t, f, window))


def _attributes(b: TfBuilder, window: PlacedWindow) -> dict[str, Any]:
    return {
        "strides": b.in_format(window.stride),
        "dilations": b.in_format(window.dilation),
        "data_format": b.data_format(len(window.size)),
        **padding_attributes(b, window),
    }


def _correlate2d(b: TfBuilder, x: Tensor, w: Tensor, window: PlacedWindow, groups: int) -> Tensor:
    attributes = _attributes(b, window)
    dims = b.in_format(window.downscaled, shape(x)[0], shape(w)[0])
    depthwise = groups != 1 and shape(w)[1] == 1 and not (groups and b.tells_depthwise)
    if depthwise and (b.tells_depthwise or (set(window.dilation) == {1} and len(set(window.stride)) == 1)):
        return known(b.DepthwiseConv2dNative(x, _to_depthwise(b, w, _channels(b, x)), **attributes), dims)
    return known(b.Conv2D(x, _to_xcn(b, w), **attributes), dims)


def _correlate3d(b: TfBuilder, x: Tensor, w: Tensor, window: PlacedWindow) -> Tensor:
    dims = b.in_format(window.downscaled, shape(x)[0], shape(w)[0])
    return known(b.Conv3D(x, _to_xcn(b, w), **_attributes(b, window)), dims)


def _by_group(b: TfBuilder, x: Tensor, w: Tensor, groups: int, run: Any) -> Tensor:
    """Runs an operator without groups on each group, and joins the results; filters are split in dimension 0."""
    if groups == 1:
        result: Tensor = run(x, w)
        return result
    axis = len(shape(x)) - 1 if b.channels_last else 1
    xs = b.split(x, axis, [shape(x)[axis] // groups] * groups)
    ws = b.split(w, 0, [shape(w)[0] // groups] * groups)
    return b.concat([run(*pair) for pair in zip(xs, ws, strict=True)], axis)


# transposed convolution


@from_nnef("tf", "deconv")
def deconv(
    b: TfBuilder,
    input: Tensor,
    filter: Tensor,
    bias: Tensor,
    *,
    window: Window,
    output_shape: list[int],
    groups: int,
) -> Tensor:
    """deconv -> Conv2DBackpropInput, DepthwiseConv2dNativeBackpropInput or Conv3DBackpropInputV2, with BiasAdd."""
    own, kernel = shape(input), shape(filter)
    check_rank(len(own) - 2)
    groups = groups or (output_shape[1] if output_shape else own[1])
    x, placed = continued(b, input, window.sized(kernel[2:]).reverse(own[2:], output_shape[2:]))
    w = filter
    if set(placed.dilation) != {1}:
        w, placed = _filter_with_gaps(b, w, placed.dilation), undilated(placed)
    y = b.to_format(x)
    if len(placed.size) == 1:
        axis = 1 if b.channels_last else 2
        y = _spread(b, b.unsqueeze(y, [axis]), b.unsqueeze(w, [2]), widened(placed), groups)
        return b.from_format(with_bias(b, b.squeeze(y, [axis]), bias))
    return b.from_format(with_bias(b, _spread(b, y, w, placed, groups), bias))


def _spread(b: TfBuilder, x: Tensor, w: Tensor, window: PlacedWindow, groups: int) -> Tensor:
    """The transpose of a convolution without dilation; w is `[in, out / groups, spatial...]`."""
    full = window.covered
    after = [f - p - n for f, (p, _), n in zip(full, window.padding, window.upscaled, strict=True)]
    before = [p for p, _ in window.padding]
    attributes = _spread_padding(b, window, before, after)
    if attributes is not None:
        return _backprop(b, x, w, window, groups, attributes)
    whole = replace(window, upscaled=tuple(full), padding=((0, 0),) * len(full))
    y = _backprop(b, x, w, whole, groups, {"padding": "VALID"})
    crop = [(-p, -q) for p, q in zip(before, after, strict=True)]
    return b.pad(y, b.in_format(crop, (0, 0), (0, 0)))


def _spread_padding(b: TfBuilder, window: PlacedWindow, before: list[int], after: list[int]) -> dict[str, Any] | None:
    """The padding attributes; None if no padding leads from the result to the input."""
    pairs = tuple((p, max(q, 0)) for p, q in zip(before, after, strict=True))
    own = replace(window, padding=pairs, automatic=False)
    counts = tuple(-(-n // s) for n, s in zip(window.upscaled, window.stride, strict=True))
    same = same_padding(window, window.upscaled)
    if counts == window.downscaled and [p for p, _ in same] == before:
        return {"padding": "SAME"}
    # the rest at the end must be smaller than a stride
    fits = all(p >= 0 for p in before) and all(-q < s for q, s in zip(after, window.stride, strict=True))
    if not fits or (own.is_padded and (len(window.size) > 2 or not b.has_explicit_padding)):
        return None
    return padding_attributes(b, own)


def _backprop(b: TfBuilder, x: Tensor, w: Tensor, window: PlacedWindow, groups: int, padding: dict[str, Any]) -> Tensor:
    """The TensorFlow operator that computes the gradient of a convolution."""
    attributes = {
        "strides": b.in_format(window.stride),
        "dilations": b.in_format(window.dilation),
        "data_format": b.data_format(len(window.size)),
        **padding,
    }
    batch = shape(x)[0]
    if groups > 1 and shape(w)[1] == 1 and len(window.size) == 2 and len(set(window.stride)) == 1:
        dims = b.in_format(window.upscaled, batch, groups)
        depthwise = _to_depthwise(b, w, groups)
        return known(b.DepthwiseConv2dNativeBackpropInput(b.vector(dims), depthwise, x, **attributes), dims)
    type = "Conv2DBackpropInput" if len(window.size) == 2 else "Conv3DBackpropInputV2"
    dims = b.in_format(window.upscaled, batch, shape(w)[1])
    return _by_group(
        b, x, w, groups, lambda t, f: known(b.op(type, b.vector(dims), _to_xcn(b, f), t, **attributes), dims)
    )
