"""NNEF to Caffe2: resampling."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....model import Tensor
from ....ops.borders import source_index
from ....ops.resize import linear_neighbors
from ...building.shapes import shape
from ...building.target import known
from ...engine.rules import from_nnef
from ...maths.generated import positions
from ..building import Caffe2Builder


@from_nnef("caffe2", "nearest_upsample")
def nearest_upsample(b: Caffe2Builder, input: Tensor, *, factor: list[int]) -> Tensor:
    """nearest_upsample -> ResizeNearest of images, else Gather along each axis."""
    own = shape(input)
    if len(own) == 4:
        scales: dict[str, Any] = {"height_scale": float(factor[0]), "width_scale": float(factor[1])}
        y = b.op("ResizeNearest", input, **scales, order="NCHW")
        return known(y, [*own[:2], own[2] * factor[0], own[3] * factor[1]])
    x = input
    for axis, count in enumerate(factor, 2):
        x = b.take(x, positions(own[axis] * count) // count, axis)
    return x


@from_nnef("caffe2", "nearest_downsample")
def nearest_downsample(b: Caffe2Builder, input: Tensor, *, factor: list[int]) -> Tensor:
    """nearest_downsample -> Gather along each axis."""
    return b.slice(input, {axis: range(0, shape(input)[axis], count) for axis, count in enumerate(factor, 2)})


@from_nnef("caffe2", "multilinear_upsample")
def multilinear_upsample(b: Caffe2Builder, input: Tensor, *, factor: list[int], method: str, border: str) -> Tensor:
    """multilinear_upsample -> two neighbors along each axis, weighted."""
    x = input
    for axis, count in enumerate(factor, 2):
        extent = shape(x)[axis]
        low, high, weight = linear_neighbors(extent, count, method)
        total: Tensor | None = None
        for place, part in ((low, 1 - weight), (high, weight)):
            outside = border == "constant" and (place < 0) | (place >= extent)
            column = b.constant(np.where(outside, 0.0, part).reshape([*[1] * axis, -1]), np.float32)
            index = source_index(place, extent, "replicate" if border == "constant" else border)
            term = b.nnef.mul(b.take(x, index, axis), column)
            total = term if total is None else b.nnef.add(total, term)
        assert total is not None
        x = total
    return x
