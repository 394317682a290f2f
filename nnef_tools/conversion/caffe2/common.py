"""Common parts of the rules for Caffe2: layouts, windows, and arguments that do not change values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import Unsupported
from ...model import Tensor
from ...ops.window import Window, span
from ..building.nnef import Builder
from ..building.shapes import shape, transpose
from ..maths import axis_orders
from ..maths.padding import Pairs

ORDERS = ("NCHW", "NHWC")
"""The values of the argument `order`, whatever the rank."""

IGNORED = frozenset(
    ("cudnn_exhaustive_search", "cudnn_state", "convolution_transform_strategy", "deterministic", "device_id",
     "enable_tensor_core", "exhaustive_search", "float16_compute", "init_params", "is_test", "math_mode", "no_bias",
     "order", "shared_buffer", "training_mode", "use_cudnn", "ws_nbytes_limit", "momentum")
)  # fmt: skip
"""Arguments that operators have beside those that tell what they compute; a rule that reads one names it."""

VALID, SAME, CAFFE = 1, 2, 3
"""LegacyPadding: no padding; as much as TensorFlow's SAME; the rounding up of Caffe's pooling."""

_SIDES = ("t", "l", "b", "r")


def is_channels_last(order: str) -> bool:
    """Are the channels in the last dimension? Unsupported for an unknown order."""
    if order not in ORDERS:
        raise Unsupported(f"order = {order!r} is not known")
    return order == "NHWC"


def channel_axis(order: str, rank: int) -> int:
    """The position of the channels."""
    return rank - 1 if is_channels_last(order) else 1


def to_channels_first(b: Builder, x: Tensor, order: str) -> Tensor:
    """x, or a filter, with its channels in second place."""
    return transpose(b, x, axis_orders.nxc_to_ncx_perm(len(shape(x)))) if is_channels_last(order) else x


def from_channels_first(b: Builder, y: Tensor, order: str) -> Tensor:
    """A result with channels in second place, brought back to the order."""
    return transpose(b, y, axis_orders.ncx_to_nxc_perm(len(shape(y)))) if is_channels_last(order) else y


@dataclass(frozen=True)
class Windows:
    """The arguments for sliding windows, which have three forms each: `kernel`, `kernel_h` and `kernel_w`, `kernels`.

    arguments: all of them by name.
    """

    arguments: Mapping[str, Any]

    def sizes(self, extents: Sequence[int]) -> list[int]:
        """The size of the window, which is the input's with global pooling. Unsupported."""
        if self.arguments.get("global_pooling"):
            return list(extents)
        size = self._per_dimension("kernel", len(extents), None)
        if size is None or min(size) < 1:
            raise Unsupported(f"the kernel {size} has no size")
        return size

    def window(self, extents: Sequence[int], size: Sequence[int], border: str = "constant") -> Window:
        """The window over the spatial dimensions, with everything explicit. Unsupported for what is not known."""
        count = len(extents)
        stride = self._per_dimension("stride", count, 1) or []
        dilation = self._per_dimension("dilation", count, 1) or []
        if min([*stride, *dilation]) < 1:
            raise Unsupported(f"strides {stride} and dilations {dilation}")
        padding = self._padding(extents, size, stride, dilation)
        return Window(list(size), padding=padding, stride=stride, dilation=dilation, border=border)

    def adjustments(self, count: int) -> list[int]:
        """What is added to the extents of the result of a transposed convolution."""
        return self._per_dimension("adj", count, 0) or []

    def has_legacy_padding(self) -> bool:
        """Is padding VALID or SAME, whatever the pads say?"""
        return self.arguments.get("legacy_pad", 0) in (VALID, SAME)

    def pads(self, count: int) -> Pairs:
        """The pads that are given, pairs of before and after."""
        given = self.arguments
        if "pad" in given:
            return [(given["pad"], given["pad"])] * count
        if all(f"pad_{side}" in given for side in _SIDES):
            top, left, bottom, right = (given[f"pad_{side}"] for side in _SIDES)
            return [(top, bottom), (left, right)]
        pads = given.get("pads") or [0] * (2 * count)
        if len(pads) != 2 * count:
            raise Unsupported(f"pads {pads} do not fit {count} spatial dimensions")
        return list(zip(pads[:count], pads[count:], strict=True))

    def _per_dimension(self, name: str, count: int, default: int | None) -> list[int] | None:
        given = self.arguments
        values: list[int] = list(given.get(f"{name}s") or [])
        if name in given:
            values = [given[name]] * count
        elif f"{name}_h" in given and f"{name}_w" in given:
            values = [given[f"{name}_h"], given[f"{name}_w"]]
        if not values and default is not None:
            values = [default] * count
        if values and len(values) != count:
            raise Unsupported(f"{name}s {values} do not fit {count} spatial dimensions")
        return values or None

    def _padding(
        self, extents: Sequence[int], size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
    ) -> Pairs:
        kind = self.arguments.get("legacy_pad", 0)
        pads = self.pads(len(extents))
        if kind in (VALID, SAME) and any(pair != (0, 0) for pair in pads):
            raise Unsupported(f"legacy_pad = {kind} together with pads")
        if kind == SAME:
            return [_same(*row) for row in zip(extents, size, stride, dilation, strict=True)]
        if kind == CAFFE:
            return [_caffe(*row) for row in zip(extents, size, stride, dilation, pads, strict=True)]
        if kind not in (0, VALID):
            raise Unsupported(f"legacy_pad = {kind} is not known")
        if any(min(pair) < 0 for pair in pads):
            raise Unsupported(f"pads {pads} are negative")
        return pads


def _same(extent: int, size: int, stride: int, dilation: int) -> tuple[int, int]:
    """As many results as strides fit in the extent; less than no padding crops. The odd item goes after."""
    if dilation != 1:
        raise Unsupported("legacy_pad = 2 (SAME) with dilation")
    total = (-(-extent // stride) - 1) * stride + size - extent
    before = int(total / 2)
    return before, total - before


def _caffe(extent: int, size: int, stride: int, dilation: int, pads: tuple[int, int]) -> tuple[int, int]:
    """Rounds the number of results up, but for a last one that would begin in the padding; the first pad counts."""
    before = pads[0]
    free = extent + 2 * before - span(size, dilation)
    if free < 0 or before < 0:
        raise Unsupported(f"a window of {size} in an extent of {extent}")
    count = -(-free // stride) + 1
    if before > 0 and (count - 1) * stride >= extent + before:
        count -= 1
    return before, before + stride * (count - (free // stride + 1))


def windows_argument(attribs: Mapping[str, Any]) -> tuple[Windows, dict[str, Any]]:
    """The arguments for windows, and all others."""
    own = {key: value for key, value in attribs.items() if key in _WINDOW_ARGUMENTS}
    for key, value in own.items():
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, int) for item in items) or isinstance(value, list) != (key in _LISTS):
            raise Unsupported(f"argument {key!r} = {value!r} has the wrong type")
    return Windows(own), {key: value for key, value in attribs.items() if key not in own}


_LISTS = frozenset(("kernels", "strides", "dilations", "adjs", "pads"))
_WINDOW_ARGUMENTS = _LISTS | {
    *(f"{name}{suffix}" for name in ("kernel", "stride", "dilation", "adj") for suffix in ("", "_h", "_w")),
    *("pad", *(f"pad_{side}" for side in _SIDES), "legacy_pad", "global_pooling"),
}
