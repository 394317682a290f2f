"""NNEF to TensorFlow Lite: running products."""

from __future__ import annotations

import numpy as np

from ....model import Tensor
from ...building.shapes import shape
from ...engine.rules import from_nnef
from ..building import TfliteBuilder


@from_nnef("tflite", "cum_prod")
def cum_prod(b: TfliteBuilder, x: Tensor, *, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """cum_prod: products of the items that a triangle of places selects along a new axis."""
    own = shape(x)
    axis %= len(own)
    extent = own[axis]
    places = np.tri(extent, extent, -int(exclusive), np.bool_)
    mask = places.T if reverse else places
    outer = b.constant(mask.reshape([*[1] * axis, extent, extent, *[1] * (len(own) - axis - 1)]))
    spread = b.unsqueeze(x, [axis])
    chosen = b.nnef.select(outer, spread, b.scalar(1.0))
    return b.squeeze(b.reduce("product", chosen, [axis + 1]), [axis + 1])
