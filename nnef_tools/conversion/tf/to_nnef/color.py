"""Colors of images: contrast, and red, green, blue as hue, saturation, value. Channels stand last.

The formulas are those of TensorFlow's CPU kernels.
"""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ....model.dtypes import is_float
from ...building.nnef import Builder
from ...building.shapes import right_aligned, shape
from ...engine.rules import to_nnef


@to_nnef("tf", "AdjustContrastv2")
def adjust_contrast(b: Builder, x: Tensor, factor: Tensor) -> Tensor:
    """AdjustContrastv2: the distance to the mean of each channel of each image, times the factor."""
    rank = len(shape(x))
    if rank < 3:
        raise Unsupported(f"input of shape {shape(x)}")
    mean = b.mean_reduce(x, axes=[rank - 3, rank - 2])
    return b.add(b.mul(b.sub(x, mean), right_aligned(b, factor, rank)), mean)


def _channels(b: Builder, x: Tensor) -> list[Tensor]:
    if not shape(x) or shape(x)[-1] != 3 or not is_float(x.dtype):
        raise Unsupported(f"an image must have three real channels, got shape {shape(x)}")
    return list(b.split(x, axis=len(shape(x)) - 1, ratios=[1, 1, 1]))


def _hue_and_range(b: Builder, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The hue, the largest channel, and its distance to the smallest one."""
    red, green, blue = _channels(b, x)
    value = b.max(b.max(red, green), blue)
    spread = b.sub(value, b.min(b.min(red, green), blue))
    sixth = b.mul(b.rcp(spread), 1 / 6)
    by_red = b.mul(sixth, b.sub(green, blue))
    by_green = b.add(b.mul(sixth, b.sub(blue, red)), 2 / 6)
    by_blue = b.add(b.mul(sixth, b.sub(red, green)), 4 / 6)
    hue = b.select(b.eq(red, value), by_red, b.select(b.eq(green, value), by_green, by_blue))
    hue = b.select(b.gt(spread, 0.0), hue, 0.0)
    return b.select(b.lt(hue, 0.0), b.add(hue, 1.0), hue), value, spread


def _saturation(b: Builder, value: Tensor, spread: Tensor) -> Tensor:
    return b.select(b.gt(value, 0.0), b.div(spread, value), 0.0)


def _shares(b: Builder, hue: Tensor) -> list[Tensor]:
    """Where red, green and blue are between the smallest channel, 0, and the largest one, 1: trapezoids."""
    place = b.mul(hue, 6.0)
    return [
        b.clamp(b.sub(b.abs(b.sub(place, 3.0)), 1.0), 0.0, 1.0),
        b.clamp(b.sub(2.0, b.abs(b.sub(place, 2.0))), 0.0, 1.0),
        b.clamp(b.sub(2.0, b.abs(b.sub(place, 4.0))), 0.0, 1.0),
    ]


def _red_green_blue(b: Builder, hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    rest = b.sub(1.0, saturation)
    parts = [b.mul(b.add(rest, b.mul(saturation, share)), value) for share in _shares(b, hue)]
    return b.concat(parts, axis=len(shape(hue)) - 1)


@to_nnef("tf", "RGBToHSV")
def rgb_to_hsv(b: Builder, x: Tensor) -> Tensor:
    """RGBToHSV: hue (0 for gray), saturation and value, each from 0 to 1."""
    hue, value, spread = _hue_and_range(b, x)
    return b.concat([hue, _saturation(b, value, spread), value], axis=len(shape(x)) - 1)


@to_nnef("tf", "HSVToRGB")
def hsv_to_rgb(b: Builder, x: Tensor) -> Tensor:
    """HSVToRGB."""
    return _red_green_blue(b, *_channels(b, x))


@to_nnef("tf", "AdjustSaturation")
def adjust_saturation(b: Builder, x: Tensor, scale: Tensor) -> Tensor:
    """AdjustSaturation: the saturation times the scale, between 0 and 1."""
    hue, value, spread = _hue_and_range(b, x)
    scaled = b.mul(_saturation(b, value, spread), right_aligned(b, scale, len(shape(x))))
    return _red_green_blue(b, hue, b.clamp(scaled, 0.0, 1.0), value)


@to_nnef("tf", "AdjustHue")
def adjust_hue(b: Builder, x: Tensor, delta: Tensor) -> Tensor:
    """AdjustHue: the hue plus delta, which turns around at 1; the largest and the smallest channel stay."""
    hue, value, spread = _hue_and_range(b, x)
    turned = b.add(hue, right_aligned(b, delta, len(shape(x))))
    lowest = b.sub(value, spread)
    parts = [b.add(lowest, b.mul(spread, share)) for share in _shares(b, b.sub(turned, b.floor(turned)))]
    return b.concat(parts, axis=len(shape(x)) - 1)
