"""NNEF to Caffe2: repetition."""

from __future__ import annotations

from functools import partial

from ....model import Tensor
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ..building import Caffe2Builder


@from_nnef("caffe2", "tile")
def tile(b: Caffe2Builder, input: Tensor, *, repeats: list[int]) -> Tensor:
    """tile -> Tile of each axis."""
    x = input
    for axis, count in enumerate(repeats):
        if count != 1:
            dims = [n * count if k == axis else n for k, n in enumerate(shape(x))]
            y = b.without_logical(partial(b.op, "Tile", tiles=count, axis=axis), x)
            x = known(y, dims, input.dtype)
    return x


@from_nnef("caffe2", "unstack")
def unstack(b: Caffe2Builder, value: Tensor, *, axis: int) -> list[Tensor]:
    """unstack -> Split and Squeeze."""
    return [b.squeeze(part, [axis]) for part in b.split(value, axis, [1] * shape(value)[axis])]
