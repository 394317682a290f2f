"""Pooling. The divisor of a mean is the number of items that are there, unless `count_include_pad` is set."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ....ops.window import Window
from ...building.nnef import Builder
from ...building.shapes import shape
from ...engine.rules import to_nnef
from ..common import Windows, from_channels_first, to_channels_first

_NONE = [(0, 0), (0, 0)]


def _pooled(b: Builder, operation: str, x: Tensor, windows: Windows, order: str, border: str) -> Tensor:
    x = to_channels_first(b, x, order)
    extents = shape(x)[2:]
    if not extents:
        raise Unsupported(f"input of shape {shape(x)} has no spatial dimensions")
    if windows.arguments.get("global_pooling"):
        axes = list(range(2, len(shape(x))))
        names = {"max_pool": "max_reduce", "avg_pool": "mean_reduce", "box": "sum_reduce"}
        return from_channels_first(b, b.single(names[operation], x, axes=axes), order)
    w = windows.window(extents, windows.sizes(extents))
    if any(step != 1 for step in w.dilation):
        raise Unsupported("dilation of pooling")
    whole = Window([1, 1, *w.size], border, [*_NONE, *w.padding], [1, 1, *w.stride], [1, 1, *w.dilation])
    return from_channels_first(b, b.single(operation, x, **whole.attributes()), order)


@to_nnef("caffe2", "MaxPool", "MaxPool1D", "MaxPool2D", "MaxPool3D", "Int8MaxPool")
def max_pool(b: Builder, x: Tensor, *, windows: Windows, order: str = "NCHW") -> Tensor:
    """MaxPool -> max_pool; padding never competes."""
    return _pooled(b, "max_pool", x, windows, order, "ignore")


@to_nnef("caffe2", "AveragePool", "AveragePool1D", "AveragePool2D", "AveragePool3D", "Int8AveragePool")
def average_pool(b: Builder, x: Tensor, *, windows: Windows, order: str = "NCHW", count_include_pad: int = 0) -> Tensor:
    """AveragePool -> avg_pool."""
    return _pooled(b, "avg_pool", x, windows, order, "constant" if count_include_pad else "ignore")


@to_nnef("caffe2", "Int8MaxPoolRelu")
def max_pool_relu(b: Builder, x: Tensor, *, windows: Windows, order: str = "NCHW") -> Tensor:
    """Int8MaxPoolRelu -> max_pool, relu."""
    return b.relu(max_pool(b, x, windows=windows, order=order))


@to_nnef("caffe2", "Int8AveragePoolRelu")
def average_pool_relu(
    b: Builder, x: Tensor, *, windows: Windows, order: str = "NCHW", count_include_pad: int = 0
) -> Tensor:
    """Int8AveragePoolRelu -> avg_pool, relu."""
    return b.relu(average_pool(b, x, windows=windows, order=order, count_include_pad=count_include_pad))


@to_nnef("caffe2", "LpPool")
def lp_pool(b: Builder, x: Tensor, *, windows: Windows, order: str = "NCHW", p: float = 2.0) -> Tensor:
    """LpPool: the p-th root of the sum of p-th powers of magnitudes."""
    powers = b.sqr(x) if p == 2 else b.abs(x) if p == 1 else b.pow(b.abs(x), float(p))
    total = _pooled(b, "box", powers, windows, order, "constant")
    return total if p == 1 else b.sqrt(total) if p == 2 else b.pow(total, 1.0 / p)
