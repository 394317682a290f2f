"""What takes elements by index tensors."""

from __future__ import annotations

from ....errors import Unsupported
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import reshape, shape
from ...compose.slicing import expand_to
from ...engine.rules import Ints, to_nnef
from ...tf.to_nnef import index


@to_nnef("tflite", "GATHER")
def gather(b: Builder, x: Tensor, indices: Tensor, *, axis: int = 0, batch_dims: int = 0) -> Tensor:
    """GATHER -> gather."""
    return index.gather(b, x, indices, axis, batch_dims=batch_dims)


@to_nnef("tflite", "SPARSE_TO_DENSE")
def sparse_to_dense(
    b: Builder, indices: Tensor, sizes: Ints, values: Tensor, default: Tensor, *, validate_indices: bool = False
) -> Tensor:
    """SPARSE_TO_DENSE -> scatter_nd into the default value. Indices of rank 0 or 1 are positions in a vector."""
    rank = len(sizes)
    if len(shape(indices)) < 2 and rank > 1:
        raise Unsupported(f"indices of shape {shape(indices)} for a result of shape {sizes}")
    count = shape(indices)[0] if shape(indices) else 1
    base = expand_to(b, default, sizes)
    return b.scatter_nd(base, reshape(b, indices, [count, rank]), expand_to(b, values, [count]), reduction="none")
