"""NNEF to ONNX: variables."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ...engine.rules import from_nnef
from ..building import OnnxBuilder


@from_nnef("onnx", "update")
def update(b: OnnxBuilder, variable: Tensor, value: Tensor) -> Tensor:
    """update: refused."""
    raise Unsupported("a variable that keeps its new value for the next run has no counterpart in ONNX")
