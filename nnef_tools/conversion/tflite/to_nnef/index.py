"""What takes elements by index tensors."""

from __future__ import annotations

from ....model import Tensor
from ...building.nnef import Builder
from ...engine.rules import to_nnef
from ...tf.to_nnef import index


@to_nnef("tflite", "GATHER")
def gather(b: Builder, x: Tensor, indices: Tensor, *, axis: int = 0, batch_dims: int = 0) -> Tensor:
    """GATHER -> gather."""
    return index.gather(b, x, indices, axis, batch_dims=batch_dims)
