"""ScaleAndTranslate, which resizing with antialiasing or with kernels such as lanczos3 becomes.

Each axis is a constant linear map, computed as TensorFlow's CPU kernel does: positions and weights in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ....errors import Unsupported
from ....model import Tensor
from ....ops.resize import AxisMap
from ...building.nnef import Builder
from ...building.shapes import shape
from ...compose.resampling import resampled
from ...engine.rules import Floats, Ints, to_nnef
from ..common import from_channels_first, to_channels_first

F = np.float32
Array = np.ndarray[Any, Any]
Kernel = tuple[float, Callable[[Array], Any]]
"""Radius, and the weight at distances that are not negative."""


def _lanczos(radius: float) -> Kernel:
    def weights(x: Array) -> Any:
        angle = F(np.pi) * x
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = F(radius) * np.sin(angle) * np.sin(angle / F(radius)) / (angle * angle)
        return np.where(x > radius, F(0), np.where(x <= F(1e-3), F(1), inner))

    return radius, weights


def _gaussian(x: Array) -> Any:
    sigma = F(1.5) / F(3)
    return np.where(x >= F(1.5), F(0), np.exp(-x * x / (F(2) * sigma * sigma)))


def _box(x: Array) -> Any:
    return np.where(x < F(0.5), F(1), np.where(x == F(0.5), F(0.5), F(0)))


def _triangle(x: Array) -> Any:
    return np.where(x < F(1), F(1) - x, F(0))


def _keys_cubic(x: Array) -> Any:
    outer = ((F(-0.5) * x + F(2.5)) * x - F(4)) * x + F(2)
    inner = ((F(1.5) * x - F(2.5)) * x) * x + F(1)
    return np.where(x >= F(2), F(0), np.where(x >= F(1), outer, inner))


def _mitchell_cubic(x: Array) -> Any:
    outer = ((F(-7 / 18) * x + F(2)) * x - F(10 / 3)) * x + F(16 / 9)
    inner = ((F(7 / 6) * x - F(2)) * x) * x + F(8 / 9)
    return np.where(x >= F(2), F(0), np.where(x >= F(1), outer, inner))


KERNELS: dict[str, Kernel] = {
    "lanczos1": _lanczos(1.0),
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
    "gaussian": (1.5, _gaussian),
    "box": (1.0, _box),
    "triangle": (1.0, _triangle),
    "keyscubic": (2.0, _keys_cubic),
    "mitchellcubic": (2.0, _mitchell_cubic),
}


def _axis_map(extent: int, size: int, scale: float, translation: float, kernel: Kernel, antialias: bool) -> AxisMap:
    """The elements of each result along an axis, and their weights: none where the sample lies outside."""
    radius, weight = kernel
    inverse = F(1) / F(scale)
    stretch = max(inverse, F(1)) if antialias else F(1)
    sample = (np.arange(size).astype(F) + F(0.5)) * inverse - inverse * F(translation)
    reach = F(radius) * stretch
    first = np.clip(np.ceil(sample - reach - F(0.5)).astype(np.int64), 0, extent - 1)
    last = np.clip(np.floor(sample + reach - F(0.5)).astype(np.int64), 0, extent - 1)
    taps = first[:, None] + np.arange(int((last - first).max()) + 1)
    distance = np.abs((taps.astype(F) + F(0.5) - sample[:, None]) * (F(1) / stretch))
    inside = (sample >= 0) & (sample <= F(extent))
    weights = np.where((taps <= last[:, None]) & inside[:, None], weight(distance), F(0)).astype(np.float64)
    total = weights.sum(axis=1, keepdims=True)
    usable = np.abs(total) >= 1000 * np.finfo(F).tiny
    return AxisMap(
        extent, np.minimum(taps, extent - 1), np.where(usable, weights / np.where(usable, total, 1), weights)
    )


@to_nnef("tf", "ScaleAndTranslate")
def scale_and_translate(
    b: Builder,
    x: Tensor,
    size: Ints,
    scale: Floats,
    translation: Floats,
    *,
    kernel_type: str = "lanczos3",
    antialias: bool = True,
) -> Tensor:
    """ScaleAndTranslate: a constant matrix or a few weights along each axis; the result is in float32."""
    if kernel_type not in KERNELS:
        raise Unsupported(f"kernel_type = '{kernel_type}' is not known")
    if len(size) != 2 or min(size) < 1 or len(scale) != 2 or min(scale) <= 0 or len(translation) != 2:
        raise Unsupported(f"size {size}, scale {scale}, translation {translation}")
    source = to_channels_first(b, b.cast(x, np.float32), "NHWC")
    extents = shape(source)[2:]
    maps = {
        axis: _axis_map(*along, KERNELS[kernel_type], antialias)
        for axis, along in enumerate(zip(extents, size, scale, translation, strict=True), 2)
    }
    return from_channels_first(b, resampled(b, source, {k: m for k, m in maps.items() if not m.is_identity()}), "NHWC")
