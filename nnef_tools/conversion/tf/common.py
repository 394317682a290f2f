"""Common parts of the rules for TensorFlow: data formats and paddings.

Every tensor of the target keeps the layout of the source. Around an operation that NNEF defines for channels in second
place, a rule for channels-last data puts transposes; one pass over the finished graph cancels and folds them.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import Unsupported
from ...model import Tensor
from ..building.nnef import Builder
from ..building.shapes import shape, transpose
from ..maths import axis_orders
from ..maths.padding import Pairs

SELU = (1.6732632423543772, 1.0507009873554805)
"""The alpha and lambda of selu in TensorFlow."""

FORMATS = ("NHWC", "NDHWC", "NWC", "NCHW", "NCDHW", "NCW")


def is_channels_last(data_format: str) -> bool:
    """NHWC, NDHWC or NWC, as opposed to NCHW and so on. Unsupported for the vectorized formats of GPUs."""
    if data_format not in FORMATS:
        raise Unsupported(f"data_format = '{data_format}'")
    return data_format.endswith("C")


def to_channels_first(b: Builder, x: Tensor, data_format: str) -> Tensor:
    """x with its channels in second place."""
    if len(shape(x)) != len(data_format):
        raise Unsupported(f"data_format = '{data_format}' does not fit an input of shape {shape(x)}")
    return transpose(b, x, axis_orders.nxc_to_ncx_perm(len(data_format))) if is_channels_last(data_format) else x


def from_channels_first(b: Builder, y: Tensor, data_format: str) -> Tensor:
    """A result with channels in second place, brought back to the format."""
    return transpose(b, y, axis_orders.ncx_to_nxc_perm(len(data_format))) if is_channels_last(data_format) else y


def channels_first(items: Sequence[int], data_format: str, name: str = "values") -> list[int]:
    """An item per dimension in the order NC...: `([1, 2, 3, 1], 'NHWC')` -> `[1, 1, 2, 3]`."""
    if len(items) != len(data_format):
        raise Unsupported(f"{name} {list(items)} do not fit data_format = '{data_format}'")
    values = [int(item) for item in items]
    return (
        list(axis_orders.permute(values, axis_orders.nxc_to_ncx_perm(len(values))))
        if is_channels_last(data_format)
        else values
    )


def spatial(items: Sequence[int] | None, data_format: str, name: str) -> list[int]:
    """The spatial items of strides and the like; those of batch and channels must be 1. Ones if there are no items."""
    if not items:
        return [1] * (len(data_format) - 2)
    batch, channel, *rest = channels_first(items, data_format, name)
    if batch != 1 or channel != 1:
        raise Unsupported(f"{name} {list(items)} along batch or channels")
    return rest


def window_padding(padding: str, explicit_paddings: Sequence[int] | None, data_format: str) -> Pairs:
    """Pairs for the spatial dimensions; NNEF's automatic padding, an empty list, is TensorFlow's 'SAME'."""
    kind = padding.upper()
    if kind == "SAME":
        return []
    if kind == "VALID":
        return [(0, 0)] * (len(data_format) - 2)
    if kind != "EXPLICIT":
        raise Unsupported(f"padding = '{padding}' is not known")
    given = list(explicit_paddings or [])
    before = spatial([p + 1 for p in given[0::2]], data_format, "explicit_paddings")
    after = spatial([p + 1 for p in given[1::2]], data_format, "explicit_paddings")
    return [(p - 1, q - 1) for p, q in zip(before, after, strict=True)]
