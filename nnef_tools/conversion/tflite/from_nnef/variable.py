"""NNEF to TensorFlow Lite: variables."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ...engine.rules import from_nnef
from ..building import TfliteBuilder


@from_nnef("tflite", "update")
def update(b: TfliteBuilder, variable: Tensor, value: Tensor) -> Tensor:
    """update: resource variables are only read."""
    raise Unsupported("state that passes from run to run is read from TensorFlow Lite models, but not written to them")
