"""NNEF to TensorFlow Lite: linear algebra."""

from __future__ import annotations

from ....model import Tensor
from ...building.shapes import shape
from ...building.target import is_number, known
from ...engine.rules import from_nnef
from ..building import TfliteBuilder


@from_nnef("tflite", "linear")
def linear(b: TfliteBuilder, input: Tensor, filter: Tensor, bias: Tensor) -> Tensor:
    """linear -> FULLY_CONNECTED; a bias that is not one number per unit is added."""
    units = shape(filter)[0]
    dims = [shape(input)[0], units]
    if is_number(bias, 0.0):
        return known(b.fully_connected(input, filter, None), dims)
    vector = b.per_channel(bias, units)
    if vector is not None:
        return known(b.fully_connected(input, filter, vector), dims)
    return b.nnef.add(known(b.fully_connected(input, filter, None), dims), bias)
