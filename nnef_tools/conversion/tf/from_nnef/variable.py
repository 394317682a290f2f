"""NNEF to TensorFlow: variables."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ...engine.rules import from_nnef
from ..building import TfBuilder


@from_nnef("tf", "update")
def update(b: TfBuilder, variable: Tensor, value: Tensor) -> Tensor:
    """update: variables are constants in a frozen graph."""
    raise Unsupported(
        "a GraphDef without variables keeps no state between runs",
        hint="models of ONNX and TensorFlow Lite keep it, or their callers do",
    )
