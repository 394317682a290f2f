"""Selections by position."""

from __future__ import annotations

import numpy as np

from ....errors import InvalidOperator
from ....model import Tensor
from ...building.nnef import Builder
from ...building.shapes import shape
from ...engine.rules import to_nnef


@to_nnef("caffe", "BatchReindex")
def batch_reindex(b: Builder, x: Tensor, indices: Tensor) -> Tensor:
    """BatchReindex -> gather of items of the batch."""
    if len(shape(indices)) != 1:
        raise InvalidOperator(f"the positions have shape {shape(indices)}, not one dimension")
    return b.gather(x, b.cast(indices, np.int64), axis=0)
